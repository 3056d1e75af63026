"""A scan that takes too long is ended; windows overlap."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.adapters.privacy.batches import batches
from custody.adapters.privacy.chosen import detectors
from custody.adapters.privacy.limited import scrub_within
from custody.adapters.privacy.names import Names, windows
from custody.bootstrap.pseudonyms import PseudonymFiles
from custody.core.errors import InvalidInput, Unavailable
from custody.core.tenancy import TenantId
from custody.privacy.columns.table import scrub_table
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.pseudonym import PseudonymKey

TABLE = pa.table({"note": ["mail a@b.co", None, "call 555 0187"], "n": [1, 2, 3]})


@given(st.lists(st.text("ab", max_size=9), max_size=20), st.integers(1, 12), st.integers(1, 5))
def test_batches_keep_every_text_in_order_and_within_bounds(texts: list[str], size: int, count: int) -> None:
    made = list(batches(texts, size, count))
    assert [text for batch in made for text in batch] == texts
    assert all(len(batch) == 1 or (len(batch) <= count and sum(map(len, batch)) <= size) for batch in made)


def test_a_scan_in_a_child_gives_what_a_scan_here_gives() -> None:
    key = PseudonymKey(TenantId("acme"), "k1", b"k" * 32)
    policy = ScrubPolicy(mode=Mode.PSEUDONYM)
    assert scrub_within(TABLE, policy, seconds=120, key=key) == scrub_table(TABLE, policy, key=key)


def test_a_scan_that_takes_too_long_is_ended() -> None:
    with pytest.raises(Unavailable, match="did not end"):
        scrub_within(TABLE, ScrubPolicy(), seconds=0.001)


def test_a_scan_that_fails_is_told_without_its_data() -> None:
    with pytest.raises(Unavailable, match="failed") as told:
        scrub_within(TABLE, ScrubPolicy(), seconds=120, columns=("nose",))
    assert "a@b.co" not in str(told.value)


@given(st.text(max_size=40), st.integers(5, 12), st.integers(0, 4))
def test_windows_cover_a_text_and_share_their_borders(text: str, size: int, overlap: int) -> None:
    pieces = list(windows(text, size, overlap))
    assert all(text.startswith(piece, at) and len(piece) <= size for at, piece in pieces)
    assert all(first + size - overlap == second for (first, _), (second, _) in pairwise(pieces))
    assert pieces[-1][0] + len(pieces[-1][1]) == len(text)


def test_names_without_spacy_or_a_model_say_how_to_get_it() -> None:
    with pytest.raises(InvalidInput, match=r"spaCy"):
        Names("no_such_model")


def test_a_model_of_names_is_asked_for_only_when_something_is_scanned() -> None:
    assert detectors().names == ()
    (names,) = detectors("no-such-model").names
    with pytest.raises(InvalidInput):
        names.find(["Ana"])


def test_a_tenants_key_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    keys, acme = PseudonymFiles(tmp_path / "keys"), TenantId("acme")
    first = keys.of(acme)
    assert PseudonymFiles(tmp_path / "keys").of(acme) == first
    assert keys.of(TenantId("globex")).secret != first.secret
    path = tmp_path / "keys" / "acme.key"
    assert path.stat().st_mode & 0o077 == 0
    assert first.secret.hex() not in repr(first)
    path.write_text("not a key")
    with pytest.raises(Unavailable, match="cannot be read"):
        keys.of(acme)
