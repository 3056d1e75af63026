"""Ask: which answers people label, drawn with known chances before any label is there; and what these labels tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, InvalidInput, NotFound
from custody.core.manifest import Target
from custody.core.measures.performance import MISSING
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role
from custody.deployment.revision import Revision
from custody.feedback.draw import Draw
from custody.lifecycle.access import access
from custody.lifecycle.captured import INPUT, even, rows_between
from custody.lifecycle.rows import group_columns
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.windows import answers_of, groups_of_target, looks_of, moment, registered
from custody.monitoring.betting import RATIOS, Betting
from custody.monitoring.evaluation import Evaluation, Slice
from custody.monitoring.planner import budget_of
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ppi import Labelled, estimates
from custody.monitoring.ratios import METRICS
from custody.monitoring.rounds import Round, round_of
from custody.monitoring.sampling import Design, Sample, draw, shared_design

PEOPLE = ("annotator",)
MOST = 10_000  # labels in one draw
GROUPS = 50  # values of one column


@dataclass(frozen=True, slots=True)
class Question:
    """One answer for a person to label: its prediction id, the caller's key, when it was, and what the model was asked.

    What the model answered is left out, so that it does not lead the label.
    """

    prediction: str
    key: str | None
    event: datetime
    inputs: Mapping[str, Any]


def ask(ports: Ports, caller: Caller, key: DeploymentKey, n: int, *, dry_run: bool = False) -> tuple[Draw, int | None]:
    """Draw n of the live version's answers since the last draw for people to label; the window is closed with it.

    One design serves accuracy, precision, recall and F1 at once, a fifth of it purely by chance; an answer that is drawn twice is
    labelled once and counts twice. Few answers are all asked about.
    Raises: NotFound without a deployment, Conflict without new answers, InvalidInput if n is not 1 to 10,000.
    """
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    if not 1 <= n <= MOST:
        raise InvalidInput(f"{n} labels cannot be asked for at once.", why=f"A draw asks for 1 to {MOST:,}.")
    shelf = ports.stores.of(key.tenant)
    head = shelf.deployments.head(key)
    if head is None:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    target, known = head.service.live, shelf.labels.draws(key)
    rows = _unasked(ports, key, target, known)
    if rows is None:
        raise Conflict(
            f"{target.model} has answered nothing in {key} since the last draw.",
            why="Each answer belongs to one draw only, so that its chance is known.",
            fix=f"See what is still to be labelled: custody label tasks {key}",
        )
    chances = shared_design(*_answers(rows))
    sample = draw(chances, n, np.random.default_rng(int.from_bytes(ports.random(16))))
    span = pc.min_max(rows.column("event")).as_py()
    asked = (rows.num_rows, len(sample.rows), len(sample.asked))
    made = Draw(
        ports.new_id(caller.now),
        key,
        target.model,
        target.threshold,
        span["min"],
        span["max"],
        *asked,
        _NONE,
        _NONE,
        caller.now,
        _finds(ports, head, rows, chances, n),
    )
    if dry_run:
        return made, None
    frame = rows.select(["prediction", "key", "score", "decision"]).append_column("aim", pa.array(chances.aim))
    objects, kept = ports.stores.objects.of(key.tenant), {"version": 1, "uniform": chances.uniform, "sample": sample.to_json()}
    made = replace(made, frame=objects.put(ports.tables.to_parquet(frame)), sample=objects.put(msgspec.json.encode(kept)))
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        if len(change.labels.draws(key)) != len(known):
            raise Conflict(f"Somebody else has just drawn from {key}.", fix=f"Look again: custody label tasks {key}")
        change.labels.add_draw(made)
        if not change.monitors.state(key, bet_name(target)):
            change.monitors.set_state(key, bet_name(target), str(looks_of(change.monitors, head, target).count))
        entry = change.record("labels.asked", str(key), _facts(made))
    return made, entry.seq


_NONE = Digest("")


def _unasked(ports: Ports, key: DeploymentKey, target: Target, known: Sequence[Draw]) -> pa.Table | None:
    """Return the answers of a target that belong to no draw yet, None if there are none."""
    mine = [one for one in known if (one.model, one.threshold) == (target.model, target.threshold)]
    rows = rows_between(ports, key, start=mine[-1].end if mine else None)
    if rows is None:
        return None
    rows = answers_of(rows, target)
    if mine:
        rows = rows.filter(pc.greater(rows.column("event"), moment(rows, mine[-1].end)))
    rows = even(rows)
    return rows if rows.num_rows else None


def bet_name(target: Target) -> str:
    """Return the state that holds how many windows of a target were judged before its first draw."""
    return f"bet:{target.model}@{target.threshold:g}"


def bet_of(ports: Ports, head: Revision, target: Target) -> Betting | None:
    """Start the bet on a target's drawn labels against its registered metric; None if the metric is no ratio.

    Its alpha is what the windows that were judged before the first draw have left of the registered half.
    """
    shelf = ports.stores.of(head.key.tenant)
    policy = shelf.monitors.policy(head.key) or MonitorPolicy()
    promised = registered(ports, head, target, policy.metric)
    if promised is None or policy.metric not in RATIOS:
        return None
    before = shelf.monitors.state(head.key, bet_name(target)) or looks_of(shelf.monitors, head, target).count
    return Betting.against(promised, tolerance=policy.tolerance, alpha=policy.alpha / 2 / (int(before) + 1))


def _finds(ports: Ports, head: Revision, rows: pa.Table, design: Design, n: int) -> str:
    """Say what so many labels of every such window can find in ten of them."""
    bet = bet_of(ports, head, head.service.live)
    if bet is None or n >= rows.num_rows:
        return ""
    try:
        budget = budget_of(*_answers(rows), design, metric=bet.metric, limit=bet.limit, alpha=bet.alpha)
    except InvalidInput:  # nothing was decided yes, say
        return ""
    drop = budget.finds(10 * n)
    most = (
        f"a drop of {bet.metric} {100 * drop:.1f} points past the tolerance" if drop is not None else f"no drop of {bet.metric}"
    )
    return f"{n:,} labels of every such window find {most} in about 10 windows"


def _answers(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return rows.column("score").to_numpy(), rows.column("decision").to_numpy(zero_copy_only=False).astype(bool)


def questions(ports: Ports, caller: Caller, key: DeploymentKey, *, limit: int = 100) -> list[Question]:
    """Return the drawn answers of a deployment that no person has labelled yet, oldest draw first, at most `limit`.

    They are rows: the caller must be allowed to see rows, and the ledger says that it did.
    """
    reader = caller.within(key.tenant).may_see_rows()
    shelf = ports.stores.of(key.tenant)
    if shelf.deployments.head(key) is None:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    labels, found = shelf.labels.of(key, sources=PEOPLE), list[Question]()
    for one in shelf.labels.draws(key):
        wanted = [row["prediction"] for row in _asked(ports, one) if not (row["prediction"] in labels or row["key"] in labels)]
        if wanted:
            found += _questions(ports, one, wanted[: limit - len(found)])
        if len(found) >= limit:
            break
    if found:
        shown: list[Json] = [one.prediction for one in found]
        access(ports, reader, str(key), {"predictions": shown}, rows=len(found), purpose="label")
    return found


def _asked(ports: Ports, one: Draw) -> list[dict[str, Any]]:
    frame, sample = _read(ports, one)
    rows: list[dict[str, Any]] = frame.take(sample.asked).to_pylist()
    return rows


def _read(ports: Ports, one: Draw) -> tuple[pa.Table, Sample]:
    frame, sample, _ = read_draw(ports, one.frame, one.sample)
    return frame, sample


def read_draw(ports: Ports, frame: Digest, sample: Digest) -> tuple[pa.Table, Sample, Design]:
    """Read a draw's answers, which of them were drawn, and the design that they were drawn by."""
    objects = ports.stores.objects
    rows, kept = ports.tables.from_parquet(objects.get(frame)), msgspec.json.decode(objects.get(sample))
    return rows, Sample.from_json(kept["sample"]), Design(rows.column("aim").to_numpy(), float(kept["uniform"]))


