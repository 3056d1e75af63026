"""How right a binary model is: confusion counts, metrics with intervals, counts per group of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate, GroupCounts
from custody.core.measures.intervals import Interval, quantile, wilson

MISSING = "(missing)"
METRICS = ("accuracy", "precision", "recall", "specificity", "f1", "selection_rate", "auc")


@dataclass(frozen=True, slots=True)
class Confusion:
    """Row counts of decision against truth."""

    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n(self) -> int:
        """Return the number of rows."""
        return self.tn + self.fp + self.fn + self.tp


def _flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind != "b" and not np.isin(array, (0, 1)).all()):
        raise InvalidInput(f"'{name}' must be one column of true/false or 0/1.", facts={"shape": str(array.shape)})
    return array.astype(np.bool_)


def _pair(decided: ArrayLike, actual: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    first, second = _flags("decided", decided), _flags("actual", actual)
    if len(first) != len(second):
        raise InvalidInput(f"There are {len(first)} decisions and {len(second)} labels.", why="Each row needs both.")
    return first, second


def confusion(decided: ArrayLike, actual: ArrayLike) -> Confusion:
    """Count decisions against labels, both shape (n,) of true/false or 0/1; other shapes or values are InvalidInput.

    >>> confusion([True, True, False], [True, False, False])
    Confusion(tn=1, fp=1, fn=0, tp=1)
    """
    first, second = _pair(decided, actual)
    tn, fp, fn, tp = np.bincount(2 * second + first, minlength=4).tolist()
    return Confusion(tn, fp, fn, tp)


def _f1_bounds(value: float, n: float, confidence: float) -> tuple[float, float]:
    low, high = wilson(min(n, n * value / (2 - value)), n, confidence)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def estimates(counts: Confusion, confidence: float = 0.95) -> tuple[Estimate, ...]:
    """Read accuracy, precision, recall, specificity, f1 and selection rate off a confusion table, with intervals.

    n of each estimate is its own denominator (recall: positives). A metric with denominator 0 is left out, never NaN.
    Source: Wilson 1927. f1 = 2J/(1+J) with J = tp/(tp+fp+fn): given tp+fp+fn rows, tp is binomial in J, so the
    Wilson interval of J carries over (its n is tp+fp+fn).
    """
    tn, fp, fn, tp = counts.tn, counts.fp, counts.fn, counts.tp
    shares = (
        ("accuracy", tp + tn, counts.n),
        ("precision", tp, tp + fp),
        ("recall", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("selection_rate", tp + fp, counts.n),
    )
    found = [Estimate(name, k / n, *wilson(k, n, confidence), n, confidence) for name, k, n in shares if n]
    if n := tp + fp + fn:
        f1 = 2 * tp / (n + tp)
        found.insert(-1, Estimate("f1", f1, *_f1_bounds(f1, n, confidence), n, confidence))
    return tuple(found)


def bounds(estimate: Estimate, confidence: float) -> Interval:
    """Restate an estimate's interval at another two-sided confidence: value, low, high.

    Shares and f1 are recomputed from value and n; any other metric's distances are scaled by the normal quantiles.
    """
    value, n = estimate.value, estimate.n
    if estimate.metric == "f1":
        return (value, *_f1_bounds(value, n, confidence))
    if estimate.metric in METRICS and estimate.metric != "auc":
        return (value, *wilson(min(n, value * n), n, confidence))
    scale = quantile(confidence) / quantile(estimate.confidence)
    return value, value - scale * (value - estimate.low), value + scale * (estimate.high - value)


def _edge(area: float, end: float, positives: int, negatives: int, z: float) -> float:
    inner, outer, pairs = area, end, positives * negatives
    for _ in range(60):
        middle = (inner + outer) / 2
        shape = 1 + ((positives + negatives) / 2 - 1) * ((1 - middle) / (2 - middle) + middle / (1 + middle))
        inside = abs(area - middle) <= z * sqrt(middle * (1 - middle) * shape / pairs)
        inner, outer = (middle, outer) if inside else (inner, middle)
    return outer


def auc(scores: ArrayLike, actual: ArrayLike, confidence: float = 0.95) -> Estimate | None:
    """Measure the area under the ROC curve: the chance that a positive's score exceeds a negative's, ties count half.

    scores: shape (n,), finite; actual: shape (n,), true/false. None if a class is absent. O(n log n). n counts rows.
    Source: Mann and Whitney 1947; interval: Newcombe 2006 (Statistics in Medicine 25, 559-573), method 5, the score
    form of Hanley and McNeil 1982: it stays inside 0..1 and has width even at a perfect 1.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]).value
    0.75
    """
    values, labels = np.asarray(scores, dtype=np.float64), _flags("actual", actual)
    if values.shape != labels.shape or not np.isfinite(values).all():
        raise InvalidInput(
            "Scores must be finite numbers, one for each label.", facts={"scores": values.size, "labels": labels.size}
        )
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    _, place, ties = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(ties) - (ties - 1) / 2
    area = float((ranks[place][labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
    z = quantile(confidence)
    low, high = (_edge(area, end, positives, negatives, z) for end in (0.0, 1.0))
    return Estimate("auc", area, low, high, len(labels), confidence)


def measure(scores: ArrayLike, decided: ArrayLike, actual: ArrayLike, confidence: float = 0.95) -> tuple[Estimate, ...]:
    """Measure every metric of one labelled sample, each array of shape (n,); what has no denominator is left out."""
    area = auc(scores, actual, confidence)
    return (*estimates(confusion(decided, actual), confidence), *([area] if area else []))


def _named(value: object) -> str:
    absent = value is None or value == "" or (isinstance(value, float) and not isfinite(value))
    return MISSING if absent else str(value)


def group_counts(decided: ArrayLike, actual: ArrayLike, groups: Mapping[str, Sequence[str | None]]) -> tuple[GroupCounts, ...]:
    """Count decisions against labels in each group of each column, sorted by column and group.

    groups: for each column one value a row. None, "" and NaN are the group "(missing)", never dropped.
    """
    first, second = _pair(decided, actual)
    cells = 2 * second.astype(np.int64) + first
    return tuple(counted for column in sorted(groups) for counted in _column_counts(column, groups[column], cells))


def _column_counts(column: str, values: Sequence[str | None], cells: NDArray[np.int64]) -> list[GroupCounts]:
    if len(values) != len(cells):
        raise InvalidInput(f"The group column '{column}' has {len(values)} values for {len(cells)} rows.")
    places: dict[str, int] = {}
    codes = np.fromiter((places.setdefault(_named(value), len(places)) for value in values), np.int64, len(cells))
    table = np.bincount(4 * codes + cells, minlength=4 * len(places)).reshape(-1, 4)
    return [GroupCounts(column, group, *table[place].tolist()) for group, place in sorted(places.items())]
