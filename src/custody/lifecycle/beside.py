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
from custody.lifecycle.captured import SHARE, even, rows_between, with_labels
from custody.lifecycle.stores import Ports
from custody.lifecycle.windows import window_labels
from custody.monitoring.ports import Monitors
from custody.serving.capture import CaptureMode

NEWEST = 50_000  # rows that are looked at
RATE = "selection_rate"
_COLUMNS = ("prediction", "key", "at", "event", "mode", "of", "model", "threshold", "score", "decision", "latency_us", SHARE)


@dataclass(frozen=True, slots=True)
class Answers:
    """What one of the two decided: rows, the share decided for the positive class, latency in ms, and metrics on labels.

    Latency is None beside a shadow: it is only scored, in the background.
    """

    model: str
    threshold: float
    rows: int
    rate: Estimate
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    metrics: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """The newest answers of the live version and of its candidate, since the candidate's first one under this revision.

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

    @property
    def both(self) -> tuple[tuple[str, Answers], tuple[str, Answers]]:
        """Return the two, each behind the mode in which it answered."""
        return ("live", self.live), (self.mode.value, self.candidate)


def compare(ports: Ports, head: Revision, now: datetime) -> Beside | None:
    """Compare a candidate with the live version; None without one, until both have answered, or if they know other classes.

    Reads at most 50,000 rows or so. Rows of one request are taken as independent. Source of the bounds: Wilson 1927; Newcombe 1998, method 10.
    """
    candidate, live = head.service.candidate, head.service.live
    if candidate is None or candidate.target.signature.classes != live.signature.classes:
        return None
    rows = rows_between(ports, head.key, since=head.at, newest=NEWEST, columns=_COLUMNS)
    if rows is None:
        return None
    rows = even(rows)
    ours = _of(rows, live, CaptureMode.LIVE)
    theirs = _of(rows, candidate.target, CaptureMode(candidate.mode.value))
    is_shadow = candidate.mode is Mode.SHADOW
    if is_shadow:
        ours, theirs = _paired(ours, theirs)
    elif theirs.num_rows:
        ours = ours.filter(pc.greater_equal(ours.column("at"), pc.min(theirs.column("at"))))
    if not ours.num_rows or not theirs.num_rows:
        return None
    since = pc.min(theirs.column("at")).as_py()
    labels = window_labels(ports.stores.of(head.key.tenant), head.key)
    one = _answers(ours, live, labels, is_shadow=is_shadow)
    two = _answers(theirs, candidate.target, labels, is_shadow=is_shadow)
    positive = live.signature.classes[1]
    if is_shadow:
        before, after = _decided(ours), _decided(theirs)
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        otherwise = _share("otherwise", gained + lost, one.rows)
        sentence = (
            f"of {one.rows:,} rows that both were asked, {candidate.target.model} decides {_bounded(otherwise)} otherwise: "
            f"{gained:,} for '{positive}', {lost:,} against"
        )
        return Beside(candidate.mode, since, now, one, two, None, otherwise, gained, lost, sentence)
    value, low, high = newcombe(_count(theirs), two.rows, _count(ours), one.rows)
    difference = Estimate(f"{RATE}_difference", value, low, high, two.rows)
    sentence = (
        f"{candidate.target.model} decides {_bounded(two.rate)} of its {two.rows:,} rows for '{positive}', the live version "
        f"{_bounded(one.rate)} of {one.rows:,}: a difference of {100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
    )
    return Beside(candidate.mode, since, now, one, two, difference, None, 0, 0, sentence)


def keep_comparison(ports: Ports, head: Revision, actor: Actor, now: datetime) -> None:
    """Compare, and keep it for who looks at the deployment."""
    found = compare(ports, head, now)
    if found is not None:
        with ports.stores.change(head.key.tenant, actor, now) as change:
            change.monitors.set_state(head.key, _place(head), msgspec.json.encode(found).decode())


def last_comparison(monitors: Monitors, head: Revision) -> Beside | None:
    """Return what was compared last since the candidate came."""
    text = monitors.state(head.key, _place(head)) if head.service.candidate else None
    try:
        return msgspec.json.decode(text, type=Beside) if text else None
    except msgspec.ValidationError:  # another version of custody wrote it; it is compared again in a minute
        return None


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


def _answers(rows: pa.Table, target: Target, labels: dict[str, str], *, is_shadow: bool) -> Answers:
    labelled, actual = with_labels(rows, labels, target.signature.classes[1])
    metrics = measure(labelled.column("score").to_numpy(), _decided(labelled), actual) if labelled.num_rows else ()
    metrics = tuple(one for one in metrics if one.metric != RATE)  # all rows tell that, not only those with a label
    p50, p95 = (None, None) if is_shadow else (np.quantile(rows.column("latency_us").to_numpy(), (0.5, 0.95)) / 1000).tolist()
    rate = _share(RATE, _count(rows), rows.num_rows)
    return Answers(str(target.model), target.threshold, rows.num_rows, rate, p50, p95, metrics)


def _decided(rows: pa.Table) -> np.ndarray:
    decided: np.ndarray = rows.column("decision").to_numpy(zero_copy_only=False).astype(bool)
    return decided


def _count(rows: pa.Table) -> int:
    return int(_decided(rows).sum())


def _share(name: str, count: int, rows: int) -> Estimate:
    return Estimate(name, count / rows, *wilson(count, rows), rows)


def _bounded(share: Estimate) -> str:
    return f"{100 * share.value:.3g} % ({100 * share.low:.3g} to {100 * share.high:.3g})"
