"""The inverse of the incomplete beta function, for bands of shares; the drift path needs no more of a statistics library."""

from math import lgamma, log, pi
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput

Floats = NDArray[np.float64]


def _rule(n: int) -> tuple[Floats, Floats]:
    """Return the n nodes and weights of Gauss and Legendre's rule on [-1, 1] (Golub and Welsch 1969)."""
    i = np.arange(1, n)
    beside = np.diag(i / np.sqrt(4.0 * i * i - 1), 1)
    nodes, vectors = np.linalg.eigh(beside + beside.T)
    return nodes, 2 * vectors[0] ** 2


_NODES, _WEIGHTS = _rule(32)
_DEEP = 36.0  # nats below its largest value where an integrand is nothing any more
_LARGE = 20.0  # from here on the series is exact
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680)


def _remainder(x: Floats) -> Floats:
    """Return log gamma(x) less Stirling's formula, x >= 1."""
    large = np.maximum(x, _LARGE)
    found: Floats = (_STIRLING[0] + (_STIRLING[1] + (_STIRLING[2] + _STIRLING[3] / large**2) / large**2) / large**2) / large
    small = x < _LARGE
    found[small] = [lgamma(one) - (one - 0.5) * log(one) + one - 0.5 * log(2 * pi) for one in x[small].tolist()]
    return found


def _log_peak(a: Floats, b: Floats) -> Floats:
    """Return log of the beta density at its mean a / (a + b), times share and rest there: free of cancellation."""
    n = a + b
    found: Floats = 0.5 * np.log(a * b / n / (2 * pi)) + _remainder(n) - _remainder(a) - _remainder(b)
    return found


def _height(t: Floats, a: Floats, b: Floats) -> Floats:
    """Return log of (t / mean)^a ((1 - t) / (1 - mean))^b, exact near the mean as well as far below it."""
    mean = a / (a + b)
    below = (mean - t) / mean
    first = np.where(below < 0.5, np.log1p(-np.minimum(below, 0.5)), np.log(t / mean))
    found: Floats = a * first + b * np.log1p((mean - t) * (a + b) / b)
    return found


def _reach(x: Floats, a: Floats, b: Floats) -> Floats:
    """Return how far below x the integrand is `_DEEP` nats lower, at most x: a parabola's reach, and two steps of Newton's."""
    slope, bend = np.maximum(a / x - b / (1 - x), 0.0), a / x**2 + b / (1 - x) ** 2
    reach = 2 * _DEEP / (slope + np.sqrt(slope**2 + 2 * _DEEP * bend))
    for _ in range(2):
        inside = np.minimum(reach, 0.99 * x)
        fallen = -a * np.log1p(-inside / x) - b * np.log1p(inside / (1 - x))
        reach = inside + (_DEEP - fallen) / (a / (x - inside) - b / (1 - x + inside))
    return np.minimum(reach, x)


def _log_tail(u: Floats, a: Floats, b: Floats, peak: Floats) -> tuple[Floats, Floats]:
    """Return log I_x(a, b) and its slope in u, the log odds of x, for x below the mean; by Gauss and Legendre's rule.

    u, a, b, peak: shape (k, 1).
    """
    x = 1 / (1 + np.exp(-u))
    reach = _reach(x, a, b)
    t = (x - reach) + reach * (1 + _NODES) / 2
    height = _height(t, a, b) - np.log(t * (1 - t))
    top = height.max(axis=1, keepdims=True)
    tail = np.log((np.exp(height - top) * reach / 2) @ _WEIGHTS)[:, None] + top + peak
    return tail, np.exp(_height(x, a, b) + peak - tail)


def beta_low(a: ArrayLike, b: ArrayLike, tail: float) -> Floats:
    """Return x with I_x(a, b) = tail: the lower quantile of a beta distribution, 0..1, shape (k,).

    a, b: shape (k,), 1 or more. tail: 1e-100 to 0.25. Right to about 1e-10 of x for a + b up to 1e9.
    Raises: InvalidInput outside these ranges.
    Source: Newton's method on log I over the log odds of x, which is concave (the logit of a beta variable has a
    log-concave density), so from below it never overshoots.
    """
    first, second = (np.asarray(one, dtype=np.float64).reshape(-1, 1) for one in (a, b))
    if not 1e-100 <= tail <= 0.25 or not (first >= 1).all() or not (second >= 1).all():
        raise InvalidInput("A beta quantile needs a and b of 1 or more, and a tail between 0 and 0.25.")
    peak, odds = _log_peak(first, second), np.log(first / second)
    u = odds + NormalDist().inv_cdf(tail) * np.sqrt(1 / first + 1 / second)
    for _ in range(100):
        found, slope = _log_tail(u, first, second, peak)
        step = (log(tail) - found) / slope
        u = np.clip(u + step, -300.0, odds - 1e-12)
        if (np.abs(step) <= 1e-10 * (1 + np.exp(u))).all():  # relative to the quantile
            break
    quantile: Floats = 1 / (1 + np.exp(-u[:, 0]))
    return quantile
