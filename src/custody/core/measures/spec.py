"""How a column is summarised: fixed once from the reference, and part of every summary."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from math import isfinite
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput

Values = Sequence[object] | NDArray[Any]  # one column: n values, None = null

KEPT_LEVELS, KNOWN_LEVELS = 256, 10_000
TEXT_ROWS, TEXT_LENGTH, TEXT_DISTINCT = 200, 40, 0.5


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
    center, scale: the grid of a number: reference median and interquartile range. levels: the most frequent reference
    levels of a category, at most 256. known: sorted CRC-32 of further reference levels, at most 10,000.
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


def _level(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, np.bool_)) else str(value)


def levels_read(values: Values) -> tuple[Mapping[str, int], int]:
    """Count the levels of a category: rows by level, and rows without a value (None or NaN); booleans are true, false."""
    listed = _listed(values)
    found = Counter(_level(value) for value in listed if not _absent(value))
    return found, len(listed) - found.total()


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
        return np.array(present, dtype=np.float64).reshape(len(present))
    except (TypeError, ValueError, OverflowError):
        return np.array([_number(value) for value in present], dtype=np.float64)


def numbers_read(spec: Spec, values: Values) -> tuple[NDArray[np.float64], int]:
    """Read a numeric column, or a text's length or words: the non-null values as float64, and the number of nulls.

    Times are seconds since 1970; what is no number is NaN.
    """
    if spec.reading is not Reading.VALUE:
        texts = [str(value) for value in _listed(values) if not _absent(value)]
        sizes = [len(text) if spec.reading is Reading.LENGTH else len(text.split()) for text in texts]
        return np.array(sizes, dtype=np.float64), len(_listed(values)) - len(texts)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64), 0
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        present = values[~np.isnat(values)]
        return present.astype("datetime64[us]").astype(np.int64) / 1e6, len(values) - len(present)
    listed = _listed(values)
    numbers = _floats(listed)
    return numbers, len(listed) - len(numbers)


def _is_number(values: Values) -> bool:
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return values.dtype.kind in "iufM"
    kinds = set(map(type, _listed(values))) - {type(None)}
    return bool(kinds) and all(issubclass(kind, (Real, date)) and not issubclass(kind, (bool, np.bool_)) for kind in kinds)


def _grid(numbers: NDArray[np.float64]) -> tuple[float, float]:
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return 0.0, 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        quarter, center, three = (float(value) for value in np.quantile(finite, (0.25, 0.5, 0.75)))
        scales = (three - quarter, float(finite.std()))
    return (center if isfinite(center) else 0.0), next((s for s in scales if isfinite(s) and s > 0), 1.0)


def spec_of(column: str, values: Values) -> tuple[Spec, ...]:
    """Fix how a column is summarised, from its reference values: shape (n,), an array or a list, None = null.

    Numbers and times become a number; strings and booleans a category. Free text (200 rows or more, and either more than
    40 characters on average or more than half of the values distinct) becomes two numbers, its length and its words.
    """
    if _is_number(values):
        return (_measured(column, column, Reading.VALUE, values),)
    found, _ = levels_read(values)
    rows = sum(found.values())
    long = sum(len(level) * count for level, count in found.items()) > TEXT_LENGTH * rows
    if rows >= TEXT_ROWS and (long or len(found) > TEXT_DISTINCT * rows):
        return tuple(_measured(f"{column}.{reading}", column, reading, values) for reading in (Reading.LENGTH, Reading.WORDS))
    ranked = sorted(found, key=lambda level: (-found[level], level))
    known = tuple(sorted({crc(level) for level in ranked[KEPT_LEVELS:KNOWN_LEVELS]}))
    once = sum(count == 1 for count in found.values())
    return (Spec(column, Kind.CATEGORY, column, levels=tuple(ranked[:KEPT_LEVELS]), known=known, once=once),)


def _measured(column: str, source: str, reading: Reading, values: Values) -> Spec:
    draft = Spec(column, Kind.NUMBER, source, reading)
    center, scale = _grid(numbers_read(draft, values)[0])
    return replace(draft, center=center, scale=scale)


def specs_of(columns: Mapping[str, Values]) -> tuple[Spec, ...]:
    """Fix how every column of a reference is summarised, in the order given; no column at all is InvalidInput."""
    if not columns:
        raise InvalidInput("A reference needs at least one column.")
    return tuple(spec for column, values in columns.items() for spec in spec_of(column, values))
