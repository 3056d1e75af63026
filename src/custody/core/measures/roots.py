"""Roots of functions of one number."""

from collections.abc import Callable


def root(function: Callable[[float], float], low: float, high: float, *, xtol: float = 2e-12) -> float:
    """Return where a continuous function is 0, to within xtol; its signs at low and high must differ, else ValueError.

    Source: Brent 1973, chapter 4.

    >>> round(root(lambda x: x * x - 2, 0, 2), 9)
    1.414213562
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - a fifth of a second that most commands need not wait

    return float(brentq(function, low, high, xtol=xtol))
