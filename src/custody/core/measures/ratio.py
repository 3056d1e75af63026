"""Confidence intervals of a ratio of two means, from independent rows: for numbers, and for labels that are yes or no."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cbrt, inf, isfinite, log, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from custody.core.errors import InvalidInput
from custody.core.measures.intervals import Interval, quantile
from custody.core.measures.roots import root

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Pair = tuple[Floats, Floats]  # of one row: its part of the numerator, its part of the denominator

SMOOTHING = 0.1  # weight of the labels that a row could have had beside the one it has
_DOUBLINGS, _STEPS = 60, 50


def t_quantile(confidence: float, rows: int) -> float:
    """Return the two-sided t quantile of `rows` - 1 degrees of freedom, at least 1; 1.98 for 0.95 and 100 rows."""
    quantile(confidence)  # refuses what is no confidence
    return float(stdtrit(max(rows - 1, 1), (1 + confidence) / 2))


def skewed_ratio(
    u: ArrayLike, v: ArrayLike, *, confidence: float = 0.95, limits: tuple[float, float] = (-inf, inf)
) -> Interval | None:
    """Bound E[u] / E[v] from rows of numbers, shape (n,) each, such as losses: value, low, high, in the unit of u / v.

    limits: where the ratio can lie at all. None where nothing can be said: fewer than two rows, a mean of v that is not
    above 0 or not told from 0. Rows that agree exactly have no width.
    Source: Fieller 1954 for the ratio (test u - m v against mean 0 at each m); Hall 1992 (JRSS B 54, 221-228) for the
    skewness of the t statistic, with a t in place of the normal quantile.
    """
    first, second = _columns(u, v)
    n = len(first)
    if n < 2 or not second.mean() > 0:
        return None
    unit = max(float(np.abs(first).max()) / float(second.mean()), 1e-300)
    first, second = first / unit / second.mean(), second / second.mean()
    value = float(first.mean())
    spread = float((first - value * second).std())
    if spread <= 1e-12:
        return value * unit, value * unit, value * unit
    score, reach = _hall(first, second), t_quantile(confidence, n)
    step = reach * spread / sqrt(n)
    low = _walk(lambda m: score(m) - reach, value, -step, limits[0] / unit)
    high = _walk(lambda m: -score(m) - reach, value, step, limits[1] / unit)
    return (value * unit, low * unit, high * unit) if isfinite(low) and isfinite(high) else None


def _columns(u: ArrayLike, v: ArrayLike) -> Pair:
    first, second = np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape or not (np.isfinite(first) & np.isfinite(second)).all():
        raise InvalidInput("A ratio needs two columns of finite numbers, of equal length.")
    return first, second


def _hall(first: Floats, second: Floats) -> Callable[[float], float]:
    """Return the test of "the ratio is m" as a function of m, about standard normal at the true ratio; falling in m."""
    n, means = len(first), (float(first.mean()), float(second.mean()))
    x, y = first - means[0], second - means[1]
    squares = [float(np.mean(x * x)), float(np.mean(x * y)), float(np.mean(y * y))]
    cubes = [float(np.mean(x**3)), float(np.mean(x * x * y)), float(np.mean(x * y * y)), float(np.mean(y**3))]

    def score(m: float) -> float:
        """Return the transformed t statistic."""
        variance = max(squares[0] - 2 * m * squares[1] + m * m * squares[2], 1e-300)
        skew: float = (cubes[0] - 3 * m * cubes[1] + 3 * m * m * cubes[2] - m**3 * cubes[3]) / variance**1.5
        t = (means[0] - m * means[1]) / sqrt(variance * n / (n - 1))
        return sqrt(n) * (t + skew * t * t / 3 + skew * skew * t**3 / 27 + skew / (6 * n))

    return score


def _walk(excess: Callable[[float], float], value: float, step: float, limit: float) -> float:
    """Walk from the value with growing steps until the test rejects (excess > 0); return where it begins to, or the limit."""
    inner, before = value, excess(value)
    if before >= 0:
        return value
    for _ in range(_DOUBLINGS):
        outer = limit if (value + step - limit) * step >= 0 else value + step
        after = excess(outer)
        if after > 0:
            return root(excess, inner, outer, xtol=1e-6 * abs(outer - inner))
        if outer == limit:
            return limit
        inner, step = outer, 2 * step
    return limit


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Labelled rows, and what else could have been drawn and answered: each row's parts of numerator and denominator.

    seen: parts of n draws at their labels, shape (n,). no, yes: parts of k rows that stand for all that could be drawn, at
    either label; chances: how likely a draw is of such a row, summing to 1; scores: P(yes), shape (k,) each. matter: draws
    whose label could change the ratio.
    """

    seen: Pair
    no: Pair
    yes: Pair
    chances: Floats
    scores: Floats
    matter: int


