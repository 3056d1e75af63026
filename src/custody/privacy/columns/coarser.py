"""Generalisation: a quasi-identifier becomes coarser, so that more rows share its value: bands, months, years, prefixes."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.errors import InvalidInput
from custody.privacy.columns.table import is_scrubbable

_MOST = 10**15  # of a width or a length
_EXAMPLES = "band:10 for numbers, month or year for dates, prefix:3 for texts"


class Way(StrEnum):
    """How a column becomes coarser: numbers into bands, dates to their month or year, texts to their first characters."""

    BAND = "band"
    MONTH = "month"
    YEAR = "year"
    PREFIX = "prefix"


@dataclass(frozen=True, slots=True)
class Coarser:
    """One generalisation. size: the width of bands, or the length of prefixes in characters; 0 for months and years."""

    way: Way
    size: int | float = 0

    def __str__(self) -> str:
        """Write it as it is given: `band:10`, `month`."""
        return f"{self.way}:{self.size}" if self.size else self.way.value

    @property
    def words(self) -> str:
        """Say it after a column's name."""
        match self.way:
            case Way.BAND:
                return f"in bands of {self.size}"
            case Way.PREFIX:
                return f"by its first {self.size} character{'s' * (self.size != 1)}"
            case _:
                return f"by its {self.way}"


def is_coarser(text: str) -> bool:
    """Tell whether a text begins as a generalisation does, right or wrong: `band`, `prefix:x`."""
    return text.partition(":")[0] in set(Way)


def coarser_of(text: str) -> Coarser:
    """Read `band:10`, `prefix:3`, `month` or `year`.

    Raises: InvalidInput for another word, or a width or length that is missing, not a number, or not above 0.
    """
    word, colon, size = text.partition(":")
    if word not in set(Way):
        raise InvalidInput(f"'{text[:40]}' is no way to make a column coarser.", fix=f"Give {_EXAMPLES}.")
    way = Way(word)
    if way in {Way.MONTH, Way.YEAR}:
        if colon:
            raise InvalidInput(f"'{text[:40]}' gives a size, and a {way} has none.", fix=f"Write {way} alone.")
        return Coarser(way)
    made = _size(size)
    if made is None or (way is Way.PREFIX and not isinstance(made, int)):
        what = "width, a number above 0" if way is Way.BAND else "length, a whole number above 0"
        raise InvalidInput(f"'{text[:40]}' gives no usable {what}.", fix=f"Give {_EXAMPLES}.")
    return Coarser(way, made)


def _size(text: str) -> int | float | None:
    """Return a number above 0, whole if it can be; None for anything else."""
    try:
        size = float(text)
    except ValueError:
        return None
    if not (math.isfinite(size) and 0 < size <= _MOST):
        return None
    return int(size) if size.is_integer() else size


def coarsened(column: pa.ChunkedArray, name: str, how: Coarser) -> pa.ChunkedArray:
    """Return the column made coarser; nulls stay. A band is told by its lower end, a month or year by its first day.

    So numbers stay numbers and dates stay dates, and a model can still be trained on them.
    Raises: InvalidInput for a column that holds another kind of values, or a width that does not fit them.
    Source: Sweeney 2002, Achieving k-anonymity privacy protection using generalization and suppression (recoding of a whole column).
    """
    kind = column.type
    match how.way:
        case Way.BAND if pa.types.is_integer(kind):
            return _whole_bands(column, name, how.size)
        case Way.BAND if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return _bands(column, name, how.size)
        case Way.PREFIX if is_scrubbable(kind):
            return pc.utf8_slice_codeunits(column.cast(pa.string()), 0, int(how.size))
        case Way.MONTH | Way.YEAR if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return pc.floor_temporal(column, unit=how.way.value)
    raise _unfit(name, how, kind)


def _whole_bands(column: pa.ChunkedArray, name: str, width: float) -> pa.ChunkedArray:
    """Return the lower ends of bands of whole numbers, as whole numbers."""
    if not isinstance(width, int):
        raise InvalidInput(
            f"A band of {width} does not fit the column '{name}', which holds whole numbers.",
            fix=f"Give a whole width: --column {name}=band:{max(1, round(width))}",
        )
    try:
        values = column.combine_chunks().cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise _too_far(name) from error
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    low = numbers - np.mod(numbers, width)
    if (low > numbers).any():  # it went round below the least number of 64 bits
        raise _too_far(name)
    return pa.chunked_array([pa.array(low, pa.int64(), mask=values.is_null().to_numpy(zero_copy_only=False))])


def _bands(column: pa.ChunkedArray, name: str, width: float) -> pa.ChunkedArray:
    """Return the lower ends of bands of measured numbers; what is no number or has no end stays."""
    values = column.combine_chunks().cast(pa.float64())
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.floor(numbers / width) * width + 0.0  # so that -0.0 is 0.0
    if (np.isfinite(numbers) & ~np.isfinite(low)).any():
        raise _too_far(name)
    return pa.chunked_array([pa.array(low, pa.float64(), mask=values.is_null().to_numpy(zero_copy_only=False))])


def _too_far(name: str) -> InvalidInput:
    return InvalidInput(
        f"The column '{name}' holds numbers that cannot be put into such bands.",
        why="The lower end of a band lies outside 64 bits.",
        fix=f"Give another width, or leave the column out: --column {name}=remove",
    )


def _unfit(name: str, how: Coarser, kind: pa.DataType) -> InvalidInput:
    """Say that a column holds other values than a generalisation is for, and which one is for it."""
    if is_scrubbable(kind):
        what, fits = "texts", "prefix:3 (prefix:4 leaves the year of 2024-05-01)"
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        what, fits = "dates", "month or year"
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        what, fits = "numbers", "band:10 (band:100 takes two digits off a postcode)"
    else:
        what, fits = f"values of type {kind}", "remove"
    return InvalidInput(f"'{how}' is not for the column '{name}', which holds {what}.", fix=f"Give {name}={fits}.")
