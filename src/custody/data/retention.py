"""How long data may be kept: a date, a duration, or without an end."""

import re
from datetime import UTC, datetime, timedelta

UNLIMITED = "unlimited"
_DURATION = re.compile(r"P(?=\d)(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,5})D)?")
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


def fault_of_retention(text: str) -> str:
    """Say what is wrong with a retention; empty if nothing is."""
    try:
        end_of(text, datetime(2000, 1, 1, tzinfo=UTC))
    except ValueError:
        return f"must be a date (2030-12-31), a duration (P5Y, P18M, P90D) or '{UNLIMITED}'"
    return ""


def end_of(text: str, start: datetime) -> datetime | None:
    """Return the first moment after a retention, None if it has no end; ValueError if it is none.

    A year counts 365.25 days, a month a twelfth of it.

    >>> end_of("P10D", datetime(2026, 1, 1, tzinfo=UTC)).date().isoformat()
    '2026-01-11'
    """
    if text == UNLIMITED:
        return None
    if found := _DURATION.fullmatch(text):
        years, months, days = (int(part or 0) for part in found.groups())
        length = timedelta(days=years * 365.25 + months * 365.25 / 12 + days)
        return min(start + length, _FAR) if length < _FAR - start else _FAR
    day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    return day + timedelta(days=1)


def in_words(text: str) -> str:
    """Say how long in English.

    >>> in_words("P1Y6M"), in_words("2030-12-31")
    ('for 1 year and 6 months', 'until 2030-12-31')
    """
    if text == UNLIMITED:
        return "without an end"
    if found := _DURATION.fullmatch(text):
        counts = [(int(count or 0), unit) for count, unit in zip(found.groups(), ("year", "month", "day"), strict=True)]
        said = [f"{count} {unit}{'s' if count != 1 else ''}" for count, unit in counts if count]
        return f"for {' and '.join(said) or 'no time'}"
    return f"until {text}"
