"""Where training rows are lacking: cells of one column and of pairs of columns that hold far more of the live rows.

Cells are cut by every eighth row and counted on the others, so the counts owe nothing to how the cells were chosen; both
shares are bounded at a level that pays for every cell looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from scipy.special import betaincinv

from custody.core.measures.spec import Kind
from custody.monitoring.shift.grid import Axis, grid_of
from custody.monitoring.shift.pool import Pool
from custody.monitoring.shift.rows import Counts, Flags, Floats

LACKING = 2.0  # a slice lacks support if its live share is surely more than twice its training share
MOST, CANDIDATES, PAIRED = 10, 200, 40
BINS, LEVELS, ROWS = 8, 24, 50_000
SIMPLER = 0.9  # a pair is only named if it says more than a single column by this factor


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that training lacks.

    words: `plan = gold and region = north`. live_share, training_share: of the rows by their weights, 0..1. live_rows,
    training_rows: counted. missing_rows: how many more the training rows would hold at the live share. at_least: the live
    share is surely so many times the training share, all slices together with the confidence asked for.
    """

    columns: tuple[str, ...]
    words: str
    live_share: float
    training_share: float
    live_rows: int
    training_rows: int
    missing_rows: float
    at_least: float

    def __str__(self) -> str:
        live, training = (_percent(share) for share in (self.live_share, self.training_share))
        return f"{self.words}: {live} of live rows, {training} of training rows ({self.training_rows:,} rows)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


Part = tuple[int, int, int]  # an axis, the first and the last of some cells of it


def _holds(parts: Sequence[Part], cells: Sequence[Counts]) -> Flags:
    found = np.ones(len(cells[0]), dtype=np.bool_)
    for axis, first, last in parts:
        found &= (cells[axis] >= first) & (cells[axis] <= last)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """The counted rows: each axis' cells, which are live, weights; sizes: of training and live in rows of equal weight."""

    cells: tuple[Counts, ...]
    live: Flags
    weights: Floats
    sizes: tuple[float, float]

    def shares(self, code: Counts, size: int) -> tuple[Floats, Floats]:
        """Return the training and live share of the codes 0..size-1, shape (N,) of them."""
        table = np.bincount(2 * code + self.live, self.weights, 2 * size).reshape(-1, 2)
        found = table / np.maximum(table.sum(axis=0), 1e-300)
        return found[:, 0], found[:, 1]


def _counted(pool: Pool, axes: Sequence[Axis]) -> _Counted:
    rows = pool.taken(~pool.cutting)
    cells = tuple(axis.cells(values) for axis, values in zip(axes, rows.values, strict=True))
    return _Counted(cells, rows.live, rows.weights, rows.sizes)


def bounds(share: Floats, n: float, tail: float) -> tuple[Floats, Floats]:
    """Bound shares of n rows from below and above, each wrong with chance <= tail; shape of share.

    Source: Clopper and Pearson 1934; with weighted rows n is their effective number, as in Korn and Graubard 1998.
    """
    k = np.clip(share * n, 0, n)
    low = np.where(k > 0, betaincinv(np.maximum(k, 1e-9), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-9), 1 - tail), 1.0)
    return low, high


def _factor(counted: _Counted, training: Floats, live: Floats, tail: float) -> Floats:
    """Return how many times the training share the live share surely is."""
    low, _ = bounds(live, counted.sizes[1], tail)
    _, high = bounds(training, counted.sizes[0], tail)
    found: Floats = low / high
    return found


def _weight_of_evidence(counted: _Counted, training: Floats, live: Floats) -> Floats:
    """Return q ln(q / p) - (q - p): what cells add to the divergence of live from training, half a row added to training."""
    p = (training * counted.sizes[0] + 0.5) / (counted.sizes[0] + 1)
    found: Floats = live * np.log(np.maximum(live, 1e-300) / p) - (live - p)
    return np.where(live > p, found, 0.0)


def _ranges(axis: Axis) -> list[tuple[int, int]]:
    """Return the cells of a category, or the runs of cells of a number, as first and last."""
    if axis.spec.kind is Kind.CATEGORY:
        return [(cell, cell) for cell in range(axis.size)]
    bins = axis.size - 1
    return [(a, b) for a in range(bins) for b in range(a, bins) if b - a < bins - 1] + [(bins, bins)]


def _singles(axes: Sequence[Axis], counted: _Counted) -> Iterator[tuple[list[tuple[Part, ...]], Floats, Floats]]:
    """Yield for each axis its runs of cells, and their training and live shares."""
    for place, axis in enumerate(axes):
        ranges = _ranges(axis)
        training, live = (np.append(0.0, np.cumsum(part)) for part in counted.shares(counted.cells[place], axis.size))
        first, last = np.array(ranges).T
        yield [((place, a, b),) for a, b in ranges], training[last + 1] - training[first], live[last + 1] - live[first]


