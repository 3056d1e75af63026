"""Content addresses: the same content has the same digest, however its keys were ordered."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Json, canonical, digest_of, digest_of_json, parse_digest, verified
from custody.core.errors import IntegrityBroken, InvalidInput

texts = st.text(st.characters(exclude_categories=["Cs"]))
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=6,
)


@given(st.dictionaries(texts, values), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(value: dict[str, Json], random: object) -> None:
    names = list(value)
    random.shuffle(names)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert canonical({name: value[name] for name in names}) == canonical(value)


@given(values)
def test_canonical_json_says_what_the_value_says(value: Json) -> None:
    assert json.loads(canonical(value)) == value


@given(values, values)
def test_different_values_have_different_digests(one: Json, two: Json) -> None:
    assert (digest_of_json(one) == digest_of_json(two)) == (canonical(one) == canonical(two))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"deep": [float("-inf")]}, {"\udfff": 1}])
def test_what_has_no_canonical_form_is_refused(value: Json) -> None:
    with pytest.raises(InvalidInput, match="no canonical JSON form"):
        canonical(value)


def test_the_form_is_fixed_for_ever() -> None:
    assert canonical({"b": [1, 0.5, None, True], "a": "ü"}) == '{"a":"ü","b":[1,0.5,null,true]}'.encode()
    assert digest_of_json({}) == hashlib.sha256(b"{}").hexdigest()


@given(st.binary())
def test_stored_bytes_are_verified_against_their_name(body: bytes) -> None:
    assert verified(body, digest_of(body)) == body
    with pytest.raises(IntegrityBroken):
        verified(body + b"x", digest_of(body))


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
def test_only_64_lower_case_hex_digits_are_a_digest(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_digest(text)


def test_a_digest_is_accepted() -> None:
    assert parse_digest(digest_of(b"x")) == digest_of(b"x")
