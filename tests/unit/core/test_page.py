"""Cursors: what a list wrote it reads back; a cursor of anybody else's is InvalidInput."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.page import MOST, cursor_of, key_of, limit_of

keys = st.lists(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), min_size=1, max_size=4)


@given(keys)
def test_a_cursor_reads_back_as_it_was_written(key: list[str | int]) -> None:
    assert list(key_of(cursor_of(*key), len(key))) == key


@given(keys)
def test_a_cursor_fits_into_an_address(key: list[str | int]) -> None:
    assert set(cursor_of(*key)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(keys, st.integers(0, 6))
def test_a_cursor_of_another_list_is_refused(key: list[str | int], length: int) -> None:
    if length != len(key):
        with pytest.raises(InvalidInput, match="another list"):
            key_of(cursor_of(*key), length)


@given(st.text() | st.binary().map(lambda body: base64.urlsafe_b64encode(body).decode()))
def test_garbage_is_invalid_input_and_nothing_else(text: str) -> None:
    try:
        key = key_of(text, 2)
    except InvalidInput:
        return
    assert len(key) == 2


def test_a_cursor_nested_too_deeply_is_refused() -> None:
    with pytest.raises(InvalidInput):
        key_of(base64.urlsafe_b64encode(b"[" * 100_000).decode(), 1)


@given(st.integers(1, MOST))
def test_a_page_holds_one_to_a_thousand_items(limit: int) -> None:
    assert limit_of(limit) == limit


@pytest.mark.parametrize("limit", [0, -1, MOST + 1])
def test_another_size_of_page_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match="A page holds 1 to 1000"):
        limit_of(limit)
