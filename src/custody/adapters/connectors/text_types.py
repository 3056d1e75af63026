"""What type a column of text has, judged over all its values."""

from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

TIMESTAMP = pa.timestamp("us", "UTC")
_INTEGER = r"^(0|-?[1-9][0-9]*)$"  # 007 and +49 are identifiers: as numbers they would lose a sign or zeros
_NUMBER = r"^-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^-?(inf|Inf|INF|infinity|Infinity)$|^(nan|NaN|NAN)$"
_BOOLEAN = r"^(true|True|TRUE|false|False|FALSE)$"
_DATE = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})-\d\d-\d\d"
_TIMESTAMP = rf"^{_DATE}([T ]\d\d:\d\d(:\d\d(\.\d{{1,6}}0*)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$"


@cache
def _years() -> tuple[pa.Scalar, pa.Scalar]:
    """Return the first and last microsecond of the years 1 to 9999; pyarrow imports pandas to make its first scalar, so not at import."""
    return pa.scalar(-62_135_596_800_000_000, pa.int64()), pa.scalar(253_402_300_799_999_999, pa.int64())


def typed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column as int64, double, bool or timestamp if every value is written like one; else as it is."""
    if column.null_count == len(column):
        return column
    if _all_match(column, _INTEGER):
        return _cast(column, pa.int64())
    if _all_match(column, _NUMBER):
        return _cast(column, pa.float64())
    if _all_match(column, _BOOLEAN):
        return _cast(column, pa.bool_())
    return timed(column)


def timed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a text column as timestamps if every value is an ISO 8601 date or time; without a zone, UTC is meant."""
    if column.null_count == len(column) or not _all_match(column, _TIMESTAMP):
        return column
    text = pc.replace_substring_regex(column, r"(\.\d{6})0+", r"\1")
    text = pc.replace_substring_regex(text, r"^(.{10})$", r"\1T00:00:00Z")
    text = pc.replace_substring_regex(text, r"^(.{11}[0-9:.]+)$", r"\1Z")
    times = _cast(text, TIMESTAMP)
    return times if times.type == TIMESTAMP and within_years(times) else column


def within_years(times: pa.ChunkedArray) -> bool:
    """Tell whether all times lie in the years 1 to 9999, which calendars and databases can show."""
    least, most = pc.min_max(times.cast(pa.int64())).values()
    return not least.is_valid or bool(_years()[0].as_py() <= least.as_py() and most.as_py() <= _years()[1].as_py())


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return all(pc.all(pc.match_substring_regex(chunk, pattern), min_count=0).as_py() for chunk in column.chunks)


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid:  # a 30th of February, an integer beyond 64 bits
        return column
