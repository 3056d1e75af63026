"""Keyed pseudonyms: stable under a key, unlinkable without it."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId
from custody.privacy.pseudonym import PseudonymKey, canonical_value, pseudonym, tokens
from custody.privacy.tags import TAG, tag

ACME, BETA = TenantId("acme"), TenantId("beta")
KEY = PseudonymKey(ACME, "2026-01", b"s" * 32)
VALUES = st.text(st.characters(), max_size=30)


def test_a_token_is_version_key_and_mac() -> None:
    """The expected value is computed here from the definition, so that a change of the format is noticed."""
    derived = hashlib.blake2b(b"acme", key=b"s" * 32, digest_size=32, person=b"custody.token.v1").digest()
    mac = hashlib.blake2b(b"ana@example.org", key=derived, digest_size=16, person=b"custody.token.v1").hexdigest()
    assert pseudonym(" Ana@Example.org", KEY, "EMAIL") == f"1.2026-01.{mac}"
    assert TAG.fullmatch(tag("EMAIL", pseudonym("x", KEY)))


@given(VALUES)
def test_it_is_stable_and_separated_by_key_tenant_and_rotation(value: str) -> None:
    made = pseudonym(value, KEY)
    assert made == tokens(KEY)(value, "")
    for other in (
        PseudonymKey(BETA, "2026-01", b"s" * 32),
        PseudonymKey(ACME, "2026-01", b"t" * 32),
        PseudonymKey(ACME, "2026-02", b"s" * 32),
    ):
        assert pseudonym(value, other) != made
    assert pseudonym(value, PseudonymKey(BETA, "2026-01", b"s" * 32)).split(".")[2] != made.split(".")[2]


@given(VALUES, VALUES)
def test_two_values_share_a_token_only_if_they_are_written_alike(one: str, other: str) -> None:
    assert (pseudonym(one, KEY) == pseudonym(other, KEY)) is (canonical_value(one) == canonical_value(other))


def test_spellings_agree() -> None:
    assert canonical_value("4111 1111-1111 1111", "CREDIT_CARD") == canonical_value("4111111111111111", "CREDIT_CARD")
    assert canonical_value("  Ana   Ruiz ", "PERSON") == "ana ruiz"
    assert canonical_value("\uff41\uff4e\uff41@example.org", "EMAIL") == "ana@example.org"
    assert canonical_value("a.n.a@example.org", "EMAIL") == "a.n.a@example.org"
    assert canonical_value("--", "PHONE") == "--"


@pytest.mark.parametrize(("name", "secret"), [("K1", b"s" * 32), ("", b"s" * 32), ("k1", b"s" * 31), ("k1", b"s" * 65)])
def test_a_weak_key_is_refused_and_never_shown(name: str, secret: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a key"):
        PseudonymKey(ACME, name, secret)
    assert "sss" not in repr(KEY)
