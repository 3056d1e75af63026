"""Where training rows are lacking: cells of one column and of pairs of columns that hold far more of the live rows.

Cells are cut by every eighth row and counted on the others, so the counts owe nothing to how the cells were chosen; both
shares are bounded at a level that pays for every cell looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import betaincinv

from custody.monitoring.shift.grid import Axis, grid_of
from custody.monitoring.shift.pool import Counts, Flags, Floats, Pool

LACKING = 2.0  # a slice lacks support if its live share is surely more than twice its training share
MOST, CANDIDATES, PAIRED = 10, 300, 40
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


@dataclass(frozen=True, slots=True)
class _Cell:
    """One cell, or the meeting of two: (axis, cell) each."""

    parts: tuple[tuple[int, int], ...]

    def holds(self, cells: Sequence[Counts]) -> Flags:
        found = cells[self.parts[0][0]] == self.parts[0][1]
        for axis, cell in self.parts[1:]:
            found = found & (cells[axis] == cell)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """The counted rows: each axis' cells, which are live, weights; sizes: of training and live in rows of equal weight."""

    cells: tuple[Counts, ...]
    live: Flags
    weights: Floats
    sizes: tuple[float, float]

    def shares(self, code: Counts, size: int, rows: Flags | slice = slice(None)) -> tuple[Floats, Floats]:
        """Return the training and live share of codes 0..size-1, of some rows against all."""
        live, weights = self.live[rows], self.weights[rows]
        table = np.bincount(2 * code + live, weights, 2 * size).reshape(-1, 2)
        return table[:, 0] / self.weights[~self.live].sum(), table[:, 1] / self.weights[self.live].sum()


def _counted(pool: Pool, axes: Sequence[Axis]) -> _Counted:
    rows = pool.taken(~pool.cutting)
    cells = tuple(axis.cells(values) for axis, values in zip(axes, rows.values, strict=True))
    sizes = [float(part.sum() ** 2 / (part**2).sum()) for part in (rows.weights[~rows.live], rows.weights[rows.live])]
    return _Counted(cells, rows.live, rows.weights, (sizes[0], sizes[1]))


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


def _tables(axes: Sequence[Axis], counted: _Counted) -> Iterator[tuple[tuple[int, ...], Counts, int]]:
    """Yield for each axis, and each pair, the code of its cell of every row, and how many codes there are."""
    for i, axis in enumerate(axes):
        yield (i,), counted.cells[i], axis.size
    differing = [-float(np.abs(np.subtract(*counted.shares(counted.cells[i], axis.size))).sum()) for i, axis in enumerate(axes)]
    for i, j in combinations(sorted(np.argsort(differing, kind="stable")[:PAIRED].tolist()), 2):
        size = axes[j].size
        yield (i, j), counted.cells[i] * size + counted.cells[j], axes[i].size * size


def _looked_at(axes: Sequence[Axis]) -> int:
    sizes = np.array([axis.size for axis in axes])
    return int(sizes.sum() + (sizes.sum() ** 2 - (sizes**2).sum()) // 2)


def _candidates(axes: Sequence[Axis], counted: _Counted, tail: float) -> list[_Cell]:
    found: list[tuple[float, _Cell]] = []
    for places, code, size in _tables(axes, counted):
        training, live = counted.shares(code, size)
        near = np.flatnonzero(live > LACKING * training)
        near = near[_factor(counted, training[near], live[near], tail) > LACKING]
        speaks = _weight_of_evidence(counted, training, live)
        for cell in near.tolist():
            parts = (cell,) if len(places) == 1 else divmod(cell, axes[places[1]].size)
            found.append((-float(speaks[cell]), _Cell(tuple(zip(places, parts, strict=True)))))
    return [cell for _, cell in sorted(found, key=lambda one: (one[0], one[1].parts))[:CANDIDATES]]


def _chosen(counted: _Counted, candidates: list[_Cell], tail: float) -> list[tuple[_Cell, float]]:
    """Choose cells one by one, each by what it says of the rows that those before it do not hold."""
    chosen: list[tuple[_Cell, float]] = []
    left = np.ones(len(counted.live), dtype=np.bool_)
    while candidates and len(chosen) < MOST:
        rows = [np.flatnonzero(cell.holds(counted.cells) & left) for cell in candidates]
        shares = [counted.shares(np.zeros(len(held), dtype=np.int64), 1, held) for held in rows]
        training, live = np.array([float(p[0]) for p, _ in shares]), np.array([float(q[0]) for _, q in shares])
        factor = _factor(counted, training, live, tail)
        simple = np.array([1.0 if len(cell.parts) == 1 else SIMPLER for cell in candidates])
        speaks = np.where(factor > LACKING, simple * _weight_of_evidence(counted, training, live), 0.0)
        best = int(speaks.argmax())
        if speaks[best] <= 0:
            break
        chosen.append((candidates[best], float(factor[best])))
        left[rows[best]] = False
        candidates = [cell for cell, speak in zip(candidates, speaks, strict=True) if speak > 0 and cell != candidates[best]]
    return chosen


def _slice(pool: Pool, axes: Sequence[Axis], cell: _Cell, at_least: float) -> Slice:
    held = np.logical_and.reduce([axes[i].cells(pool.values[i]) == part for i, part in cell.parts])
    sides = (pool.live, ~pool.live)
    live, training = (float(pool.weights[held & side].sum() / pool.weights[side].sum()) for side in sides)
    live_rows, training_rows = (int((held & side).sum()) for side in sides)
    return Slice(
        columns=tuple(axes[i].spec.column for i, _ in cell.parts),
        words=" and ".join(axes[i].words(part) for i, part in cell.parts),
        live_share=live,
        training_share=training,
        live_rows=live_rows,
        training_rows=training_rows,
        missing_rows=float((live - training) * (~pool.live).sum()),
        at_least=at_least,
    )


def slices_lacking(pool: Pool, *, alpha: float) -> tuple[Slice, ...]:
    """Find the cells, and meetings of two columns' cells, whose live share is surely more than twice their training share.

    At most 10, those that training lacks most rows of first; one that the others explain is left out. The chance that any
    listed one is wrong is at most alpha: Clopper and Pearson's bounds with Bonferroni's correction for all cells, and pairs
    of cells, of all columns. Found on at most 50,000 rows of each side, counted on all.
    """
    axes = grid_of(pool, bins=BINS, levels=LEVELS)
    counted = _counted(pool.first(ROWS), axes)
    tail = alpha / (2 * _looked_at(axes))
    chosen = _chosen(counted, _candidates(axes, counted, tail), tail)
    found = [_slice(pool, axes, cell, factor) for cell, factor in chosen]
    return tuple(sorted(found, key=lambda one: -one.missing_rows))
