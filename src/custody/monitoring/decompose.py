"""Why a metric is worse on live rows: the inputs moved, or the relation between inputs and outcome changed.

With p and q the densities of reference and live inputs, the shared distribution s is proportional to p q / (p + q): it lies
where both have rows. The difference of the metric is the sum of three steps: reference to shared inputs under the reference's
relation; the reference's to the live relation on the shared inputs; shared to live inputs under the live relation.
Source: Cai, Namkoong and Yadlowsky 2023 (arXiv:2303.02011, DISDE). With balanced classes and c(x) the chance of being live, rows
weigh c (reference) and 1 - c (live) on the shared inputs: the overlap weights of Li, Morgan and Zaslavsky 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from custody.core.errors import InvalidInput
from custody.core.measures.intervals import quantile
from custody.core.measures.spec import Values
from custody.monitoring.betting import RATIOS, ratio_terms
from custody.monitoring.shift.outcome import expected
from custody.monitoring.shift.pool import Pool, Side, pool_of
from custody.monitoring.shift.ratio import Ratio, ratio_of
from custody.monitoring.shift.rows import Floats

MIN_LABELS = 30
SAMPLE = 10_000  # labelled rows of each side that are looked at
FEW_VALUES = 8
RULE_OF_THREE = 1.5  # rows: 1.96 standard errors of this reach to 3 / n, as far as 0 of n says nothing


class Cause(StrEnum):
    """What explains that a metric is worse."""

    INPUTS = "inputs"
    RELATION = "relation"
    BOTH = "both"
    UNCLEAR = "unclear"
    NOT_WORSE = "not_worse"
    NO_OVERLAP = "no_overlap"
    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the difference, live less reference, with its interval; in the metric's unit."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


@dataclass(frozen=True, slots=True)
class Parts:
    """The difference in parts: harder + relation + newer = difference, to rounding.

    harder: more of the inputs that the reference has too (reference to shared inputs). relation: other outcomes for the same
    inputs. newer: inputs that the reference has few of (shared to live inputs). inputs: harder and newer together.
    """

    harder: Part
    relation: Part
    newer: Part
    inputs: Part


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A metric on labelled reference and live rows, and why it differs.

    reference, live, difference: None with too few labels; parts and overlap also where the inputs do not meet. overlap: 1 if
    both sides' inputs are distributed alike, near 0 if they hardly meet: the mean of 4 c (1 - c). labels: of both sides.
    """

    metric: str
    labels: tuple[int, int]
    cause: Cause
    sentence: str
    reference: float | None = None
    live: float | None = None
    difference: Part | None = None
    parts: Parts | None = None
    overlap: float | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """The metric's name, the sign of what is worse, and the intervals' confidence."""

    metric: str
    sign: int
    confidence: float


@dataclass(frozen=True, slots=True, eq=False)
class _Mean:
    """A ratio of means and what each row pulls it by, shape (N,): its influence."""

    value: float
    pull: Floats


def _mean_of(pool: Pool, u: Floats, v: Floats) -> _Mean:
    """Return the ratio of u and v, each the sum of both sides' weighted means."""
    below = _both(pool, v)
    value = _both(pool, u) / below
    return _Mean(value, (u - value * v) / below)


def _both(pool: Pool, values: Floats) -> float:
    return sum(float(pool.weights[side] @ values[side] / pool.weights[side].sum()) for side in (pool.live, ~pool.live))


def _means(ratio: Ratio, u: Floats, v: Floats) -> tuple[_Mean, _Mean, _Mean, _Mean]:
    """Return the metric of reference rows; of the shared inputs under the reference's and the live relation; of live rows.

    On the shared inputs: the residuals of one side weighted by c or 1 - c, plus what is expected of all rows weighted by
    (t - c)^2, t = 1 for live rows. That is the efficient influence function of the overlap-weighted mean, so small errors of
    the classifier and of the expectation only matter multiplied (Chernozhukov et al. 2018; Hirano, Imbens and Ridder 2003).
    """
    pool, live, chance = ratio.pool, ratio.pool.live, expit(ratio.scores)
    square = (live - chance) ** 2
    shared = []
    for side, weight in ((~live, chance), (live, 1 - chance)):
        found = expected(ratio, np.column_stack([u, v]), side, pool.weights * weight)
        parts = [np.where(side, weight * (y - guess), 0.0) + square * guess for y, guess in zip((u, v), found.T, strict=True)]
        shared.append(_mean_of(pool, *parts))
    plain = [_mean_of(pool, np.where(side, u, 0.0), np.where(side, v, 0.0)) for side in (~live, live)]
    return plain[0], shared[0], shared[1], plain[1]