def round_read(ports: Ports, frame: Digest, sample: Digest, metric: str) -> Round:
    """Return what the labels of a draw can say about a metric, as it was fixed before any of them."""
    rows, drawn, design = read_draw(ports, frame, sample)
    return round_of(metric, *_answers(rows), design, drawn)


def _questions(ports: Ports, one: Draw, wanted: Sequence[str]) -> list[Question]:
    rows = rows_between(ports, one.deployment, start=one.start)
    if rows is None:
        return []
    mine = rows.filter(pc.is_in(rows.column("prediction"), pa.array(wanted, rows.schema.field("prediction").type)))
    by_id = {row["prediction"]: row for row in mine.to_pylist()}
    found = []
    for row in (by_id[name] for name in wanted if name in by_id):
        inputs = {name.removeprefix(INPUT): value for name, value in row.items() if name.startswith(INPUT)}
        found.append(Question(row["prediction"], row["key"], row["event"], inputs))
    return found


def answered_draws(ports: Ports, head: Revision, target: Target, now: datetime) -> list[Evaluation]:
    """Measure every draw of a target on the labels that people gave, one window each; those without a label are left out."""
    shelf, positive = ports.stores.of(head.key.tenant), target.signature.classes[1]
    labels, found = shelf.labels.of(head.key, sources=PEOPLE), []
    for one in shelf.labels.draws(head.key):
        if (one.model, one.threshold) != (target.model, target.threshold):
            continue
        window, labelled = labelled_draw(ports, one, labels, positive)
        if labelled:
            metrics, slices = estimates([window]), _slices(ports, head, target, one, window)
            found.append(
                Evaluation(
                    one.id,
                    now,
                    one.start,
                    one.end,
                    one.model,
                    one.threshold,
                    one.population,
                    labelled,
                    metrics,
                    slices=slices,
                    asked=one.tasks,
                )
            )
    return found


