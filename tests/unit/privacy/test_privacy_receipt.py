"""A receipt of an erasure is checked without the project: any change of it is found, another key is another key, version 1 is read."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import CustodyError, IntegrityBroken, InvalidInput
from custody.ledger.checkpoint import key_id_of
from custody.privacy.erasure.receipt import check, document, signed, text_of

KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([first, *range(1, 32)])) for first in (0, 9))
OLD: dict[str, Json] = {  # as custody wrote it before receipts counted
    "version": 1,
    "erasure": "01JD8",
    "asked_at": "2026-01-01T00:00:00+00:00",
    "done_at": "2026-01-01T00:01:00+00:00",
    "obligations": [["01JD9", "churn@1", "2026-01-31T00:00:00+00:00"]],
    "texts_searched": 1,
    "found_again": 0,
    "keeps_until_expiry": "backups",
    "backups_gone_by": "",
}
BODY: dict[str, Json] = {**OLD, "version": 2, "counts": {"rows": "1 to 9"}, "ledger": {"first": 1, "first_hash": "a", "last": 2}}


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)


def made(body: Mapping[str, Json] = BODY, key: Ed25519PrivateKey = KEY, *, kept: bool = True) -> dict[str, Any]:
    name = key_id_of(public(key))
    return document(signed(body, name, key.sign(text_of(body).encode())), {name: public(key)} if kept else {})


@pytest.mark.parametrize("body", [OLD, BODY], ids=["version 1", "version 2"])
def test_a_receipt_as_it_was_signed_holds(body: dict[str, Json]) -> None:
    for key in ({}, {"key_id": key_id_of(public(KEY))}, {"public_key": public(KEY)}):
        found = check(json.loads(json.dumps(made(body))), **key)
        assert (found.erasure, found.key_id, found.receipt) == ("01JD8", key_id_of(public(KEY)), body)


@given(st.data())
def test_any_changed_letter_is_found(data: st.DataObject) -> None:
    whole = json.dumps(made())
    at = data.draw(st.integers(0, len(whole) - 1))
    letter = data.draw(st.characters(codec="ascii", exclude_categories=["Cc"]).filter(lambda one: one != whole[at]))
    try:
        changed = json.loads(whole[:at] + letter + whole[at + 1 :])
    except ValueError:
        return
    if isinstance(changed, dict) and {**changed, "signature": str(changed.get("signature")).lower()} != made():
        with pytest.raises((IntegrityBroken, InvalidInput)):
            check(changed)


def test_a_receipt_that_somebody_else_signed_is_not_ours() -> None:
    other = made(key=OTHER)
    assert check(other).key_id != key_id_of(public(KEY))
    with pytest.raises(IntegrityBroken, match="not by"):
        check(other, key_id=key_id_of(public(KEY)))
    with pytest.raises(IntegrityBroken, match="not by"):
        check(other, public_key=public(KEY))
    with pytest.raises(IntegrityBroken, match="not the one that was signed"):
        check({**made(), "signature": other["signature"]}, public_key=public(KEY))


def test_a_receipt_of_a_former_key_is_checked_with_the_key_that_its_owner_kept() -> None:
    former = made(kept=False)
    with pytest.raises(InvalidInput, match="without the key"):
        check(former)
    assert check(former, public_key=public(KEY)).erasure == "01JD8"


def test_what_the_key_signed_for_another_purpose_is_no_receipt_and_a_newer_one_is_not_misread() -> None:
    with pytest.raises(InvalidInput, match="not a receipt"):
        check(made({"sequence": 1, "version": 2}))
    with pytest.raises(InvalidInput, match="version 3"):
        check(made({**BODY, "version": 3}))


@pytest.mark.parametrize("garbage", [{}, {"format": "x"}, {**made(), "more": "1"}, {**made(), "receipt": []}])
def test_garbage_is_no_receipt(garbage: Mapping[str, Json]) -> None:
    with pytest.raises(CustodyError):
        check(garbage)