def _least(pool: Pool, u: Floats, v: Floats) -> float:
    """Return the variance to assume at least where rows take few values, such as errors: 0 of n says no more than 3 / n."""
    if len(np.unique(np.column_stack([u, v]), axis=0)) > FEW_VALUES:
        return 0.0
    below = _both(pool, v) / 2
    spread = float(np.ptp(u - _both(pool, u) / 2 / below * v)) / below
    return sum((RULE_OF_THREE * spread / int(side.sum())) ** 2 for side in (pool.live, ~pool.live))


def _part(ratio: Ratio, value: float, pull: Floats, least: float, confidence: float) -> Part:
    """Return a part with its interval; its variance grows by d / n for the d columns that were fitted (MacKinnon and White 1985)."""
    pool, variance = ratio.pool, least
    for side in (pool.live, ~pool.live):
        share = pool.weights[side] / pool.weights[side].sum()
        again = float(share @ share)  # one over the number of rows, for equal weights
        fitted = float(share**2 @ (pull[side] - share @ pull[side]) ** 2)
        variance += fitted / max(1 - again * ratio.design.shape[1], 0.5)
    reach = quantile(confidence) * sqrt(variance)
    return Part(value, value - reach, value + reach)


def labelled(columns: Mapping[str, Values], metric: str, decided: ArrayLike, actual: ArrayLike) -> Side:
    """Prepare labelled rows for `decompose`: accuracy, precision, recall or f1 of decisions against truth, shape (n,) each."""
    if metric not in RATIOS:
        raise InvalidInput(f"'{metric}' is not a ratio of row values.", why=f"Possible are {', '.join(RATIOS)}.")
    return Side(columns, extra=ratio_terms(metric, decided, actual))


def decompose(
    reference: Side,
    live: Side,
    *,
    metric: str = "loss",
    higher_is_better: bool = False,
    confidence: float = 0.95,
    seed: int = 0,
) -> Decomposition:
    """Split the difference of a metric between labelled reference and live rows into moved inputs and a changed relation.

    reference, live: `labelled(...)`, or `Side(columns, extra=(loss,))` with any loss of each row, or `extra=(u, v)` for a
    metric that is mean(u) / mean(v). The reference must be rows that the model was not trained on, such as the holdout.
    Intervals are normal, from the influence functions. A cause is named if its part is worse for sure: each of the two falsely
    with chance at most (1 - confidence) / 2. At most 10,000 rows of each side are looked at.
    Raises: InvalidInput as `relevance`, or if the numbers of each row are not one or two and finite, or a v is negative.
    """
    pool = pool_of(reference, live, seed=seed).first(SAMPLE)
    u, v = _terms(pool)
    labels = (int((~pool.live).sum()), int(pool.live.sum()))
    if said := _too_few(pool, u, v, metric):
        return Decomposition(metric, labels, Cause.TOO_FEW, said)
    return _split(ratio_of(pool), u, v, _Asked(metric, -1 if higher_is_better else 1, confidence))


def _split(ratio: Ratio, u: Floats, v: Floats, asked: _Asked) -> Decomposition:
    means, least = _means(ratio, u, v), _least(ratio.pool, u, v)
    first, shared, changed, last = means

    def part(*steps: tuple[_Mean, _Mean]) -> Part:
        value = sum(after.value - before.value for before, after in steps)
        pull = np.sum([after.pull - before.pull for before, after in steps], axis=0)
        return _part(ratio, value, pull, least, asked.confidence)

    difference, (overlap, met) = part((first, last)), _overlap(ratio)
    m = int(ratio.pool.live.sum())
    labels = (len(u) - m, m)
    from_to = f"{asked.metric} went from {first.value:.3g} to {last.value:.3g}"
    said = f"{from_to} on {labels[0]:,} and {labels[1]:,} labels ({difference})"
    measured = (first.value, last.value, difference)
    if met < MIN_LABELS:
        why = f"nothing can be compared: of the reference's and the live inputs only about {met:.0f} rows meet"
        words = f"{said}; {why}. Label rows where the live inputs are."
        return Decomposition(asked.metric, labels, Cause.NO_OVERLAP, words, *measured, None, overlap)
    parts = Parts(part((first, shared)), part((shared, changed)), part((changed, last)), part((first, shared), (changed, last)))
    cause = _cause(difference, parts, asked.sign)
    words = f"{said}{_explained(cause, parts, labels, asked.sign)}"
    return Decomposition(asked.metric, labels, cause, words, *measured, parts, overlap)


