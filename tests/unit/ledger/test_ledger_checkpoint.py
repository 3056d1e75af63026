from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from custody.core.digest import Digest, digest_of
from custody.core.errors import InvalidInput
from custody.ledger.checkpoint import Checkpoint, Tree, check, from_json, key_id_of, root_of, sign, to_json

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def signed(size: int, root: Digest) -> Checkpoint:
    return sign(size, root, NOW, public_key=PUBLIC, signature_of=KEY.sign)


def leaves(count: int) -> list[Digest]:
    return [digest_of(str(number).encode()) for number in range(count)]


@given(st.integers(0, 300))
@example(0)
@example(1)
@example(2)
@example(256)
@example(257)
def test_the_root_is_the_one_of_rfc_6962(count: int) -> None:
    oracle: Any = InmemoryTree(algorithm="sha256")
    for leaf in leaves(count):
        oracle.append_entry(bytes.fromhex(leaf))
    assert root_of(leaves(count)) == oracle.get_root().hex()


def test_a_growing_tree_knows_the_root_of_every_size_on_the_way() -> None:
    tree = Tree()
    for size, leaf in enumerate(leaves(70), 1):
        tree.append(leaf)
        assert (tree.size, tree.root) == (size, root_of(leaves(size)))


def test_a_checkpoint_is_recognised_by_the_key_that_signed_it_and_by_no_other() -> None:
    made = signed(3, root_of(leaves(3)))
    assert check(made, PUBLIC)
    assert not check(made, OTHER.public_key().public_bytes_raw())


def test_no_field_of_a_checkpoint_can_be_changed() -> None:
    made = signed(3, root_of(leaves(3)))
    changed = {"size": 4, "root": digest_of(b""), "at": NOW + timedelta(microseconds=1), "key_id": "0" * 16, "signature": "AAAA"}
    assert set(changed) == {field.name for field in fields(Checkpoint)}
    for name, value in changed.items():
        assert not check(replace(made, **{name: value}), PUBLIC), name  # type: ignore[arg-type] # one of several types


def test_the_key_id_is_the_beginning_of_the_public_keys_hash() -> None:
    assert signed(0, root_of([])).key_id == key_id_of(PUBLIC) == sha256(PUBLIC).hexdigest()[:16]


@given(st.integers(0, 2**40), st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1)))
def test_a_checkpoint_survives_the_way_through_json(size: int, at: datetime) -> None:
    made = sign(size, digest_of(b"root"), at, public_key=PUBLIC, signature_of=KEY.sign)
    assert from_json(to_json(made)) == made
    assert check(from_json(to_json(made)), PUBLIC)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"size": 1}', to_json(signed(1, root_of(leaves(1)))).replace("v1", "v9")]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a checkpoint"):
        from_json(text)


def test_a_checkpoint_with_a_garbled_root_or_time_is_refused() -> None:
    made = to_json(signed(1, digest_of(b"root")))
    for good, bad in ((digest_of(b"root"), "../etc"), ("2026-03-01T12", "noon"), ('"size": 1', '"size": -1')):
        with pytest.raises(InvalidInput, match="not a checkpoint"):
            from_json(made.replace(good, bad))
