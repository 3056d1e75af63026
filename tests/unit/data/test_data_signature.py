"""A signed card is checked without the project: any change of it is found, and another key is another key."""

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
from custody.data.card import card_digest
from custody.data.signature import check, document
from custody.ledger.checkpoint import key_id_of

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)
CARD: dict[str, Json] = {"title": "Tickets", "sources": ["help desk"], "purposes": ["train_ai_system"], "version": 2}


def made(key: Ed25519PrivateKey = KEY) -> dict[str, Any]:
    public = key.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)
    return document("tickets@1", CARD, key.sign(card_digest(CARD).encode()).hex(), key_id_of(public), public)


def test_a_card_as_it_was_signed_holds() -> None:
    found = check(json.loads(json.dumps(made())), key_id=key_id_of(PUBLIC))
    assert (found.dataset, found.title, found.key_id, found.digest) == (
        "tickets@1",
        "Tickets",
        key_id_of(PUBLIC),
        card_digest(CARD),
    )


@given(st.data())
def test_any_changed_letter_is_found(data: st.DataObject) -> None:
    whole = made()
    del whole["dataset"], whole["format"]  # not signed: where it came from is for who hands it on
    body = json.dumps(whole)
    at = data.draw(st.integers(0, len(body) - 1))
    letter = data.draw(st.characters(codec="ascii", exclude_categories=["Cc"]).filter(lambda one: one != body[at]))
    try:
        changed = json.loads(body[:at] + letter + body[at + 1 :])
    except ValueError:
        return
    if not isinstance(changed, dict) or changed == whole:
        return
    with pytest.raises((IntegrityBroken, InvalidInput)):
        check({"format": "custody-card-1", "dataset": "tickets@1", **changed})


def test_a_signature_is_spelled_in_one_way() -> None:
    whole = made()
    for other in (str(whole["signature"]).upper(), f" {whole['signature']}"):
        with pytest.raises(IntegrityBroken):
            check({**whole, "signature": other})


def test_a_card_that_somebody_else_signed_is_not_ours() -> None:
    other = made(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    assert check(other).key_id != key_id_of(PUBLIC)
    with pytest.raises(IntegrityBroken, match="not by"):
        check(other, key_id=key_id_of(PUBLIC))


@pytest.mark.parametrize(
    "garbage", [{}, {"format": "x"}, {**made(), "more": 1}, {**made(), "card": []}, {**made(), "signature": ""}]
)
def test_garbage_is_no_signed_card(garbage: Mapping[str, Json]) -> None:
    with pytest.raises(CustodyError):
        check(garbage)
