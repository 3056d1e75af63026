"""How a column is summarised: fixed once from the reference, and part of every summary."""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import chain, groupby
from math import isfinite
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures import arrow

Values = Sequence[object] | NDArray[Any]  # one column: n values, None = null; or an Arrow array or chunked array

_BOOLEANS = {"1": "true", "0": "false"}
KEPT_LEVELS, KNOWN_LEVELS = 256, 10_000
TEXT_ROWS, TEXT_LENGTH, TEXT_DISTINCT, MOST_LEVELS = 200, 40, 0.5, 100_000
GRID_ROWS, GRID_VALUES = 1_048_576, 16_384


class Kind(StrEnum):
    """How values are counted."""

    NUMBER = "number"
    CATEGORY = "category"


class Reading(StrEnum):
    """What is read from a value: itself, or a number that describes a text."""

    VALUE = "value"
    LENGTH = "length"
    WORDS = "words"


@dataclass(frozen=True, slots=True)
class Spec:
    """One summarised column.

    source: the data column it is read from; differs from `column` for a text's `<source>.length` and `<source>.words`.
    center, scale: the grid of a number: median and interquartile range of the reference or of a part of it, for they only
    fix where values are told apart most finely. levels: the most frequent reference levels of a category, at most 256. known: sorted CRC-32 of further reference levels, at most 10,000.
    once: the number of levels that the reference held exactly once; once / rows estimates the share of levels yet unseen
    (Good 1953), which is not drift.
    """

    column: str
    kind: Kind
    source: str
    reading: Reading = Reading.VALUE
    center: float = 0.0
    scale: float = 1.0
    levels: tuple[str, ...] = ()
    known: tuple[int, ...] = ()
    once: int = 0

    def aliases(self) -> Mapping[str, str]:
        """Return what values of other names stand for: models take booleans as whole numbers, and are sent these."""
        return _BOOLEANS if self.levels and {*self.levels} <= {*_BOOLEANS.values()} else {}

    def to_json(self) -> dict[str, Json]:
        """Write all fields."""
        return {
            "column": self.column,
            "kind": self.kind.value,
            "source": self.source,
            "reading": self.reading.value,
            "grid": [self.center, self.scale],
            "levels": list(self.levels),
            "known": list(self.known),
            "once": self.once,
        }

    @classmethod
    def from_json(cls, body: Json) -> Self:
        """Read a spec back; missing or wrong fields raise KeyError, TypeError or ValueError."""
        if not isinstance(body, dict):
            raise TypeError(type(body))
        fields: dict[str, Any] = body
        center, scale = map(float, fields["grid"])
        kind, reading = Kind(fields["kind"]), Reading(fields["reading"])
        if not isfinite(center) or not isfinite(scale) or scale <= 0:
            raise ValueError(scale)
        levels, known = tuple(map(str, fields["levels"])), tuple(map(int, fields["known"]))
        return cls(str(fields["column"]), kind, str(fields["source"]), reading, center, scale, levels, known, int(fields["once"]))


def crc(level: str) -> int:
    """Return a level's CRC-32, by which rarer reference levels are known (an unseen one passes for known once in 400,000)."""
    return zlib.crc32(level.encode("utf-8", "surrogatepass"))


def _listed(values: Values) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 - only NaN differs from itself


def _levels_of(values: Iterable[Any]) -> list[str | None]:
    """Return values as levels; None for no value."""
    return [value if type(value) is str else _level(value) for value in values]


def _level(value: object) -> str | None:
    if _absent(value):
        return None
    return str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)


def levels_read(pieces: Iterable[Values]) -> Iterator[tuple[str | None, int]]:
    """Count the levels of a category: a level and rows of it, maybe in several parts; None = no value (null or NaN).

    Booleans are true and false. Arrow arrays in a row that share a dictionary are counted together.
    """
    for known, group in groupby(pieces, arrow.is_arrow):
        if not known:
            for piece in group:
                if isinstance(piece, np.ndarray) and piece.dtype == bool:
                    true = int(piece.sum())
                    yield from ((level, rows) for level, rows in (("true", true), ("false", piece.size - true)) if rows)
                else:
                    yield from Counter(_levels_of(_listed(piece))).items()
            continue
        for values, rows, null in arrow.tally(chain.from_iterable(map(arrow.chunks_of, group))):
            yield None, null
            yield from ((level, n) for level, n in zip(_levels_of(values), rows.tolist(), strict=True) if n)


