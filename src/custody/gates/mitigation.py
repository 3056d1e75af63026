"""What a treatment of bias did: the gap between groups before and after it on the same held-out rows, and the accuracy it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate, GroupCounts
from custody.core.measures.intervals import newcombe, quantile
from custody.core.measures.performance import confusion, estimates, group_counts

MEASURES = ("selection_rate", "recall", "false_positive_rate")
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest gap of a measure between any two groups, 0..1, with its interval, and between whom; n: relevant rows of the two."""

    measure: str
    value: float
    low: float
    high: float
    between: tuple[str, str]
    n: int


@dataclass(frozen=True, slots=True)
class Mitigation:
    """A treatment of bias, measured. before and after: gaps in the order of `MEASURES`, those that could be measured.

    method: reweigh, threshold, or other. cost: accuracy before minus after on the same rows, negative if it rose.
    thresholds: by group, for the method threshold. suppressed: how many groups have fewer than 5 relevant rows; they are left out.
    """

    method: str
    column: str
    rows: int
    before: tuple[Gap, ...]
    after: tuple[Gap, ...]
    accuracy_before: Estimate
    accuracy_after: Estimate
    cost: Estimate
    thresholds: Mapping[str, float]
    suppressed: int = 0
    version: int = 1

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        told = [
            f"{one.measure.replace('_', ' ')} gap {one.value:.1%} [{one.low:.1%}, {one.high:.1%}] before, "
            f"{two.value:.1%} [{two.low:.1%}, {two.high:.1%}] after"
            for one in self.before
            for two in self.after
            if one.measure == two.measure
        ]
        paid = f"it cost {self.cost.value:.1%} accuracy [{self.cost.low:.1%}, {self.cost.high:.1%}]"
        return f"{self.method} by {self.column} on {self.rows:,} held-out rows: {'; '.join([*told, paid])}."


LEAST = 5  # relevant rows of a group that is shown


def compare(
    method: str,
    column: str,
    groups: Sequence[str],
    actual: Flags,
    before: Flags,
    after: Flags,
    *,
    thresholds: Mapping[str, float] | None = None,
) -> Mitigation:
    """Compare decisions before and after on the same n rows: groups, actual, before and after have shape (n,).

    Raises: InvalidInput with no row, or fewer than two groups.
    """
    if not len(actual) or len(set(groups)) < 2:
        raise InvalidInput(f"The held-out rows have fewer than two groups of '{column}'.", fix="Name a column with groups.")
    counts = [group_counts(choice, actual, {column: groups}) for choice in (before, after)]
    gaps = [tuple(gap for name in MEASURES if (gap := largest_gap(name, each))) for each in counts]
    small = len({one.group for one in counts[0] if one.n < LEAST})
    return Mitigation(
        method,
        column,
        len(actual),
        before=gaps[0],
        after=gaps[1],
        accuracy_before=_accuracy(before, actual),
        accuracy_after=_accuracy(after, actual),
        cost=paired(before == actual, after == actual),
        thresholds=dict(thresholds or {}),
        suppressed=small,
    )


def _accuracy(choice: Flags, actual: Flags) -> Estimate:
    return next(one for one in estimates(confusion(choice, actual)) if one.metric == "accuracy")


def largest_gap(measure: str, counts: Sequence[GroupCounts], confidence: float = 0.95) -> Gap | None:
    """Return the largest gap between two groups; None if fewer than two have at least 5 relevant rows.

    The interval holds for the largest gap of all pairs at once: each pair is bounded at its share of the error (Bonferroni).
    Source: Newcombe 1998, Statistics in Medicine 17, 873-890, method 10.
    """
    shares = {one.group: _relevant(measure, one) for one in counts}
    shares = {group: (k, n) for group, (k, n) in shares.items() if n >= LEAST}
    pairs = list(combinations(sorted(shares), 2))
    if not pairs:
        return None
    each = 1 - (1 - confidence) / len(pairs)
    found = []
    for one, two in pairs:
        value, low, high = newcombe(*shares[one], *shares[two], confidence=each)
        least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        found.append((abs(value), least, max(abs(low), abs(high)), (one, two)))
    value, _, _, between = max(found)
    n = sum(shares[group][1] for group in between)
    return Gap(measure, value, max(one[1] for one in found), max(one[2] for one in found), between, n)


def _relevant(measure: str, one: GroupCounts) -> tuple[int, int]:
    match measure:
        case "recall":
            return one.tp, one.tp + one.fn
        case "false_positive_rate":
            return one.fp, one.fp + one.tn
        case _:
            return one.tp + one.fp, one.n


def paired(before: Flags, after: Flags, confidence: float = 0.95) -> Estimate:
    """Bound the accuracy that a treatment cost: shape (n,) each, whether a row was decided rightly; of the same rows.

    Source: Agresti and Min 2005, Statistics in Medicine 24, 729-740 (Wald interval after half a row more in each cell).

    >>> found = paired(np.array([True] * 8 + [False] * 2), np.array([True] * 6 + [False] * 4))
    >>> round(found.value, 3), found.low < 0.2 < found.high
    (0.2, True)
    """
    n = len(before)
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    b, c, m = lost + 0.5, won + 0.5, n + 2
    middle, half = (b - c) / m, quantile(confidence) * sqrt(max(b + c - (b - c) ** 2 / m, 0.0)) / m
    value = (lost - won) / n if n else 0.0
    low, high = min(value, max(-1.0, middle - half)), max(value, min(1.0, middle + half))
    return Estimate("accuracy_cost", value, low, high, n, confidence)


def equal_recall(scores: NDArray[np.float64], actual: Flags, groups: Sequence[str], threshold: float) -> dict[str, float]:
    """Return a threshold for each group at which its recall is closest to that of all rows at `threshold`: equal opportunity.

    scores: shape (n,), 0..1. A group without positives keeps `threshold`. Choose on some rows and measure on others.
    Source: Hardt, Price and Srebro 2016, Equality of Opportunity in Supervised Learning, section 3.2 (without randomising).
    """
    positives = int(actual.sum())
    if not positives:
        return dict.fromkeys(sorted(set(groups)), threshold)
    goal = float((scores[actual] >= threshold).mean())
    named, made = np.array(groups, dtype=str), {}
    for group in sorted(set(groups)):
        mine = np.sort(scores[(named == group) & actual])[::-1]
        if not len(mine):
            made[group] = threshold
            continue
        edges = np.append(mine, [np.nextafter(mine[0], 2)])
        recalls = np.array([(mine >= edge).mean() for edge in edges])
        best = np.abs(recalls - goal)
        near = edges[best == best.min()]
        made[group] = float(near[np.abs(near - threshold).argmin()])
    return made


def decided(scores: NDArray[np.float64], groups: Sequence[str], thresholds: Mapping[str, float]) -> Flags:
    """Decide each row at its group's threshold, shape (n,)."""
    made: Flags = scores >= np.array([thresholds[group] for group in groups])
    return made
