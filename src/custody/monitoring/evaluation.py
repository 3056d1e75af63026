"""How right a deployment was in one window, on its labels, and whether that is worse than what was promised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.evidence import Check, Estimate, GroupCounts, Outcome
from custody.core.measures.intervals import difference
from custody.core.measures.performance import Confusion, bounds, confusion, estimates, group_counts, measure
from custody.core.measures.value import CostMatrix, expected_cost
from custody.core.refs import ModelRef

MIN_LABELS = 30


@dataclass(frozen=True, slots=True)
class Slice:
    """One group of people in a window: its column and value, its labelled rows, and one metric; None if nothing to measure."""

    column: str
    group: str
    labelled: int
    estimate: Estimate | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One window of one model version at one threshold.

    at: when it was computed. start, end: of the window's predictions. predictions, labelled: rows. cost: expected cost of all
    predictions of the window in the deployment's currency, None without a cost matrix or labels. asked: answers that people were
    asked about, drawn with known chances; 0 = every label of the window counts. slices: of one metric, measured on a draw.
    """

    id: str
    at: datetime
    start: datetime
    end: datetime
    model: ModelRef
    threshold: float
    predictions: int
    labelled: int
    metrics: tuple[Estimate, ...]
    cost: float | None = None
    groups: tuple[GroupCounts, ...] = ()
    asked: int = 0
    slices: tuple[Slice, ...] = ()

    @property
    def coverage(self) -> float:
        """Return the share of predictions (or, of a draw, of the answers asked about) with a label, 0 without predictions."""
        expected = self.asked or self.predictions
        return self.labelled / expected if expected else 0.0

    def metric(self, name: str) -> Estimate | None:
        """Return an estimate by its metric, None if there was nothing to measure it on."""
        return next((estimate for estimate in self.metrics if estimate.metric == name), None)


def slices(evaluation: Evaluation, metric: str) -> tuple[Slice, ...]:
    """Read one metric for every group of an evaluation, in the order of columns and groups; auc has none: it needs scores."""
    if evaluation.asked:
        return evaluation.slices
    found = []
    for one in evaluation.groups:
        measured = estimates(Confusion(one.tn, one.fp, one.fn, one.tp))
        found.append(Slice(one.column, one.group, one.n, next((m for m in measured if m.metric == metric), None)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A window's predictions that have a label: scores, decisions and truth, shape (n,); groups of people by column."""

    scores: ArrayLike
    decided: ArrayLike
    actual: ArrayLike
    groups: Mapping[str, Sequence[str | None]]


def evaluate(
    rows: Labelled,
    *,
    id: str,  # noqa: A002 - the noun's own name
    at: datetime,
    window: tuple[datetime, datetime],
    model: ModelRef,
    threshold: float,
    predictions: int,
    costs: CostMatrix | None = None,
) -> Evaluation:
    """Measure one window on its labelled rows; `predictions` counts all rows, with or without a label.

    A metric that nothing can be said about (no positive, no label) is left out, never NaN.
    Raises: InvalidInput if there are more labels than predictions, or the arrays do not fit.
    """
    counts = confusion(rows.decided, rows.actual)
    if counts.n > predictions:
        raise InvalidInput(f"{counts.n} predictions have a label, but the window holds only {predictions} predictions.")
    return Evaluation(
        id=id,
        at=at,
        start=window[0],
        end=window[1],
        model=model,
        threshold=threshold,
        predictions=predictions,
        labelled=counts.n,
        metrics=measure(np.asarray(rows.scores), rows.decided, rows.actual),
        cost=expected_cost(counts, costs, predictions).value if costs and counts.n else None,
        groups=group_counts(rows.decided, rows.actual, rows.groups),
    )


def degraded(
    metric: str,
    registered: Estimate | None,
    live: Estimate | None,
    *,
    tolerance: float,
    alpha: float,
    look: int,
    reference: str = "registered",
    min_labels: int = MIN_LABELS,
) -> Check:
    """Ask whether a metric is shown to be below its reference by more than `tolerance`; fail means it is.

    look: 1 for the first closed window, 2 for the second. Window t is tested one-sided at level alpha / (t (t + 1)); these
    add up to alpha, so by the union bound any number of windows raises a false alarm with chance <= alpha.
    Inconclusive: an estimate is absent, or rests on fewer than `min_labels` rows. The sentence's interval is two-sided, 95 %.
    Source: Newcombe 1998, method 10; for f1 and auc MOVER (Zou and Donner 2008) over their own intervals.
    """
    name = f"performance:{metric}"
    if look < 1:
        raise InvalidInput(f"The first closed window is look 1, not {look}.")
    if registered is None or live is None or live.n < min_labels:
        return _too_few(name, metric, registered, live, reference, min_labels)
    level = alpha / (look * (look + 1))
    drop, low, high = difference(bounds(registered, 0.95), bounds(live, 0.95))
    _, proven, _ = difference(bounds(registered, 1 - 2 * level), bounds(live, 1 - 2 * level))
    failed = proven > tolerance
    facts: dict[str, Json] = {
        "metric": metric,
        "live": live.value,
        "live_n": live.n,
        "reference": registered.value,
        "reference_n": registered.n,
        "drop": drop,
        "drop_low": low,
        "drop_high": high,
        "proven": proven,
        "tolerance": tolerance,
        "level": level,
        "look": look,
        "alpha": alpha,
        "against": reference,
        "estimates": [_numbers(registered), _numbers(live)],
    }
    side = "below" if drop > 0 else "not below"
    said = f"{metric} {live.value:.3f} on {live.n:,} labels is {side} {registered.value:.3f} on {registered.n:,} ({reference})"
    gap = f" by {drop:.3f} [{low:.3f}, {high:.3f}]" if drop > 0 else ""
    verdict = f"surely more than the tolerated {tolerance:g}" if failed else f"not surely more than the tolerated {tolerance:g}"
    return Check(name, Outcome.FAIL if failed else Outcome.PASS, f"{said}{gap}{f'; {verdict}' if drop > 0 else ''}", facts)


def _numbers(estimate: Estimate) -> list[Json]:
    return [estimate.value, estimate.low, estimate.high, estimate.n, estimate.confidence]


def judged_again(facts: Mapping[str, Json]) -> Check:
    """Judge once more from the facts of a check that `degraded` made; what was right then gives the same check now."""
    metric, estimates = str(facts["metric"]), facts["estimates"]
    assert isinstance(estimates, list)
    registered, live = (Estimate(metric, *one) for one in estimates)  # type: ignore[misc]  # written by `_numbers`
    tolerance, alpha, look = (float(str(facts[name])) for name in ("tolerance", "alpha", "look"))
    return degraded(
        metric, registered, live, tolerance=tolerance, alpha=alpha, look=int(look), reference=str(facts["against"]), min_labels=1
    )


def _too_few(
    name: str, metric: str, registered: Estimate | None, live: Estimate | None, reference: str, min_labels: int
) -> Check:
    if registered is None:
        return Check(name, Outcome.INCONCLUSIVE, f"there is no {reference} {metric} to compare with")
    found = live.n if live else 0
    facts: dict[str, Json] = {"metric": metric, "live_n": found, "needed": min_labels, "more": min_labels - found}
    said = f"{metric} rests on {found} labels; about {min_labels - found} more are needed"
    return Check(name, Outcome.INCONCLUSIVE, said, facts)