def _seconds(value: date) -> float:
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def _number(value: Any) -> float:
    try:
        return _seconds(value) if isinstance(value, date) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _floats(values: Iterable[Any]) -> NDArray[np.float64]:
    present = [value for value in values if value is not None]
    try:
        found = np.array(present, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty((0, 0))
    if found.ndim == 1:  # lists are no numbers, not even those of one
        return found
    return np.array([_number(value) for value in present], dtype=np.float64)


def _numbers_in(spec: Spec, array: Any) -> tuple[NDArray[Any], int]:
    plain = arrow.numbers(array) if spec.reading is Reading.VALUE else None
    if plain is not None:
        read, null = numbers_read(spec, plain[0])
        return read, null + plain[1]
    dictionary, places = arrow.distinct(array)
    values = dictionary.to_pylist()
    present = np.array(
        [value is not None if spec.reading is Reading.VALUE else not _absent(value) for value in values], dtype=bool
    )
    lookup = np.empty(len(values))
    lookup[present] = numbers_read(spec, [value for value, there in zip(values, present, strict=True) if there])[0]
    kept = places[present[places]]
    return lookup[kept], len(array) - len(kept)


def numbers_read(spec: Spec, values: Values) -> tuple[NDArray[Any], int]:
    """Read a numeric column, or a text's length or words: the non-null values, and the number of nulls.

    Times are seconds since 1970; what is no number is NaN. Arrays of numbers keep their type: to be read as float64.
    """
    if arrow.is_arrow(values):
        parts = [_numbers_in(spec, chunk) for chunk in arrow.chunks_of(values)]
        found = [numbers for numbers, _ in parts]
        return found[0] if len(found) == 1 else np.concatenate([np.empty(0), *found]), sum(null for _, null in parts)
    if spec.reading is not Reading.VALUE:
        texts = [str(value) for value in _listed(values) if not _absent(value)]
        sizes = [len(text) if spec.reading is Reading.LENGTH else len(text.split()) for text in texts]
        return np.array(sizes, dtype=np.float64), len(_listed(values)) - len(texts)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values, 0
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        present = values[~np.isnat(values)]
        return present.astype("datetime64[us]").astype(np.int64) / 1e6, len(values) - len(present)
    listed = _listed(values)
    numbers = _floats(listed)
    return numbers, len(listed) - len(numbers)


def _is_number(values: Values) -> bool:
    if arrow.is_arrow(values):
        return arrow.is_number(values)
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values.dtype.kind in "iufM"
    kinds = set(map(type, _listed(values))) - {type(None)}
    return bool(kinds) and all(
        issubclass(kind, (Real, Decimal, date)) and not issubclass(kind, (bool, np.bool_)) for kind in kinds
    )


def _thinned(pieces: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Keep every 2^k-th of the finite values, for the least k that leaves at most GRID_VALUES; the same for any split."""
    kept, seen, step = np.empty(0), 0, 1
    for numbers in pieces:
        ordinary = np.isfinite(numbers)
        finite = numbers if ordinary.all() else numbers[ordinary]
        kept = np.concatenate([kept, finite[-seen % step :: step]])
        seen += finite.size
        while kept.size > GRID_VALUES:
            kept, step = kept[::2], 2 * step
    return kept


def _grid(finite: NDArray[np.float64]) -> tuple[float, float]:
    if not finite.size:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        quarter, center, three = (float(value) for value in np.quantile(finite, (0.25, 0.5, 0.75)))
        scales = (three - quarter, float(finite.std()))
    return (center if isfinite(center) else 0.0), next((s for s in scales if isfinite(s) and s > 0), 1.0)


def spec_of(column: str, values: Values) -> tuple[Spec, ...]:
    """Fix how a column is summarised, from its reference values: shape (n,), an array or a list, None = null.

    Numbers and times become a number; strings, booleans and Arrow dictionaries a category. Free text (200 rows or more, and
    either more than 40 characters on average or more than half of the values distinct, or more than 100,000 distinct values)
    becomes two numbers, its length and its words.
    """
    return spec_of_pieces(column, (values,))


def spec_of_pieces(column: str, pieces: Iterable[Values]) -> tuple[Spec, ...]:
    """Fix it from values in pieces of one type, which are walked through up to three times; never all held at once.

    The grid of a number is read from at most 16,384 values, evenly spread over the first pieces that hold a million rows.
    """
    if _is_number(next(iter(pieces), ())):
        return (_measured(column, column, Reading.VALUE, pieces),)
    found = _levels(pieces)
    if found is None:
        return tuple(_measured(f"{column}.{reading}", column, reading, pieces) for reading in (Reading.LENGTH, Reading.WORDS))
    ranked = sorted(found, key=lambda level: (-found[level], level))
    known = tuple(sorted({crc(level) for level in ranked[KEPT_LEVELS:KNOWN_LEVELS]}))
    once = sum(count == 1 for count in found.values())
    return (Spec(column, Kind.CATEGORY, column, levels=tuple(ranked[:KEPT_LEVELS]), known=known, once=once),)


def _levels(pieces: Iterable[Values]) -> Mapping[str, int] | None:
    """Count all levels; None if the column is free text."""
    found: Counter[str] = Counter()
    for level, rows in levels_read(pieces):
        if level is not None:
            found[level] += rows
            if len(found) > MOST_LEVELS:
                return None
    rows = found.total()
    long = sum(len(level) * count for level, count in found.items()) > TEXT_LENGTH * rows
    return None if rows >= TEXT_ROWS and (long or len(found) > TEXT_DISTINCT * rows) else found


def _measured(column: str, source: str, reading: Reading, pieces: Iterable[Values]) -> Spec:
    draft = Spec(column, Kind.NUMBER, source, reading)
    center, scale = _grid(_thinned(numbers_read(draft, piece)[0] for piece in _first_rows(pieces)))
    return replace(draft, center=center, scale=scale)


def _first_rows(pieces: Iterable[Values]) -> Iterator[Values]:
    rows = 0
    for piece in pieces:
        yield piece
        rows += len(piece)
        if rows >= GRID_ROWS:
            return


def specs_of(columns: Mapping[str, Values]) -> tuple[Spec, ...]:
    """Fix how every column of a reference is summarised, in the order given; no column at all is InvalidInput."""
    if not columns:
        raise InvalidInput("A reference needs at least one column.")
    return tuple(spec for column, values in columns.items() for spec in spec_of(column, values))


def spread(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return one column of plain values for each place of a column of rows: `input` of width 2 becomes `input.0`, `input.1`.

    columns: n values each; a value of several is a list, or a row of an array of shape (n, width).
    """
    found: dict[str, Any] = {}
    for name, values in columns.items():
        if isinstance(values, np.ndarray) and values.ndim > 1:
            found |= {f"{name}.{place}": values[:, place] for place in range(values.shape[1])}
            continue
        first = next((value for value in values if value is not None), None)
        if isinstance(first, list):
            for place in range(len(first)):
                found[f"{name}.{place}"] = [None if value is None else value[place] for value in values]
        else:
            found[name] = values
    return found
