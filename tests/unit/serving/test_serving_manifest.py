"""The signed manifest."""

import base64
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Digest
from custody.core.errors import Conflict, CustodyError, IntegrityBroken, InvalidInput
from custody.core.manifest import Candidate, KeyGrant, Manifest, Mode, ParityFixture, Service, SignedManifest, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature, Tensor
from custody.core.tenancy import TenantId
from custody.serving import open_manifest, read_fixture, require_newer

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
SIGNATURE = Signature((Tensor("x", "FP32", (-1, 1)),), (Tensor("p", "FP32", (-1, 2)),), "p", ("no", "yes"))
TARGET = Target(ModelRef("churn", 7), Digest("a" * 64), SIGNATURE, 0.35, Digest("b" * 64))
SERVICE = Service(DeploymentKey(TenantId("acme"), "prod", "churn"), 3, TARGET, Candidate(TARGET, Mode.CANARY, 0.1))
MANIFEST = Manifest(4, datetime(2026, 3, 1, tzinfo=UTC), (SERVICE,), (KeyGrant(Digest("c" * 64), None),))


def signed(manifest: Manifest | Any = MANIFEST, key: Ed25519PrivateKey = KEY) -> bytes:
    text = msgspec.json.encode(manifest).decode()
    signature = base64.b64encode(key.sign(text.encode())).decode()
    return msgspec.json.encode(SignedManifest(text, signature, "k1"))


def test_a_signed_manifest_is_read_back() -> None:
    assert open_manifest(signed(), PUBLIC) == MANIFEST


def test_a_manifest_signed_by_another_key_is_refused() -> None:
    with pytest.raises(IntegrityBroken, match="not signed by the expected key"):
        open_manifest(signed(key=Ed25519PrivateKey.generate()), PUBLIC)


@given(at=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_no_byte_can_be_changed_unseen(at: int, flip: int) -> None:
    body = bytearray(signed())
    body[at % len(body)] ^= flip
    with suppress(CustodyError):
        assert open_manifest(bytes(body), PUBLIC) == MANIFEST  # a change in the key id or of JSON's blanks changes nothing


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"manifest":"x","signature":"!","key_id":""}'])
def test_what_is_no_manifest_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        open_manifest(body, PUBLIC)


def test_a_signed_document_of_another_shape_is_invalid() -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        open_manifest(signed({"sequence": 1}), PUBLIC)


def test_a_newer_format_says_to_upgrade() -> None:
    with pytest.raises(InvalidInput, match="version 2"):
        open_manifest(signed(replace(MANIFEST, version=2)), PUBLIC)


@pytest.mark.parametrize("key", [("../etc", "prod", "churn"), ("acme", "pr/od", "churn"), ("acme", "prod", "stats")])
def test_names_that_could_be_paths_are_refused_even_if_signed(key: tuple[str, str, str]) -> None:
    bad = DeploymentKey(TenantId(key[0]), key[1], key[2])
    with pytest.raises(InvalidInput):
        open_manifest(signed(replace(MANIFEST, services=(replace(SERVICE, key=bad),))), PUBLIC)


def test_a_sequence_never_goes_back() -> None:
    assert require_newer(MANIFEST, 3) is MANIFEST
    assert require_newer(MANIFEST, 4) is MANIFEST
    with pytest.raises(Conflict, match="sequence 4, and 5"):
        require_newer(MANIFEST, 5)


def test_a_fixture_is_read_and_garbage_refused() -> None:
    fixture = ParityFixture({"x": [1.0, None], "word": ["a", "b"]}, [0.1, 0.2], 1e-4)
    assert read_fixture(msgspec.json.encode(fixture)) == fixture
    with pytest.raises(InvalidInput):
        read_fixture(b'{"inputs":3}')
