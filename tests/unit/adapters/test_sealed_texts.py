"""Texts of people in a database: equal ones stay equal, none can be moved, and a destroyed key leaves none."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.keys.texts import SealedTexts
from custody.core.errors import Denied, IntegrityBroken
from custody.core.keys import MARK
from custody.core.tenancy import TenantId
from custody.privacy.erasure.spelling import spellings, stands_in

ACME, BETA = TenantId("acme"), TenantId("beta")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return KeyRing(FolderObjects(tmp_path_factory.mktemp("ring")), LocalMaster(bytes(32), "test"))


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), min_size=1, max_size=60))
def test_what_is_sealed_opens_again_and_shows_nothing(ring: KeyRing, text: str) -> None:
    texts = SealedTexts(ring)
    sealed = texts.seal(ACME, "labels.prediction", text)
    assert sealed.startswith(MARK)
    assert sealed == texts.seal(ACME, "labels.prediction", text)
    assert texts.open(ACME, "labels.prediction", sealed) == text
    assert len(text) < 4 or not stands_in(sealed.removeprefix(MARK).encode(), text)
    assert len({sealed, texts.seal(BETA, "labels.prediction", text), texts.seal(ACME, "golden_sets.body", text)}) == 3


def test_a_text_that_was_moved_or_edited_is_refused(ring: KeyRing) -> None:
    texts = SealedTexts(ring)
    sealed = texts.seal(ACME, "labels.prediction", "ada")
    for tenant, place, text in (
        (BETA, "labels.prediction", sealed),
        (ACME, "golden_sets.body", sealed),
        (ACME, "labels.prediction", sealed[:-4]),
        (ACME, "labels.prediction", MARK + "no base64!"),
    ):
        with pytest.raises(IntegrityBroken, match="does not open"):
            texts.open(tenant, place, text)


def test_a_project_that_stopped_sealing_reads_and_finds_what_is_sealed_and_escapes_what_looks_like_it(tmp_path: Path) -> None:
    ring = KeyRing(FolderObjects(tmp_path), LocalMaster(bytes(32), "test"))
    plain = SealedTexts(ring, sealing=False)
    assert plain.seal(ACME, "p", "ada") == "ada"
    assert plain.spelled(ACME, "p", "ada") == ["ada"]
    assert ring.is_empty  # nothing above asked for a key
    sealed = SealedTexts(ring).seal(ACME, "p", "ada")
    assert plain.open(ACME, "p", sealed) == "ada"
    assert plain.spelled(ACME, "p", "ada") == ["ada", sealed]
    assert SealedTexts(ring).spelled(ACME, "p", "ada") == [sealed]
    hostile = f"{MARK}anything"
    assert plain.open(ACME, "p", plain.seal(ACME, "p", hostile)) == hostile


def test_a_destroyed_key_leaves_no_text(tmp_path: Path) -> None:
    ring = KeyRing(FolderObjects(tmp_path), LocalMaster(bytes(32), "test"))
    texts = SealedTexts(ring)
    sealed = texts.seal(ACME, "p", "ada")
    ring.destroy(ACME, NOW)
    with pytest.raises(Denied, match="can never be read again"):
        texts.open(ACME, "p", sealed)


@settings(max_examples=200, deadline=None)
@given(text=st.text(min_size=10, max_size=40), before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_a_text_is_found_in_every_spelling(text: str, before: bytes, after: bytes) -> None:
    plain = text.encode()
    bodies = [
        plain,
        plain.hex().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        base64.b64encode(before + plain + after),
    ]
    bodies += [base64.urlsafe_b64encode(before + plain + after), json.dumps({"who": text}).encode()]
    assert all(stands_in(body, text) for body in bodies)
    assert len(set(spellings(text))) == len(spellings(text))
