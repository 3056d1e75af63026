"""A grid of cells over the columns of two samples: bins of numbers, levels of categories, a cell for what is missing."""

from dataclasses import dataclass
from math import floor, isfinite, log10

import numpy as np

from custody.core.measures.spec import Kind, Spec
from custody.monitoring.shift.pool import Pool
from custody.monitoring.shift.rows import Counts, Floats

LEEWAY = 0.15  # of a bin: how far a cut may be moved to become a short number
REACH = 4.0  # standardised values are cut off here: beyond, the bins speak


@dataclass(frozen=True, slots=True)
class Axis:
    """One column's cells.

    cuts: of a number, ascending; cell i holds cuts[i-1] <= x < cuts[i]. levels: of a category, the places in the pool's levels
    that have a cell of their own, and their names. Then follows, for a category, a cell for all other levels; last, one for
    missing values. center, scale: median and interquartile range of a number.
    """

    spec: Spec
    cuts: tuple[float, ...] = ()
    levels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0

    @property
    def size(self) -> int:
        """Return the number of cells."""
        return (len(self.cuts) + 1 if self.spec.kind is Kind.NUMBER else len(self.levels) + 1) + 1

    def cells(self, values: Floats) -> Counts:
        """Return the cell of each value of the pool, shape (N,)."""
        if self.spec.kind is Kind.NUMBER:
            found = np.searchsorted(np.array(self.cuts), values, side="right")
            return np.where(np.isnan(values), self.size - 1, found)
        table = np.full(int(max(values.max(initial=-1.0), *self.levels, -1)) + 2, self.size - 2, dtype=np.int64)
        table[list(self.levels)] = np.arange(len(self.levels))
        table[-1] = self.size - 1
        return table[values.astype(np.int64)]

    def words(self, first: int, last: int) -> str:
        """Say what some cells hold: `age < 18`, `18 <= age < 25`, `plan = gold`, `plan is missing`."""
        name = self.spec.column
        if first == self.size - 1:
            return f"{name} is missing"
        if self.spec.kind is Kind.CATEGORY:
            return f"{name} = {self.names[first]}" if first < len(self.names) else f"{name} = any other value"
        ends = [f"{cut:.12g}" for cut in self.cuts]
        if last == len(ends):
            return f"{name} >= {ends[first - 1]}" if first else f"{name} is a number"
        return f"{ends[first - 1]} <= {name} < {ends[last]}" if first else f"{name} < {ends[last]}"


def _short(low: float, high: float) -> float:
    """Return the largest decimal of fewest digits in (low, high]."""
    finest = 2 - floor(log10(high - low)) if high - low < np.inf else 0
    for digits in range(finest - 12, finest + 1):
        unit = np.float64(10.0) ** -digits
        tried = float(f"{np.floor(high / unit) * unit:.15g}")
        if isfinite(tried) and low < tried <= high:
            return tried
    return high


def _cuts(values: Floats, weights: Floats, bins: int) -> tuple[float, ...]:
    """Cut numbers into bins of about equal weight, between distinct values, at short decimals."""
    distinct, place = np.unique(values, return_inverse=True)
    cumulated = np.cumsum(np.bincount(place, weights, minlength=len(distinct)))
    wanted = np.arange(1, bins)[:, None] / bins + np.array([-LEEWAY, LEEWAY]) / bins
    low, high = np.searchsorted(cumulated, wanted * cumulated[-1]).T
    high = np.where(low == high, high + 1, high)
    inside = high < len(distinct)
    pairs = {*zip(low[inside].tolist(), high[inside].tolist(), strict=True)}
    return tuple(sorted({_short(float(distinct[a]), float(distinct[b])) for a, b in pairs}))


def _axis(pool: Pool, place: int, bins: int, levels: int) -> Axis:
    spec, values, weights = pool.specs[place], pool.values[place], pool.weights / _sizes(pool)
    if spec.kind is Kind.NUMBER:
        finite = np.isfinite(values) & (weights > 0)
        values, weights = values[finite], weights[finite]
        return Axis(spec, _cuts(values, weights, bins), (), (), *_scaled(values)) if len(values) else Axis(spec)
    present = values >= 0
    shares = np.bincount(values[present].astype(np.int64), weights[present], len(pool.levels[place]))
    ranked = [int(level) for level in np.lexsort((np.arange(len(shares)), -shares))[:levels] if shares[level] > 0]
    return Axis(spec, (), tuple(ranked), tuple(pool.levels[place][level] for level in ranked))


def _scaled(values: Floats) -> tuple[float, float]:
    with np.errstate(over="ignore", invalid="ignore"):
        quarter, center, three = (float(value) for value in np.quantile(values, (0.25, 0.5, 0.75)))
        scales = (three - quarter, float(values.std()), 1.0)
    return center, next(scale for scale in scales if isfinite(scale) and scale > 0)


def _sizes(pool: Pool) -> Floats:
    """Return the number of rows of each row's side, so that both sides weigh the same."""
    live = int(pool.live.sum())
    return np.where(pool.live, live, len(pool.live) - live).astype(np.float64)


def grid_of(pool: Pool, *, bins: int, levels: int) -> tuple[Axis, ...]:
    """Cut every column by the pool's cutting rows, both sides weighing the same: at most so many bins and levels each.

    Cells of both samples are needed: quantiles of the training rows alone have no cell for where they are not.
    """
    cutting = pool.taken(pool.cutting)
    return tuple(_axis(cutting, place, bins, levels) for place in range(len(pool.specs)))
