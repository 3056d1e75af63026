"""One mergeable summary per column and batch: exact integer counts, from which drift and quantiles are read.

Numbers fall into a float-prefix histogram: the 17 leading bits of the standardised value as float32, so buckets are
between 1/512 and 1/256 of the value wide, and rank order is value order. Categories are counted by level. Merging adds
integers: commutative, associative, the same bits for any split and order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures.packing import pack, unpack
from custody.core.measures.spec import Kind, Spec, Values, crc, levels_read, numbers_read

try:
    from custody.core.measures._buckets import counted

    COMPILED = True
except (ImportError, RuntimeError):  # there was no C compiler where custody was installed, or NumPy is older than it was then
    COMPILED = False

SUMMARY_VERSION = 1
Counts = NDArray[np.int64]

_BITS = 15  # float32 bits below the prefix
_NEGATIVE, _ZERO, _BUCKETS = 65_536, 65_281, 131_072
_INFINITE = 65_280  # prefix of infinity; behind it are those of NaN, whose highest fraction bit arithmetic has set
_STEP = 32_768  # values that are scaled and counted at once: few enough to stay in a processor's cache
_FEW = 8_192  # fewer values than this are quicker sorted than looked for in every bucket
_LARGEST = float(np.finfo(np.float32).max)


def _ranks_of(prefixes: NDArray[np.int64]) -> Counts:
    return np.where(prefixes >= _NEGATIVE, _ZERO - 1 - (prefixes - _NEGATIVE), _ZERO + prefixes)


@cache
def _edges() -> NDArray[np.float64]:
    """Return the lower end of every rank's bucket before scaling, and the upper end of the last; a bucket ends where the next begins."""
    prefixes = np.arange(_INFINITE + 1, dtype=np.uint32)
    ends = np.minimum((prefixes << np.uint32(_BITS)).view(np.float32).astype(np.float64), _LARGEST)
    return np.concatenate([[-_LARGEST], -ends[:0:-1], ends])  # rank 0 is no bucket's


def bucket_ends(spec: Spec, ranks: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper end of numeric buckets in the column's own unit, shape (k,) each."""
    edges = _edges()
    return edges[ranks] * spec.scale + spec.center, edges[ranks + 1] * spec.scale + spec.center


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSummary:
    """One column's counts.

    keys: sorted, shape (k,): bucket ranks of a number; of a category the place of the level in `spec.levels`, then
    `len(levels)` for other reference levels, `len(levels) + 1` for levels unseen in the reference. counts: rows per key, > 0.
    null, nan, high, low: rows without a value, not a number, +infinity and -infinity; all outside `counts`.
    """

    spec: Spec
    keys: Counts
    counts: Counts
    null: int = 0
    nan: int = 0
    high: int = 0
    low: int = 0

    @property
    def finite(self) -> int:
        """Return the number of rows with an ordinary value."""
        return int(self.counts.sum())

    @property
    def rows(self) -> int:
        """Return the number of rows, the special ones included."""
        return self.finite + self.null + self.nan + self.high + self.low

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ColumnSummary) and (self.spec, self.to_json()) == (other.spec, other.to_json())

    __hash__ = None  # type: ignore[assignment]  # arrays inside: equal by content, never a dictionary key

    def quantile(self, q: float) -> float | None:
        """Read a quantile, 0 <= q <= 1, of a numeric column: the middle of its bucket, within 1/512; None without values."""
        return next(iter(self.quantiles([q])), None)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Read several quantiles as `quantile` does; none without values."""
        if self.spec.kind is not Kind.NUMBER or not self.keys.size:
            return []
        places = np.searchsorted(np.cumsum(self.counts), np.maximum(1.0, np.array(shares) * self.finite))
        low, high = bucket_ends(self.spec, self.keys[places])
        found: list[float] = (low / 2 + high / 2).tolist()
        return found

    def to_json(self, *, quickly: bool = False) -> dict[str, Json]:
        """Write the counts compactly: sorted keys as differences, deflated, base64; quickly: what is not kept for long."""
        special: list[Json] = [self.null, self.nan, self.high, self.low]
        steps = self.keys.copy()
        steps[1:] -= self.keys[:-1]
        keys, counts = (pack(numbers, quickly=quickly) for numbers in (steps, self.counts))
        return {"special": special, "keys": keys, "counts": counts}

    @classmethod
    def from_json(cls, spec: Spec, body: Mapping[str, Json]) -> Self:
        """Read counts back; a broken text is InvalidInput."""
        limit = _ZERO + _INFINITE if spec.kind is Kind.NUMBER else len(spec.levels) + 2
        keys, counts = np.cumsum(unpack(str(body["keys"]), limit)), unpack(str(body["counts"]), limit)
        special = body["special"]
        found = [int(str(n)) for n in special] if isinstance(special, list) else []
        sorted_keys = bool((np.diff(keys) > 0).all()) and (not keys.size or (keys[0] >= 0 and keys[-1] < limit))
        if len(keys) != len(counts) or not sorted_keys or (counts <= 0).any() or len(found) != 4 or min(found) < 0:
            raise InvalidInput(f"The stored summary of '{spec.column}' is not readable.", why="The text was cut or edited.")
        return cls(spec, keys, counts, *found)


@dataclass(frozen=True, slots=True)
class Summary:
    """The columns of one batch, or of many merged ones."""

    columns: tuple[ColumnSummary, ...]

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return self.columns[0].rows if self.columns else 0

    @property
    def specs(self) -> tuple[Spec, ...]:
        """Return the columns' specs."""
        return tuple(column.spec for column in self.columns)

    def column(self, name: str) -> ColumnSummary:
        """Return a column by name; an unknown name is InvalidInput."""
        for column in self.columns:
            if column.spec.column == name:
                return column
        raise InvalidInput(f"The summary has no column '{name}'.")

    def to_json(self) -> dict[str, Json]:
        """Write specs and counts, with the format's version."""
        columns: list[Json] = [{"spec": column.spec.to_json(), **column.to_json()} for column in self.columns]
        return {"version": SUMMARY_VERSION, "columns": columns}

    @classmethod
    def from_json(cls, body: Json) -> Self:
        """Read a summary back; another version or a broken text is InvalidInput."""
        if not isinstance(body, dict) or body.get("version") != SUMMARY_VERSION:
            raise InvalidInput("This is not a summary that can be read.", why=f"The only known version is {SUMMARY_VERSION}.")
        parts = body.get("columns")
        try:
            return cls(tuple(_column_of(part) for part in (parts if isinstance(parts, list) else [None])))
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput("The stored summary is not readable.", why="The text was cut or edited.") from error


