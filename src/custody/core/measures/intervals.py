"""Confidence intervals of shares and of their differences; with zero or all successes they stay wider than nothing."""

from math import sqrt
from statistics import NormalDist

from custody.core.errors import InvalidInput

Interval = tuple[float, float, float]  # value, low, high


def quantile(confidence: float) -> float:
    """Return the two-sided normal quantile, 1.96 for 0.95; confidence outside (0, 1) is InvalidInput."""
    if not 0 < confidence < 1:
        raise InvalidInput(f"The confidence {confidence} is not between 0 and 1.", fix="Use 0.95, say.")
    return -NormalDist().inv_cdf((1 - confidence) / 2)


def wilson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Bound a share of k successes in n trials: low and high in 0..1.

    k may be fractional (a share times n). n = 0 says nothing: (0, 1). k outside 0..n is InvalidInput.
    Source: Wilson 1927, the score interval without continuity correction.

    >>> [round(bound, 4) for bound in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if not 0 <= k <= n:
        raise InvalidInput(f"{k} successes in {n} trials cannot be.", why="Successes lie between 0 and the number of trials.")
    z = quantile(confidence)
    if n == 0:
        return 0.0, 1.0
    share, spread = k / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    low = 0.0 if k == 0 else max(0.0, min(centre - half, share))
    high = 1.0 if k == n else min(1.0, max(centre + half, share))
    return low, high


def difference(first: Interval, second: Interval) -> Interval:
    """Bound first - second from the two intervals: value, low, high, in the unit of the inputs.

    Both must have the same confidence, which the result then has, and be of independent samples.
    Source: Zou and Donner 2008 (MOVER, "square and add"); with Wilson intervals it is Newcombe 1998.
    """
    (p1, low1, high1), (p2, low2, high2) = first, second
    value = p1 - p2
    return value, value - sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2), value + sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2)


def newcombe(k1: float, n1: float, k2: float, n2: float, confidence: float = 0.95) -> Interval:
    """Bound the difference p1 - p2 of two independent shares: value, low, high in -1..1.

    n1 = 0 or n2 = 0 is InvalidInput: there is no share to compare.
    Source: Newcombe 1998, Statistics in Medicine 17, 873-890, method 10.

    >>> [round(x, 4) for x in newcombe(56, 70, 48, 80)]
    [0.2, 0.0524, 0.3339]
    """
    if n1 <= 0 or n2 <= 0:
        raise InvalidInput("A difference of shares needs at least one row on both sides.")
    return difference((k1 / n1, *wilson(k1, n1, confidence)), (k2 / n2, *wilson(k2, n2, confidence)))
