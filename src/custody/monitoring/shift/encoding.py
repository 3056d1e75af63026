"""Rows as numbers for a classifier: which cell of each column a row is in, a number's value, and cells of pairs of columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from custody.core.measures.spec import Kind
from custody.monitoring.shift.grid import Axis, grid_of
from custody.monitoring.shift.pool import Pool
from custody.monitoring.shift.rows import Counts, Flags, Floats

COLUMNS, BINS, LEVELS = 128, 8, 12
BIN_ROWS = 250  # of the smaller side, for each bin of a number: with few rows, bins cost more than they tell
REACH, PRODUCT_REACH = 4.0, 6.0  # where standardised values and products are cut off, so that no single row rules a fit

ALL = slice(None)
Pair = tuple[int, int]  # two columns, whose product is a further one


@dataclass(frozen=True, slots=True)
class Encoding:
    """The columns of a design matrix, in this order: ones, cells, values, products of two of these.

    axes: with their place in the pool. cells: an axis and its cell, 0 or 1. values: an axis whose standardised number is a
    column. left_out: columns of the samples that had no room.
    """

    axes: tuple[tuple[int, Axis], ...]
    cells: tuple[tuple[int, int], ...]
    values: tuple[int, ...]
    pairs: tuple[Pair, ...] = ()
    left_out: int = 0

    @property
    def smooth(self) -> Flags:
        """Return which columns, products not counted, are a number's value, shape (d,)."""
        return np.arange(1 + len(self.cells) + len(self.values)) > len(self.cells)

    @property
    def meetings(self) -> Flags:
        """Return which two columns make a product that says something new, shape (d, d): each once, i <= j.

        Those of two axes, and the square of a value.
        """
        axis = np.array([-1, *(axis for axis, _ in self.cells), *self.values])
        found = (axis[:, None] != axis) | np.diag(self.smooth)
        found[0] = found[:, 0] = False
        return np.triu(found)

    def matrix(self, pool: Pool, rows: Counts | slice = ALL) -> Floats:
        """Encode the rows of a pool, or some of them, shape (N, d)."""
        found = [axis.cells(pool.values[place][rows]) for place, axis in self.axes]
        columns = [np.ones(len(pool.live[rows]))]
        columns += [(found[axis] == cell).astype(np.float64) for axis, cell in self.cells]
        columns += [standardised(axis, pool.values[place][rows]) for place, axis in (self.axes[i] for i in self.values)]
        columns += [np.clip(columns[i] * columns[j], -PRODUCT_REACH, PRODUCT_REACH) for i, j in self.pairs]
        return np.column_stack(columns)

    def paired(self, pairs: Sequence[Pair]) -> "Encoding":
        """Return the same with these products."""
        return replace(self, pairs=tuple(pairs))


def standardised(axis: Axis, values: Floats) -> Floats:
    """Return (x - median) / interquartile range, within -4..4; a missing value is 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - axis.center) / axis.scale
    return np.clip(np.nan_to_num(scaled, nan=0.0, posinf=REACH, neginf=-REACH), -REACH, REACH)


def encoding_of(pool: Pool) -> Encoding:
    """Choose the columns, at most about 128: of every column its cells and value, as fine as there is room.

    Where 3 cells each are too many, the columns are taken that differ most between the sides in the cutting rows. What is the
    same for all rows of the pool is left out.
    """
    room = max(COLUMNS // max(len(pool.specs), 1) - 1, 3)
    least = min(int(pool.live.sum()), int((~pool.live).sum()))
    axes = list(enumerate(grid_of(pool, bins=min(BINS, room, max(least // BIN_ROWS, 3)), levels=min(LEVELS, room))))
    kept = COLUMNS // (room + 1)
    left_out = max(len(axes) - kept, 0)
    if left_out:
        cutting = pool.taken(pool.cutting)
        differing = [-_differing(cutting, place, axis) for place, axis in axes]
        axes = [axes[place] for place in sorted(np.argsort(differing, kind="stable")[:kept].tolist())]
    cells, values = [], []
    for i, (place, axis) in enumerate(axes):
        used = np.flatnonzero(np.bincount(axis.cells(pool.values[place]), minlength=axis.size))
        cells += [(i, int(cell)) for cell in used if len(used) > 1]
        values += [i] if axis.spec.kind is Kind.NUMBER and np.ptp(standardised(axis, pool.values[place])) > 0 else []
    return Encoding(tuple(axes), tuple(cells), tuple(values), left_out=left_out)


def _differing(pool: Pool, place: int, axis: Axis) -> float:
    """Return the chi-square distance of the two sides' shares of cells, for each cell more than one."""
    cells = axis.cells(pool.values[place])
    first, second = (np.bincount(cells[side], pool.weights[side], axis.size) / side.sum() for side in (~pool.live, pool.live))
    return float(((first - second) ** 2 / np.maximum(first + second, 1e-12)).sum() / (axis.size - 1))
