"""Beside: what a candidate decides beside the live version on the same traffic, before anybody promotes it."""

from dataclasses import dataclass
from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.evidence import Estimate
from custody.core.manifest import Mode, Target
from custody.core.measures.intervals import newcombe, wilson
from custody.core.measures.performance import measure
from custody.core.tenancy import Actor
from custody.deployment.revision import Revision
from custody.lifecycle.captured import even, rows_between, with_labels
from custody.lifecycle.stores import Ports
from custody.lifecycle.windows import window_labels
from custody.monitoring.ports import Monitors
from custody.serving.capture import CaptureMode

NEWEST = 50_000  # rows that are looked at
RATE = "selection_rate"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one of the two decided: rows, the share decided for the positive class, latency in ms, and metrics on labels."""

    model: str
    threshold: float
    rows: int
    rate: Estimate
    latency_p50_ms: float
    latency_p95_ms: float
    metrics: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """The newest answers of the live version and of its candidate, since the candidate came.

    A shadow sees what the live version is asked: both have the same rows, `otherwise` is the share that it decides otherwise, and
    `gained` and `lost` count those for and against the positive class. A canary answers others: `otherwise` is None, and
    `difference` bounds its share of the positive class less the live version's.
    """

    mode: Mode
    since: datetime
    at: datetime
    live: Answers
    candidate: Answers
    difference: Estimate | None
    otherwise: Estimate | None
    gained: int
    lost: int
    sentence: str
    version: int = 1


def compare(ports: Ports, head: Revision, now: datetime) -> Beside | None:
    """Compare a candidate with the live version; None without one, or until both have answered. Reads at most 50,000 rows or so.

    Rows of one request are taken as independent. Source of the bounds: Wilson 1927; Newcombe 1998, method 10.
    """
    candidate, live = head.service.candidate, head.service.live
    rows = rows_between(ports, head.key, since=head.at, newest=NEWEST) if candidate is not None else None
    if candidate is None or rows is None:
        return None
    rows = even(rows)
    ours = _of(rows, live, CaptureMode.LIVE)
    theirs = _of(rows, candidate.target, CaptureMode(candidate.mode.value))
    if candidate.mode is Mode.SHADOW:
        ours, theirs = _paired(ours, theirs)
    if not ours.num_rows or not theirs.num_rows:
        return None
    labels = window_labels(ports.stores.of(head.key.tenant), head.key)
    one, two = _answers(ours, live, labels), _answers(theirs, candidate.target, labels)
    positive = live.signature.classes[1]
    if candidate.mode is Mode.SHADOW:
        before, after = _decided(ours), _decided(theirs)
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        otherwise = _share("otherwise", gained + lost, one.rows)
        sentence = (
            f"of {one.rows:,} predictions that both made, {candidate.target.model} decides {_bounded(otherwise)} otherwise: "
            f"{gained:,} for '{positive}', {lost:,} against"
        )
        return Beside(candidate.mode, head.at, now, one, two, None, otherwise, gained, lost, sentence)
    value, low, high = newcombe(_count(theirs), two.rows, _count(ours), one.rows)
    difference = Estimate(f"{RATE}_difference", value, low, high, two.rows)
    sentence = (
        f"{candidate.target.model} decides {_bounded(two.rate)} of its {two.rows:,} predictions for '{positive}', the live version "
        f"{_bounded(one.rate)} of {one.rows:,}: a difference of {100 * value:+.2g} points ({100 * low:+.2g} to {100 * high:+.2g})"
    )
    return Beside(candidate.mode, head.at, now, one, two, difference, None, 0, 0, sentence)


def keep_comparison(ports: Ports, head: Revision, actor: Actor, now: datetime) -> None:
    """Compare, and keep it for who looks at the deployment."""
    found = compare(ports, head, now)
    if found is not None:
        with ports.stores.change(head.key.tenant, actor, now) as change:
            change.monitors.set_state(head.key, _place(head), msgspec.json.encode(found).decode())


def last_comparison(monitors: Monitors, head: Revision) -> Beside | None:
    """Return what was compared last since the candidate came."""
    text = monitors.state(head.key, _place(head)) if head.service.candidate else None
    return msgspec.json.decode(text, type=Beside) if text else None


def _place(head: Revision) -> str:
    return f"beside:{head.number}"


def _of(rows: pa.Table, target: Target, mode: CaptureMode) -> pa.Table:
    wanted = {"mode": mode.value, "model": str(target.model), "threshold": target.threshold}
    for name, value in wanted.items():
        rows = rows.filter(pc.equal(rows.column(name), value))
    return rows


def _paired(ours: pa.Table, theirs: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the rows that both have, in one order; those of a shadow are named as the predictions that it mirrors."""
    mirrored = theirs.set_column(theirs.column_names.index("prediction"), "prediction", theirs.column("of"))
    places = pc.index_in(mirrored.column("prediction"), value_set=ours.column("prediction").combine_chunks())
    both = pc.is_valid(places)
    return ours.take(pc.filter(places, both)), mirrored.filter(both)


def _answers(rows: pa.Table, target: Target, labels: dict[str, str]) -> Answers:
    labelled, actual = with_labels(rows, labels, target.signature.classes[1])
    metrics = measure(labelled.column("score").to_numpy(), _decided(labelled), actual) if labelled.num_rows else ()
    metrics = tuple(one for one in metrics if one.metric != RATE)  # all rows tell that, not only those with a label
    p50, p95 = np.quantile(rows.column("latency_us").to_numpy(), (0.5, 0.95)) / 1000
    rate = _share(RATE, _count(rows), rows.num_rows)
    return Answers(str(target.model), target.threshold, rows.num_rows, rate, float(p50), float(p95), metrics)


def _decided(rows: pa.Table) -> np.ndarray:
    decided: np.ndarray = rows.column("decision").to_numpy(zero_copy_only=False).astype(bool)
    return decided


def _count(rows: pa.Table) -> int:
    return int(_decided(rows).sum())


def _share(name: str, count: int, rows: int) -> Estimate:
    return Estimate(name, count / rows, *wilson(count, rows), rows)


def _bounded(share: Estimate) -> str:
    return f"{100 * share.value:.3g} % ({100 * share.low:.3g} to {100 * share.high:.3g})"
