"""Two samples of the same columns as one pool of rows, in an order that depends on the rows' content alone.

Which row falls into which fold or subsample is decided by a hash of its content, so shuffling the rows changes nothing;
equal rows are told apart by counting them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind, Spec, Values, crc, specs_of
from custody.monitoring.shift.rows import Counts, Flags, Floats, levels_by_row, numbers_by_row, plain

Words = NDArray[np.uint64]

FOLDS = 5
CUT_SHARE, CUT_ROWS = 8, 2_000  # a grid is cut by every 8th row, at most 2,000 of a side
_MISSING = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Side:
    """One sample: columns of n values each, and each row's weight, None = 1 for all.

    extra: further numbers of each row that go along, such as its loss, shape (n,) each.
    """

    columns: Mapping[str, Values]
    weights: ArrayLike | None = None
    extra: tuple[ArrayLike, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The rows of both samples, N in all, ordered by hash.

    values: one array a spec, shape (N,): a number, NaN = missing; of a category the place of its level in `levels`, -1 =
    missing. live: which rows are of the second sample. weights: a mean of 1 on each side. extra: as given.
    origin: where each row stood, the training rows counted first.
    """

    specs: tuple[Spec, ...]
    values: tuple[Floats, ...]
    levels: tuple[tuple[str, ...], ...]
    live: Flags
    weights: Floats
    extra: tuple[Floats, ...]
    origin: Counts

    @property
    def folds(self) -> Counts:
        """Return each row's fold, 0..4, as many rows of each side in every fold."""
        found: Counts = self._places % FOLDS
        return found

    @property
    def cutting(self) -> Flags:
        """Return the rows that a grid is cut by; counts on the other rows owe nothing to them."""
        found: Flags = (self._places % CUT_SHARE == 0) & (self._places < CUT_SHARE * CUT_ROWS)
        return found

    @property
    def _places(self) -> Counts:
        return np.where(self.live, np.cumsum(self.live), np.cumsum(~self.live)) - 1

    @property
    def sizes(self) -> tuple[float, float]:
        """Return how many rows of equal weight training and live rows are worth (Kish 1965); n and m without weights."""
        training, live = (self.weights[side] for side in (~self.live, self.live))
        return float(training.sum() ** 2 / (training @ training)), float(live.sum() ** 2 / (live @ live))

    def first(self, rows: int) -> "Pool":
        """Return at most so many rows of each side: those of the smallest hashes, a random sample."""
        return self if len(self.live) <= rows else self.taken(self._places < rows)

    def taken(self, rows: Flags) -> "Pool":
        """Return some of the rows."""
        values, extra = (tuple(array[rows] for array in arrays) for arrays in (self.values, self.extra))
        live, weights = self.live[rows], self.weights[rows]
        return Pool(self.specs, values, self.levels, live, _balanced(weights, live), extra, self.origin[rows])


def _balanced(weights: Floats, live: Flags) -> Floats:
    found = weights.copy()
    for side in (live, ~live):
        found[side] /= max(found[side].mean(), 1e-300) if side.any() else 1.0
    return found


def _weights(side: Side, rows: int, name: str) -> Floats:
    if side.weights is None:
        return np.ones(rows)
    found = np.asarray(side.weights, dtype=np.float64)
    if found.shape != (rows,) or not np.isfinite(found).all() or (found < 0).any() or found.sum() <= 0:
        raise InvalidInput(f"The weights of the {name} rows must be {rows} finite numbers >= 0, not all 0.")
    shares: Floats = found / found.mean()
    return shares


def _rows(side: Side, name: str) -> int:
    shapes = {(len(values),) for values in side.columns.values()} | {np.shape(one) for one in side.extra}
    if len(shapes) != 1 or (0,) in shapes:
        raise InvalidInput(
            f"The {name} sample needs one row or more, and columns of one length.",
            facts={"shapes": [str(shape) for shape in sorted(shapes)]},
        )
    (rows,) = shapes.pop()
    return int(rows)


def _numbers(spec: Spec, sides: Sequence[Side]) -> tuple[Floats, tuple[str, ...], Words]:
    found = np.concatenate([numbers_by_row(spec, side.columns[spec.source]) for side in sides]) + 0.0
    found[np.isnan(found)] = np.nan
    return found, (), np.where(np.isnan(found), _MISSING, found.view(np.uint64))


def _levels(spec: Spec, sides: Sequence[Side]) -> tuple[Floats, tuple[str, ...], Words]:
    read = [level for side in sides for level in levels_by_row(side.columns[spec.source])]
    if aliases := spec.aliases():
        read = [level and aliases.get(level, level) for level in read]
    levels = tuple(sorted({level for level in read if level is not None}))
    places = {level: place for place, level in enumerate(levels)}
    found = np.array([-1 if level is None else places[level] for level in read], dtype=np.int64)
    bits = np.array([*map(crc, levels), _MISSING], dtype=np.uint64)
    return found.astype(np.float64), levels, bits[found]


def _mixed(words: Words) -> Words:
    """Scramble 64 bits; source: splitmix64 (Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return words ^ (words >> np.uint64(31))


def _hashed(parts: Sequence[Words], seed: int) -> Words:
    found = np.full(len(parts[0]), _mixed(np.array([seed % 2**63 + 1], dtype=np.uint64))[0], dtype=np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            found = _mixed((found ^ part) + _MISSING)
        order = np.argsort(found, kind="stable")
        first = np.flatnonzero(np.diff(found[order], prepend=~found[order[:1]]))
        copies = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
        found[order] += copies.astype(np.uint64) * _MISSING  # the second of two equal rows is another row
    return _mixed(found)


def pool_of(training: Side, live: Side, *, seed: int = 0) -> Pool:
    """Read two samples of the same columns; the kinds of columns are those of the first, as a reference would have them.

    seed: >= 0; another one gives other folds and subsamples.
    Raises: InvalidInput if a side has no row or no column, the columns' names differ, or lengths or weights do not fit.
    """
    if set(training.columns) != set(live.columns) or not training.columns or len(training.extra) != len(live.extra):
        differing = sorted(set(training.columns) ^ set(live.columns))
        raise InvalidInput("Both samples need the same columns, one at least.", facts={"differing": differing})
    sides = tuple(
        replace(side, columns={name: plain(side.columns[name]) for name in sorted(side.columns)}) for side in (training, live)
    )
    training, live = sides
    n, m = _rows(training, "training"), _rows(live, "live")
    specs = specs_of(training.columns)
    read = [(_numbers if spec.kind is Kind.NUMBER else _levels)(spec, sides) for spec in specs]
    is_live = np.arange(n + m) >= n
    weights = np.concatenate([_weights(training, n, "training"), _weights(live, m, "live")])
    pairs = zip(training.extra, live.extra, strict=True)
    extra = [np.concatenate([np.asarray(a, np.float64), np.asarray(b, np.float64)]) + 0.0 for a, b in pairs]
    bits = [words for _, _, words in read] + [array.view(np.uint64) for array in (weights, *extra)]
    order = np.argsort(_hashed([*bits, is_live.astype(np.uint64)], seed), kind="stable")
    values = tuple(array[order] for array, _, _ in read)
    levels = tuple(names for _, names, _ in read)
    return Pool(specs, values, levels, is_live[order], weights[order], tuple(array[order] for array in extra), order)