def _slices(ports: Ports, head: Revision, target: Target, one: Draw, window: Labelled) -> tuple[Slice, ...]:
    """Estimate the watched metric for every group of people in a draw's window."""
    columns, metric = groups_of_target(ports, head, target), _metric(ports, head)
    rows = rows_between(ports, head.key, start=one.start) if columns and metric in METRICS else None
    if rows is None:
        return ()
    frame, _ = _read(ports, one)
    order = pc.index_in(frame.column("prediction"), rows.column("prediction"))
    inputs = {n.removeprefix(INPUT): rows.column(n).take(order).to_pylist() for n in rows.column_names if n.startswith(INPUT)}
    found = []
    for column, values in group_columns(inputs, columns).items():
        for value in sorted(set(values))[:GROUPS]:
            inside = np.array([each == value for each in values])
            estimate = estimates([window], metrics=[metric], groups=[inside])
            labelled = int(inside[window.sample.asked].sum())
            found.append(Slice(column, value or MISSING, labelled, estimate[0] if estimate else None))
    return tuple(found)


def _metric(ports: Ports, head: Revision) -> str:
    return (ports.stores.of(head.key.tenant).monitors.policy(head.key) or MonitorPolicy()).metric


def labelled_draw(ports: Ports, one: Draw, labels: Mapping[str, str], positive: str) -> tuple[Labelled, int]:
    """Return a draw as a window with the labels that came back, and how many different answers have one."""
    frame, sample = _read(ports, one)
    ids, keys = frame.column("prediction").to_pylist(), frame.column("key").to_pylist()
    known = {}
    for row in sample.asked.tolist():
        value = labels.get(ids[row], labels.get(keys[row]) if keys[row] is not None else None)
        if value is not None:
            known[row] = value == positive
    return Labelled(*_answers(frame), sample, sample.labels(known)), len(known)


def _facts(one: Draw) -> dict[str, Json]:
    return {
        "draw": one.id,
        "model": str(one.model),
        "window": [one.start.isoformat(), one.end.isoformat()],
        "population": one.population,
        "asked": one.asked,
        "tasks": one.tasks,
        "frame": one.frame,
        "sample": one.sample,
    }