def _pairs(axes: Sequence[Axis], counted: _Counted) -> Iterator[tuple[list[tuple[Part, ...]], Floats, Floats]]:
    """Yield for each two axes, of the 40 that differ most, their cells' meetings, and their training and live shares."""
    differing = [-float(np.abs(np.subtract(*counted.shares(counted.cells[i], axis.size))).sum()) for i, axis in enumerate(axes)]
    for i, j in combinations(sorted(np.argsort(differing, kind="stable")[:PAIRED].tolist()), 2):
        size = axes[j].size
        training, live = counted.shares(counted.cells[i] * size + counted.cells[j], axes[i].size * size)
        near = np.flatnonzero(live > LACKING * training)
        yield [((i, a, a), (j, b, b)) for a, b in (divmod(code, size) for code in near.tolist())], training[near], live[near]


def _looked_at(axes: Sequence[Axis]) -> int:
    sizes = np.array([axis.size for axis in axes])
    return int(sum(len(_ranges(axis)) for axis in axes) + (sizes.sum() ** 2 - (sizes**2).sum()) // 2)


def _candidates(axes: Sequence[Axis], counted: _Counted, tail: float) -> list[tuple[Part, ...]]:
    """Return what surely lacks training rows, that which says most first."""
    found: list[tuple[float, tuple[Part, ...]]] = []
    for names, training, live in chain(_singles(axes, counted), _pairs(axes, counted)):
        lacking = np.flatnonzero(_factor(counted, training, live, tail) > LACKING)
        speaks = _weight_of_evidence(counted, training[lacking], live[lacking])
        found += [(-speak, names[place]) for place, speak in zip(lacking.tolist(), speaks.tolist(), strict=True)]
    return [parts for _, parts in sorted(found)[:CANDIDATES]]


def _chosen(counted: _Counted, candidates: list[tuple[Part, ...]], tail: float) -> list[tuple[tuple[Part, ...], float]]:
    """Choose cells one by one, each by what it says of the rows that those before it do not hold; with its factor at that."""
    chosen: list[tuple[tuple[Part, ...], float]] = []
    simple = np.array([1.0 if len(parts) == 1 else SIMPLER for parts in candidates])
    held = [np.flatnonzero(_holds(parts, counted.cells)) for parts in candidates]
    sides = [counted.weights * side / counted.weights[side].sum() for side in (~counted.live, counted.live)]
    while candidates and len(chosen) < MOST:
        training, live = (np.array([float(side[rows].sum()) for rows in held]) for side in sides)
        factor = _factor(counted, training, live, tail)
        speaks = np.where(factor > LACKING, simple * _weight_of_evidence(counted, training, live), 0.0)
        best = int(speaks.argmax())
        if speaks[best] <= 0:
            break
        chosen.append((candidates[best], float(factor[best])))
        left = np.ones(len(counted.live), dtype=np.bool_)
        left[held[best]] = False
        held = [rows[left[rows]] for rows in held]
    return chosen


def _slice(pool: Pool, axes: Sequence[Axis], parts: Sequence[Part], at_least: float) -> Slice:
    cells = [axes[axis].cells(pool.values[axis]) for axis, _, _ in parts]
    held = _holds([(place, first, last) for place, (_, first, last) in enumerate(parts)], cells)
    sides = (pool.live, ~pool.live)
    live, training = (float(pool.weights[held & side].sum() / pool.weights[side].sum()) for side in sides)
    live_rows, training_rows = (int((held & side).sum()) for side in sides)
    return Slice(
        columns=tuple(axes[axis].spec.column for axis, _, _ in parts),
        words=" and ".join(axes[axis].words(first, last) for axis, first, last in parts),
        live_share=live,
        training_share=training,
        live_rows=live_rows,
        training_rows=training_rows,
        missing_rows=float((live - training) * (~pool.live).sum()),
        at_least=at_least,
    )


def slices_lacking(pool: Pool, *, alpha: float) -> tuple[Slice, ...]:
    """Find cells, runs of a number's cells, and meetings of two columns' cells, whose live share is surely more than twice their training share.

    At most 10, those that training lacks most rows of first; one that the others explain is left out. The chance that any
    listed one is wrong is at most alpha: Clopper and Pearson's bounds with Bonferroni's correction for all that is looked at.
    Found on at most 50,000 rows of each side, counted on all.
    """
    axes = grid_of(pool, bins=BINS, levels=LEVELS)
    counted = _counted(pool.first(ROWS), axes)
    tail = alpha / (2 * _looked_at(axes))
    chosen = _chosen(counted, _candidates(axes, counted, tail), tail)
    found = [_slice(pool, axes, parts, factor) for parts, factor in chosen]
    return tuple(sorted(found, key=lambda one: -one.missing_rows))