def _terms(pool: Pool) -> tuple[Floats, Floats]:
    if len(pool.extra) not in {1, 2} or not all(np.isfinite(one).all() for one in pool.extra):
        raise InvalidInput("Each labelled row needs a loss, or the two numbers u and v of a ratio; all finite.")
    u, v = pool.extra if len(pool.extra) == 2 else (pool.extra[0], np.ones(len(pool.live)))
    if (v < 0).any():
        raise InvalidInput("The metric mean(u) / mean(v) needs every v to be 0 or more.")
    return u, v


def _too_few(pool: Pool, u: Floats, v: Floats, metric: str) -> str:
    counts = [_worth(pool.weights[side] * v[side]) for side in (~pool.live, pool.live)]
    if min(counts) < MIN_LABELS:
        rests = f"{metric} rests on {counts[0]:,.0f} reference and {counts[1]:,.0f} live labels"
        return f"Nothing can be said: {rests}; {MIN_LABELS} of both are needed."
    if np.ptp(u) == np.ptp(v) == 0:
        return f"Nothing can be said: {metric} is {u[0] / v[0]:.3g} on every row of both."
    return ""


def _worth(weights: Floats) -> float:
    """Return how many rows of equal weight these are worth, 0 if none weighs anything (Kish 1965)."""
    return float(weights.sum() ** 2 / max(weights @ weights, 1e-300))


def _overlap(ratio: Ratio) -> tuple[float, float]:
    """Return the mean of 4 c (1 - c), and how many rows of the side with fewer lie on the shared inputs."""
    chance, live = expit(ratio.scores), ratio.pool.live
    met = min(2 * float(chance[~live].sum()), 2 * float((1 - chance)[live].sum()))
    return _both(ratio.pool, 4 * chance * (1 - chance)) / 2, met


def _cause(difference: Part, parts: Parts, sign: int) -> Cause:
    whole, inputs, relation = (min(sign * one.low, sign * one.high) > 0 for one in (difference, parts.inputs, parts.relation))
    if inputs or relation:
        return Cause.BOTH if inputs and relation else Cause.INPUTS if inputs else Cause.RELATION
    return Cause.UNCLEAR if whole else Cause.NOT_WORSE


def _explained(cause: Cause, parts: Parts, labels: tuple[int, int], sign: int) -> str:
    inputs, relation = f"moved inputs account for {parts.inputs}", f"the same inputs for {parts.relation}"
    where = "that the reference has few of" if sign * (parts.newer.value - parts.harder.value) > 0 else "like its hard ones"
    match cause:
        case Cause.INPUTS:
            advice = f"Labels of the same kind help: collect and label rows {where}, reweigh, train again."
            return f": {inputs}, {relation}. {advice}"
        case Cause.RELATION:
            advice = "Old labels mislead: label fresh rows, train on a shorter window."
            return f": the relation between inputs and outcome has changed; {relation}, {inputs}. {advice}"
        case Cause.BOTH:
            advice = f"Label fresh rows, more of those {where}, and train on a shorter window."
            return f": the inputs moved and the relation changed; {inputs}, {relation}. {advice}"
        case Cause.UNCLEAR:
            return f": worse for sure, but not shown why; {inputs}, {relation}.{_wanted(parts, labels, sign)}"
    return f": no loss is shown; {inputs}, {relation}."


def _wanted(parts: Parts, labels: tuple[int, int], sign: int) -> str:
    """Say how many labels would show the larger part, if it is what it looks like."""
    largest = max(parts.inputs, parts.relation, key=lambda one: sign * one.value)
    if sign * largest.value <= 0:
        return ""
    times = ((largest.high - largest.low) / 2 / largest.value) ** 2
    return f" About {ceil(times * min(labels) / 10) * 10:,} labels of both would."
