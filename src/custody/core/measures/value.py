"""What right and wrong decisions cost, in money."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.evidence import Estimate
from custody.core.measures.intervals import wilson
from custody.core.measures.performance import Confusion


@dataclass(frozen=True, slots=True)
class CostMatrix:
    """The cost of one decision of each kind, in `currency`; a gain is negative."""

    tp: float
    fp: float
    tn: float
    fn: float
    currency: str


def cost(counts: Confusion, matrix: CostMatrix) -> float:
    """Add up what the counted decisions cost, in the matrix's currency.

    >>> cost(Confusion(tn=90, fp=4, fn=1, tp=5), CostMatrix(tp=0, fp=5, tn=0, fn=100, currency="EUR"))
    120
    """
    return counts.tp * matrix.tp + counts.fp * matrix.fp + counts.tn * matrix.tn + counts.fn * matrix.fn


def _margin(gaps: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    odds = np.sqrt(np.divide(shares, 1 - shares, out=np.zeros(4), where=shares < 1))
    correlation = -np.outer(odds, odds)
    np.fill_diagonal(correlation, 1)
    return sqrt(max(0.0, float(gaps @ correlation @ gaps)))


def expected_cost(labelled: Confusion, matrix: CostMatrix, volume: int, confidence: float = 0.95) -> Estimate:
    """Estimate what `volume` predictions cost from a labelled random sample of them, in the matrix's currency.

    The interval has width even when the sample holds no error. n counts labels; no label is InvalidInput.
    Source: MOVER (Zou and Donner 2008) over Wilson intervals of the four cells, with multinomial correlations.
    """
    if not labelled.n:
        raise InvalidInput("Without labels there is no estimate of the cost.", fix="Label some predictions first.")
    counts = np.array([labelled.tp, labelled.fp, labelled.tn, labelled.fn], dtype=np.float64)
    prices = np.array([matrix.tp, matrix.fp, matrix.tn, matrix.fn], dtype=np.float64)
    shares = counts / labelled.n
    limits = np.array([wilson(k, labelled.n, confidence) for k in counts])
    fall, rise = prices * (shares - limits[:, 0]), prices * (limits[:, 1] - shares)
    value = float(prices @ shares)
    low = value - _margin(np.where(prices > 0, fall, rise), shares)
    high = value + _margin(np.where(prices > 0, rise, fall), shares)
    return Estimate(f"cost in {matrix.currency}", value * volume, low * volume, high * volume, labelled.n, confidence)
