"""What derived data takes over: never kept longer than what it came from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from test_data_card import COMPLETE

from custody.data.asked import card_of
from custody.data.inherit import inherited, weaker
from custody.data.retention import end_of

STORED = datetime(2026, 1, 1, 9, 30, tzinfo=UTC)
CARD = card_of(COMPLETE)


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=3),
    st.integers(0, 1000),
    st.sampled_from(["P5Y", "P18M", "P400D", "2030-12-31", "unlimited"]),
)
def test_a_retention_that_is_taken_over_ends_with_the_first_source_and_again_when_derived_again(
    hours: list[int], later: int, retention: str
) -> None:
    sources = [(f"s@{i}", replace(CARD, retention=retention), STORED + timedelta(hours=one)) for i, one in enumerate(hours)]
    now = STORED + timedelta(hours=3000 + later)
    once = inherited(replace(CARD, retention=retention), sources)
    assert weaker(once, sources, now) == ()
    assert inherited(once, [("d@1", once, now)]) == once
    first, mine = end_of(retention, sources[0][2]), end_of(once.retention, now)
    assert (first is None) == (mine is None)


def test_a_retention_of_its_own_stays_and_may_be_refused() -> None:
    own = replace(CARD, retention="P9Y")
    sources = [("s@1", replace(CARD, retention="P5Y"), STORED)]
    assert inherited(own, sources) == own
    assert "retention may not end after 2031-01-01 (s@1)" in weaker(own, sources, STORED)[0]