def tilted_ratio(rows: Outcomes, *, confidence: float = 0.95) -> Interval | None:
    """Bound a ratio of means in 0..1 from weighted yes/no labels: value, low, high. It has width even if every label agrees.

    For each possible ratio m the law of a draw is tilted, as little as possible, until m is true; the observed mean is then
    judged by the spread and skewness of that law. With equal weights this is a score interval of a share, close to
    Wilson's. The law before tilting: the draws and labels seen, and with weight 0.1 what the scores expect of any draw,
    smoothed by half a row in n for either label, so that what was never seen stays possible, however sure the model is.
    None where nothing can be said: no draw whose label matters, or a mean denominator that is not above 0.
    Source: Efron 1981 (Canadian Journal of Statistics 9, 139-158, nonparametric tilting); Wilson and Hilferty 1931 for the
    skewed tail, a gamma law's; a t quantile with as many rows as matter.
    """
    n = len(rows.seen[0])
    if not rows.matter or not rows.seen[1].mean() > 0:
        return None
    top, bottom = (float(part.mean()) for part in rows.seen)
    value = min(max(top / bottom, 0.0), 1.0)
    score, reach = _Tilting(rows).score, t_quantile(confidence, rows.matter)
    step = reach * max(float((rows.seen[0] - value * rows.seen[1]).std()) / bottom, 0.1) / sqrt(n)
    low = _walk(lambda m: score(m) - reach, value, -step, 0.0)
    high = _walk(lambda m: -score(m) - reach, value, step, 1.0)
    return value, low, high


class _Tilting:
    """The test of "the ratio is m" by the law that is tilted to it; remembers the last tilt to start the next from."""

    def __init__(self, rows: Outcomes) -> None:
        self.n, self.tilt = len(rows.seen[0]), 0.0
        self.means = float(rows.seen[0].mean()), float(rows.seen[1].mean())
        yes = (1 - 1 / self.n) * rows.scores + 0.5 / self.n
        expected = SMOOTHING * rows.chances
        self.law = np.concatenate([np.full(self.n, (1 - SMOOTHING) / self.n), expected * (1 - yes), expected * yes])
        self.u, self.v = (np.concatenate(parts) for parts in zip(rows.seen, rows.no, rows.yes, strict=True))

    def score(self, m: float) -> float:
        """Return how far the observed mean of u - m v lies above 0, as a standard normal would, if m were the ratio."""
        z = self.u - m * self.v
        observed = self.means[0] - m * self.means[1]
        if z.max() <= 0 or z.min() >= 0:  # no law has mean 0
            return float(np.sign(observed)) * 1e6
        tilted = self._tilted(z)
        mean = float(tilted @ z)
        centred = z - mean
        variance = float(tilted @ centred**2)
        t = (observed - mean) * sqrt((self.n - 1) / variance)
        skew = float(tilted @ centred**3) / variance**1.5 / sqrt(self.n)
        return _normal(t, skew)

    def _tilted(self, z: Floats) -> Floats:
        """Return the law p exp(d z) whose mean of z is 0: what lies above 0 weighs as much as what lies below.

        Newton's steps for d on the log of that balance, which rises with d and is close to a line; none is longer than 20 / max|z|.
        """
        up, down, unit = np.maximum(z, 0), np.maximum(-z, 0), float(np.abs(z).max())
        self.tilt = min(max(self.tilt, -20 / unit), 20 / unit)
        law = self.law
        for _ in range(_STEPS):
            exponent = self.tilt * z
            law = self.law * np.exp(exponent - exponent.max())
            above, below = max(float(law @ up), 1e-300), max(float(law @ down), 1e-300)
            balance = log(above / below)
            if abs(balance) < 1e-9:
                break
            slope = float(law @ (up * up)) / above + float(law @ (down * down)) / below
            self.tilt -= min(max(balance / slope, -20 / unit), 20 / unit)
        tilted: Floats = law / law.sum()
        return tilted


def _normal(t: float, skew: float) -> float:
    """Restate t, of a law with mean 0, variance 1 and this skewness, as a standard normal value of the same rank."""
    if abs(skew) < 1e-3:
        return t - skew * (t * t - 1) / 6
    return 6 / skew * (cbrt(1 + skew * t / 2) - 1) + skew / 6
