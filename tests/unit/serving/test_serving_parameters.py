"""What a caller says beside the tensors."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.serving import Parameters, read_parameters


def test_the_id_is_the_key_unless_a_key_is_given() -> None:
    assert read_parameters("order-7", {}).keys(1) == ("order-7",)
    assert read_parameters("order-7", {"key": "k"}).keys(1) == ("k",)
    assert read_parameters("", {}).keys(1) is None


def test_one_key_of_a_batch_is_numbered() -> None:
    assert read_parameters("order-7", {}).keys(3) == ("order-7#0", "order-7#1", "order-7#2")


def test_keys_are_made_once() -> None:
    parameters = read_parameters("order-7", {})
    assert parameters.keys(3) is parameters.keys(3)


def test_an_id_that_is_too_long_is_told_by_its_name() -> None:
    with pytest.raises(InvalidInput, match="'id' must be a text of 1 to 256 characters, got 257"):
        read_parameters("x" * 257, {})
    assert read_parameters("x" * 257, {"key": "k"}).keys(1) == ("k",)


def test_a_timeout_longer_than_a_day_is_a_day() -> None:
    assert read_parameters("", {"timeout": 10**400}).timeout_us == 24 * 3600 * 1_000_000


def test_a_list_has_one_key_per_row() -> None:
    parameters = read_parameters("", {"key": ["a", "b"]})
    assert parameters.keys(2) == ("a", "b")
    with pytest.raises(InvalidInput, match="2 keys for 3 rows"):
        parameters.keys(3)


@pytest.mark.parametrize("key", ["", 7, ["a", None], {"a": 1}, "x" * 257, True])
def test_a_key_that_is_no_text_is_refused(key: Any) -> None:
    with pytest.raises(InvalidInput, match="'key'"):
        read_parameters("", {"key": key})


@pytest.mark.parametrize(
    "value",
    [1772366400000, "2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2026-03-01T12:00:00.000+00:00", "20260301T120000Z"],
)
def test_an_event_time_is_iso_8601_or_ms_since_1970(value: Any) -> None:
    assert read_parameters("", {"event_time": value}).event_ms == 1772366400000


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-03-01T12:00:00", "", -1, 1.5, True, [], 10**15, "9999-12-31T23:59:59-23:59"]
)
def test_an_event_time_that_is_garbage_or_has_no_zone_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="event_time"):
        read_parameters("", {"event_time": value})


@pytest.mark.parametrize(("value", "entity"), [("c-1", "c-1"), (17, "17"), (None, None)])
def test_an_entity_is_a_text_or_a_number(value: Any, entity: str | None) -> None:
    assert read_parameters("", {"entity": value}).entity == entity


@pytest.mark.parametrize(
    "parameters", [{"entity": 1.5}, {"entity": True}, {"timeout": "soon"}, {"timeout": -1}, {"sequence_id": 4}]
)
def test_what_cannot_be_honoured_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        read_parameters("", parameters)


def test_unknown_parameters_change_nothing() -> None:
    assert read_parameters("", {"priority": 3, "colour": "blue", "sequence_id": 0, "timeout": 0}) == Parameters()


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_value_is_read_or_refused(value: Any) -> None:
    for name in ("key", "event_time", "entity", "timeout"):
        with suppress(InvalidInput):
            assert isinstance(read_parameters("", {name: value}), Parameters)
