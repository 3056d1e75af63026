"""Hyperscan misses nothing that the plain path finds; a scan that takes too long is ended; windows overlap."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.adapters.privacy.batches import batches
from custody.adapters.privacy.chosen import Patterns, detectors
from custody.adapters.privacy.limited import scrub_within
from custody.adapters.privacy.names import Names, windows
from custody.bootstrap.pseudonyms import PseudonymFiles
from custody.core.errors import InvalidInput, Unavailable
from custody.core.tenancy import TenantId
from custody.privacy.columns.table import scrub_table
from custody.privacy.detect import PatternDetector
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.pseudonym import PseudonymKey

TABLE = pa.table({"note": ["mail a@b.co", None, "call 555 0187"], "n": [1, 2, 3]})
PIECES = (
    *("a@b.co", "ana [at] x [dot] org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "078-05-1120", "ssn 078051120"),
    *(
        "+44 20 7946 0958",
        "tel 555 0187",
        "born 3 March 1985",
        "12 Old Mill Road",
        "Hauptstrasse 12",
        "rue X 5",
        "P.O. Box 12",
        "aged 43",
    ),
    *(
        "password: hunter22",
        "AKIAIOSFODNN7EXAMPLE",
        "0x" + "ab" * 20,
        "fe80::1",
        "10.0.0.1",
        "00:1B:44:11:3A:B7",
        "IL 62704",
        "SW1A 1AA",
    ),
    *(
        "call ",
        "her bsn ",
        "123456782",
        "passport ",
        "C01X00T47",
        "zip 62704",
        "konto 12345678",
        "context",
        "st. ",
        "dni 12.345.678-Z",
        "tel",
    ),
    *(
        " " * 31,
        " " * 62,
        " ",
        "\n",
        "-",
        "x",
        "1",
        ".",
        "\x1d",
        "é",
        "٣",
        "Dr. ",
        "756.9217.0769.85",
        "390.533.447-05",
        "RCCMNL83S18D969H",
        "2021-01-02",
    ),
)


def prefiltered(tier: Tier) -> PatternDetector:
    pytest.importorskip("hyperscan", reason="pip install 'custody-ml[privacy]' to test the prefilter")
    from custody.adapters.privacy.prefilter import Hyperscan

    return PatternDetector(tier, prefilter=Hyperscan(tier))


@pytest.fixture(scope="module", params=Tier)
def pair(request: pytest.FixtureRequest) -> tuple[PatternDetector, PatternDetector]:
    return prefiltered(request.param), PatternDetector(request.param)


TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(st.characters(max_codepoint=127), max_size=40)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(TEXTS, max_size=4), hint=st.sampled_from(["", "customerPhone", "bsn", "e-mail"]))
def test_the_prefilter_lets_through_whatever_is_found_without_it(
    pair: tuple[PatternDetector, PatternDetector], texts: list[str], hint: str
) -> None:
    quick, plain = pair
    assert [list(one) for one in quick.find(texts, hint=hint)] == [list(one) for one in plain.find(texts, hint=hint)]


def test_a_text_that_matches_everywhere_is_left_to_the_gates(pair: tuple[PatternDetector, PatternDetector]) -> None:
    quick, plain = pair
    texts = ["nothing here", "4111 1111 1111 1111 " * 500, "write to ana@example.org"]
    assert [list(one) for one in quick.find(texts)] == [list(one) for one in plain.find(texts)]


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


def test_the_patterns_of_a_project_find_the_same_before_and_after_much_text() -> None:
    found = Patterns(Tier.DEFAULT, much=100)
    plain = PatternDetector(Tier.DEFAULT)
    assert found.name == plain.name
    texts = ["write to ana@example.org", "nothing to see here, really nothing at all", "call me at +44 20 7946 0123 then"]
    for _ in range(4):
        assert [list(one) for one in found.find(texts)] == [list(one) for one in plain.find(texts)]


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