def _column_of(part: Json) -> ColumnSummary:
    if not isinstance(part, dict):
        raise TypeError(type(part))
    return ColumnSummary.from_json(Spec.from_json(part["spec"]), part)


def _prefixes(spec: Spec, numbers: NDArray[Any], wide: NDArray[np.float64], narrow: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return the 17 leading bits of each standardised value as float32; wide and narrow are room to work in, same shape."""
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and counts as such
        np.subtract(numbers, spec.center, out=wide, dtype=np.float64)
        np.divide(wide, spec.scale, out=wide)
        narrow[:] = wide
    narrow += np.float32(0)  # folds -0 into 0
    bits = narrow.view(np.uint32)
    bits >>= np.uint32(_BITS)
    return bits


def _in_order(spec: Spec, prefixes: Counts, counts: Counts, null: int) -> ColumnSummary:
    """Put counted prefixes into value order, and the special ones into their own counters."""
    size = prefixes % _NEGATIVE
    ranks, own = _ranks_of(prefixes[size < _INFINITE]), counts[size < _INFINITE]
    order = np.argsort(ranks)
    high, low = (int(counts[prefixes == infinite].sum()) for infinite in (_INFINITE, _INFINITE + _NEGATIVE))
    return ColumnSummary(spec, ranks[order], own[order], null, int(counts[size > _INFINITE].sum()), high, low)


def _numeric(spec: Spec, pieces: Iterable[Values]) -> ColumnSummary:
    table, null = np.zeros(_BUCKETS, dtype=np.int64), 0
    wide, narrow, places = np.empty(_STEP), np.empty(_STEP, dtype=np.float32), np.empty(_STEP, dtype=np.int64)
    for piece in pieces:
        numbers, missing = numbers_read(spec, piece)
        null += missing
        for start in range(0, numbers.size, _STEP):
            part = numbers[start : start + _STEP]
            places[: part.size] = _prefixes(spec, part, wide[: part.size], narrow[: part.size])
            np.add.at(table, places[: part.size], 1)
    present = np.flatnonzero(table != 0)  # of booleans: several times as quick
    return _in_order(spec, present, table[present], null)


def _few_numbers(spec: Spec, values: Values) -> ColumnSummary:
    numbers, null = numbers_read(spec, values)
    prefixes = _prefixes(spec, numbers, np.empty(numbers.size), np.empty(numbers.size, dtype=np.float32))
    present, counts = np.unique(prefixes, return_counts=True)
    return _in_order(spec, present.astype(np.int64), counts.astype(np.int64), null)


def count_floats(spec: Spec, pieces: Sequence[NDArray[Any]]) -> ColumnSummary:
    """Count floats by what they are when written with the fewest digits that tell them in their own precision, 0.1 say, and read.

    What is not finite has no value. pieces: one or more, of the same type, shape (n,) each. The spec is a number's own.
    """
    if not COMPILED or pieces[0].dtype == np.float16:
        return count_floats_plainly(spec, np.concatenate(pieces))
    keys, counts, (missing, *special), unclear = counted((*pieces,), spec.center, spec.scale)
    found = ColumnSummary(spec, np.frombuffer(keys, np.int64), np.frombuffer(counts, np.int64), missing, *special)
    return _merged(found, count_floats_plainly(spec, np.frombuffer(unclear).astype(np.float32))) if unclear else found


def count_floats_plainly(spec: Spec, values: NDArray[Any]) -> ColumnSummary:
    """Count floats as `count_floats` does, by NumPy alone."""
    finite = values[np.isfinite(values)]
    wide, narrow = np.empty(finite.size), np.empty(finite.size, dtype=np.float32)
    if finite.dtype == np.float64:
        prefixes = _prefixes(spec, finite, wide, narrow)
    else:  # those digits lie within half a step of the float: most often in the same bucket
        with np.errstate(over="ignore"):
            half = np.spacing(np.abs(finite)).astype(np.float64)
        half /= 2
        low, prefixes = _prefixes(spec, finite - half, wide, narrow), _prefixes(spec, finite + half, wide, np.empty_like(narrow))
        if (unclear := low != prefixes).any():
            exact = np.array(orjson.loads(orjson.dumps(finite[unclear], option=orjson.OPT_SERIALIZE_NUMPY)))
            prefixes[unclear] = _prefixes(spec, exact, np.empty(exact.size), np.empty(exact.size, dtype=np.float32))
    if finite.size < _FEW:
        found, counts = np.unique(prefixes, return_counts=True)
        present = found.astype(np.int64)
    else:
        table = np.bincount(prefixes)
        present = np.flatnonzero(table != 0)
        counts = table[present]
    return _in_order(spec, present, counts.astype(np.int64), values.size - finite.size)


def _categorical(spec: Spec, pieces: Iterable[Values]) -> ColumnSummary:
    table, null = np.zeros(len(spec.levels) + 2, dtype=np.int64), 0
    places, known = {level: place for place, level in enumerate(spec.levels)}, frozenset(spec.known)
    aliases = spec.aliases()
    for level, rows in levels_read(pieces):
        if level is None:
            null += rows
        else:
            place = places.get(aliases.get(level, level))
            table[len(places) + (crc(level) not in known) if place is None else place] += rows
    keys = np.flatnonzero(table)
    return ColumnSummary(spec, keys, table[keys], null)


def count(spec: Spec, pieces: Iterable[Values]) -> ColumnSummary:
    """Count one column from values in pieces of any size, in one pass; the same bits for any split and order.

    The memory is that of one piece and 1 MiB, however many rows there are.
    """
    return _numeric(spec, pieces) if spec.kind is Kind.NUMBER else _categorical(spec, pieces)


def joined(columns: Iterable[ColumnSummary]) -> Summary:
    """Put the columns of the same rows together; different numbers of rows are InvalidInput."""
    summary = Summary(tuple(columns))
    if len({column.rows for column in summary.columns}) > 1:
        raise InvalidInput("The columns of the batch have different lengths.", why="Every row needs a value or null in each.")
    return summary


def require(names: Iterable[str], specs: tuple[Spec, ...]) -> None:
    """Refuse rows that lack a column which a spec reads: InvalidInput."""
    if missing := sorted({spec.source for spec in specs} - set(names)):
        raise InvalidInput(f"The batch lacks the columns {', '.join(missing)}.", facts={"missing": missing})


def summarise(columns: Mapping[str, Values], specs: tuple[Spec, ...]) -> Summary:
    """Count one batch by the reference's specs; columns without a spec are ignored.

    columns: n values each, arrays, lists or Arrow columns; None is null. A value that a numeric column cannot read is NaN.
    Raises: InvalidInput if a column is missing or the lengths differ.
    """
    require(columns, specs)
    pairs = ((spec, columns[spec.source]) for spec in specs)
    return joined(_few_numbers(s, v) if s.kind is Kind.NUMBER and len(v) < _FEW else count(s, (v,)) for s, v in pairs)


def empty(specs: tuple[Spec, ...]) -> Summary:
    """Return the summary of no rows: merging it changes nothing."""
    none = np.empty(0, dtype=np.int64)
    return Summary(tuple(ColumnSummary(spec, none, none) for spec in specs))


def merge(first: Summary, second: Summary) -> Summary:
    """Add two summaries, exactly; different specs (another grid, other levels) are InvalidInput."""
    if first.specs != second.specs:
        raise InvalidInput(
            "Two summaries with different specs cannot be merged.",
            why="Their columns, grids or levels differ: they belong to different references.",
        )
    return Summary(tuple(_merged(a, b) for a, b in zip(first.columns, second.columns, strict=True)))


def aligned(a: ColumnSummary, b: ColumnSummary) -> tuple[Counts, Counts, Counts]:
    """Return the keys of either column, in order, and the rows of each at them, shape (k,) each."""
    both = np.sort(np.concatenate([a.keys, b.keys]), kind="stable")  # two runs in order: quicker than a set
    keys = both[np.diff(both, prepend=-1) > 0]
    first, second = np.zeros(len(keys), dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
    first[np.searchsorted(keys, a.keys)] = a.counts
    second[np.searchsorted(keys, b.keys)] = b.counts
    return keys, first, second


def _merged(a: ColumnSummary, b: ColumnSummary) -> ColumnSummary:
    keys, first, second = aligned(a, b)
    return ColumnSummary(a.spec, keys, first + second, a.null + b.null, a.nan + b.nan, a.high + b.high, a.low + b.low)
