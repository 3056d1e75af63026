"""A prediction's id carries deployment, revision, model and time; garbage is InvalidInput and nothing else."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.prediction import PredictionId, time_of, unique_at
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId

NOW_MS = 1_772_366_400_000
ID = PredictionId(DeploymentKey(TenantId("acme"), "prod", "churn"), 3, ModelRef("churn", 7), unique_at(NOW_MS, bytes(10)))
times = st.integers(0, 253_402_300_799_000)  # up to the year 9999


@st.composite
def ids(draw: st.DrawFn) -> PredictionId:
    words = st.from_regex(r"[a-z0-9][-a-z0-9]{0,8}[a-z0-9]", fullmatch=True).filter(lambda word: word != "stats")
    key = DeploymentKey(TenantId(draw(words)), draw(words), draw(words))
    model = ModelRef(draw(words), draw(st.integers(1, 10**6)))
    unique = unique_at(draw(times), draw(st.binary(min_size=10, max_size=10)))
    return PredictionId(key, draw(st.integers(1, 10**6)), model, unique, draw(st.integers(0, 10**6)))


@given(ids())
def test_an_id_reads_back_as_it_was_written(id: PredictionId) -> None:  # noqa: A002 - the noun's own name
    assert PredictionId.parse(str(id)) == id


@given(st.text())
def test_garbage_is_invalid_input_and_nothing_else(text: str) -> None:
    with pytest.raises(InvalidInput):
        PredictionId.parse(text)


@given(st.data())
def test_an_id_with_one_character_exchanged_is_another_id_or_invalid_input(data: st.DataObject) -> None:
    text = str(ID)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters().filter(lambda c: c != text[at])) + text[at + 1 :]
    try:
        parsed = PredictionId.parse(changed)
    except InvalidInput:
        return
    assert parsed != ID
    assert parsed.at.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "acme:prod:churn:3:churn@7:7ZZZZZZZZZ0000000000000000",  # a time after the year 9999
        "acme:prod:churn:-3:churn@7:01KJM6M4000000000000000000",
        "acme:prod:churn:\u0663:churn@7:01KJM6M4000000000000000000",
        "acme:prod:churn:3:churn@7:01KJM6M4000000000000000000.-1",
        "acme:prod:churn:3:churn@7:01kjm6m4000000000000000000",
        "acme:prod:churn:3:churn:01KJM6M4000000000000000000",
        "acme:prod:churn:" + "9" * 5000 + ":churn@7:01KJM6M4000000000000000000",
    ],
)
def test_an_id_that_is_almost_right_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"not a prediction id|not name a model"):
        PredictionId.parse(text)


@given(times, st.binary(min_size=10, max_size=10))
def test_the_time_is_read_back_to_the_millisecond(ms: int, random: bytes) -> None:
    assert (time_of(unique_at(ms, random)) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(
        ms / 1000, abs=1e-3
    )


@given(times, times, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_time(one: int, two: int, random: bytes, other: bytes) -> None:
    if one < two:
        assert unique_at(one, random) < unique_at(two, other)


@given(times, st.binary(min_size=10, max_size=10))
def test_the_characters_are_the_128_bits_in_crockfords_base_32(ms: int, random: bytes) -> None:
    bits = ms << 80 | int.from_bytes(random)
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert unique_at(ms, random) == "".join(alphabet[bits >> shift & 31] for shift in range(125, -1, -5))


def test_the_rows_of_one_request_differ_in_their_tail_only() -> None:
    assert str(ID.of_row(2)) == f"{ID}.2"
    assert ID.of_row(2).of_row(0) == ID
