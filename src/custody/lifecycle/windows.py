"""Windows: the labelled answers of one version of a deployment, measured between two times of their events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.evidence import Estimate, Evidence
from custody.core.manifest import Target
from custody.core.refs import DeploymentKey
from custody.deployment.revision import Revision
from custody.lifecycle.captured import INPUT, answered, even, rows_between, with_labels
from custody.lifecycle.rows import group_columns
from custody.lifecycle.stores import Ports, Shelf
from custody.monitoring.evaluation import Evaluation, Labelled, evaluate
from custody.monitoring.ports import Monitors


@dataclass(frozen=True, slots=True)
class Window:
    """A window that is still open: its measurement so far, its first event, the newest event of all."""

    evaluation: Evaluation
    start: datetime
    newest: datetime


def open_window(ports: Ports, head: Revision, target: Target, now: datetime) -> Window | None:
    """Measure the labelled answers of a target since its last evaluation; None if it answered nothing since."""
    shelf = ports.stores.of(head.key.tenant)
    past = judged(shelf.monitors, head, target)
    rows = rows_between(ports, head.key, start=past[-1].end if past else None)
    if rows is None:
        return None
    mine = answers_of(rows, target)
    if past:
        mine = mine.filter(pc.greater(mine.column("event"), moment(mine, past[-1].end)))
    if not mine.num_rows:
        return None
    labels = window_labels(shelf, head.key)
    labelled, _ = with_labels(mine, labels, "")
    end = pc.max((labelled if labelled.num_rows else mine).column("event")).as_py()
    start, newest = pc.min(mine.column("event")).as_py(), pc.max(mine.column("event")).as_py()
    inside = mine.filter(pc.less_equal(mine.column("event"), moment(mine, end)))
    return Window(measured(ports, head, target, inside, labels, (start, end), ports.new_id(now), now), start, newest)


def measured(
    ports: Ports,
    head: Revision,
    target: Target,
    rows: pa.Table,
    labels: dict[str, str],
    window: tuple[datetime, datetime],
    id: str,  # noqa: A002 - the field's word
    now: datetime,
) -> Evaluation:
    """Measure rows of one target on the labels they have; of rows that were sampled, a uniform sample."""
    rows = even(rows)
    labelled, actual = with_labels(rows, labels, target.signature.classes[1])
    inputs = [name for name in labelled.column_names if name.startswith(INPUT)]
    columns = {name.removeprefix(INPUT): labelled.column(name).to_pylist() for name in inputs}
    return evaluate(
        Labelled(
            labelled.column("score").to_numpy(),
            labelled.column("decision").to_numpy(zero_copy_only=False).astype(bool),
            actual,
            group_columns(columns, groups_of_target(ports, head, target)),
        ),
        id=id,
        at=now,
        window=window,
        model=target.model,
        threshold=target.threshold,
        predictions=rows.num_rows,
        costs=ports.stores.of(head.key.tenant).monitors.cost(head.key),
    )


def moment(rows: pa.Table, time: datetime) -> pa.Scalar:
    """Write a time in the type of the rows' events."""
    return pa.scalar(time, rows.schema.field("event").type)


def judged(monitors: Monitors, head: Revision, target: Target) -> list[Evaluation]:
    """Return the closed windows of a target, oldest first; draws of labels that people were asked for are none."""
    found = monitors.evaluations(head.key, limit=1000)
    return [one for one in found if not one.asked and (one.model, one.threshold) == (target.model, target.threshold)]


def window_labels(shelf: Shelf, key: DeploymentKey) -> dict[str, str]:
    """Return the labels that windows count: what people were asked about is chosen, and measured apart."""
    return shelf.labels.of(key, sources=("outcome",)) if shelf.labels.draws(key, limit=1) else shelf.labels.of(key)


def answers_of(rows: pa.Table, target: Target) -> pa.Table:
    """Keep what a target answered: its version at its threshold, live or as a canary."""
    kept = answered(rows)
    return kept.filter(
        pc.and_(pc.equal(kept.column("model"), str(target.model)), pc.equal(kept.column("threshold"), target.threshold))
    )


def groups_of_target(ports: Ports, head: Revision, target: Target) -> tuple[str, ...]:
    """Return the columns that hold groups of people, in the data that a version learned from."""
    owner = ports.stores.of(head.owner)
    uses = owner.models.get(target.model).datasets
    return tuple(dict.fromkeys(group for use in uses for group in owner.datasets.get(use.ref).schema.groups))


def registered(ports: Ports, head: Revision, target: Target, metric: str) -> Estimate | None:
    """Return what the gate measured for a target at its threshold."""
    owner = ports.stores.of(head.owner)
    verdict = owner.gates.verdict(target.model)
    if verdict is None:
        return None
    evidence = msgspec.json.decode(ports.stores.objects.get(verdict.evidence), type=Evidence)
    found = next((one for one in evidence.measured if one.threshold == target.threshold), None)
    return found.metric(metric) if found else None


@dataclass(frozen=True, slots=True)
class Looks:
    """How often windows of a target were judged, and with how many labels each of them last."""

    count: int = 0
    labelled: Mapping[str, int] = field(default_factory=dict)

    def after(self, evaluation: Evaluation) -> "Looks":
        """Count one more."""
        return Looks(self.count + 1, {**self.labelled, evaluation.id: evaluation.labelled})


def looks_name(target: Target) -> str:
    """Return the name of the state that holds a target's looks."""
    return f"looks:{target.model}@{target.threshold:g}"


def looks_of(monitors: Monitors, head: Revision, target: Target) -> Looks:
    """Read a target's looks."""
    text = monitors.state(head.key, looks_name(target))
    return msgspec.json.decode(text, type=Looks) if text else Looks()
