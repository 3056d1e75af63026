from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.web.figures import words


def plain(text: str) -> str:
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_times_are_written_in_utc_wherever_they_come_from() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert words.moment(datetime(2026, 11, 23, 13, 14, 24, tzinfo=tokyo)) == "2026-11-23 04:14"
    assert words.iso(datetime(2026, 11, 23, 13, 14, 24, tzinfo=tokyo)) == "2026-11-23T04:14:24Z"
    assert words.clock(datetime(2026, 11, 23, 4, 14, 24, tzinfo=UTC)) == "04:14:24"


@pytest.mark.parametrize(
    ("part", "text"), [(0.0, "0 %"), (0.004, "< 1 %"), (0.5, "50 %"), (0.9999, "99 %"), (1.0, "100 %"), (None, "\N{EN DASH}")]
)
def test_a_share_is_never_rounded_into_nothing_or_all(part: float | None, text: str) -> None:
    assert plain(words.share(part)) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_only_nothing_reads_as_none_and_only_all_as_all(part: float) -> None:
    assert plain(words.share(part)) not in {"0 %", "100 %"}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (2100.0, "EUR", "€2,100"),
        (38_000.0, "USD", "$38.0 k"),
        (1_480_000.0, "CHF", "CHF 1.48 M"),
        (-1240.0, "EUR", "earned €1,240"),
        (0.5, "GBP", "£0.50"),
        (None, "USD", "\N{EN DASH}"),
    ],
)
def test_money_is_short_and_earnings_are_called_so(amount: float | None, currency: str, text: str) -> None:
    assert plain(words.cost(amount, currency)) == text


def test_a_long_text_is_cut_where_it_says_so() -> None:
    assert words.clip("x" * 10_000, 10) == "x" * 9 + "…"
    assert words.clip("short", 10) == "short"
