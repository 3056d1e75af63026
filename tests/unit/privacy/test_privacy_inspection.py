"""A look at a whole table: what the card expects stays, what it does not blocks, what is doubtful waits for a person."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId
from custody.privacy.columns.table import pseudonymised
from custody.privacy.finding import Finding
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import HOUSE_POLICY, ScrubPolicy, policy_of
from custody.privacy.pseudonym import PseudonymKey
from custody.privacy.scans.inspection import Detectors, Inspection, inspect, pattern_detectors
from custody.privacy.scans.report import Fault
from custody.privacy.scans.scan import Standing, check_categories, covers

DETECTORS = pattern_detectors()
NOTES = [
    "please write to ana@example.org",
    "call me at +44 20 7946 0123",
    "see you on 03/04/2021, it will rain",
    "nothing at all here",
]
KEY = PseudonymKey(TenantId("acme"), "1", b"k" * 32)


def look(
    columns: Mapping[str, Sequence[Any]],
    declared: Mapping[str, str] | None = None,
    answers: Mapping[str, str] | None = None,
    *,
    policy: ScrubPolicy = HOUSE_POLICY.scan,
    detectors: Detectors = DETECTORS,
) -> Inspection:
    return inspect(pa.table(dict(columns)), policy, declared or {}, answers or {}, detectors, rng=random.Random(1))


def items(seen: Inspection, standing: Standing) -> list[str]:
    return [one.item for one in seen.of(standing)]


def test_numbers_and_short_lists_of_choices_are_nobodys_data() -> None:
    seen = look({"words": [1, 2, 3] * 20, "price": [1.5, 2.5, None] * 20, "plan": ["basic", "pro", "pro"] * 20})
    assert seen.found == ()
    assert (seen.canaries, seen.canaries_found, seen.faults, seen.unread, seen.named) == (12, 12, (), (), ())
    assert seen.text_bytes == seen.scanned_bytes == 220


def test_what_is_surely_personal_blocks_and_what_only_the_strict_tier_takes_is_doubtful() -> None:
    seen = look({"note": NOTES})
    assert items(seen, Standing.FOUND) == ["note/EMAIL", "note/PHONE"]
    assert items(seen, Standing.DOUBTFUL) == ["note/DATE_OF_BIRTH"]
    mail = seen.found[0]
    assert (mail.rows, mail.category, mail.whole) == (1, "user.contact.email", False)
    place = mail.places[0]
    assert NOTES[place.row][place.start : place.end] == "ana@example.org"
    assert "ana" not in mail.sentence


def test_the_strict_tier_has_no_doubts() -> None:
    seen = look({"note": NOTES}, policy=ScrubPolicy(tier=Tier.STRICT))
    assert {"note/EMAIL", "note/PHONE", "note/DATE_OF_BIRTH"} <= set(items(seen, Standing.FOUND))
    assert seen.of(Standing.DOUBTFUL) == ()
    assert set(seen.second) - set(seen.detectors)


@pytest.mark.parametrize(
    ("declared", "stays"),
    [("user.contact.email", True), ("user.contact", True), ("user", True), ("user.name", False), ("system.operations", False)],
)
def test_a_declared_category_expects_itself_and_what_lies_below_it(declared: str, stays: bool) -> None:
    seen = look({"note": NOTES}, {"note": declared})
    assert ("note/EMAIL" in items(seen, Standing.DECLARED)) is stays
    assert ("note/EMAIL" in items(seen, Standing.FOUND)) is not stays
    assert covers("user.contact", "user.contacts") is False


def test_a_column_of_identifiers_is_found_as_a_whole() -> None:
    seen = look({"email": [f"p{n}@example.org" for n in range(9)], "author": [f"Ana {n} B" for n in range(9)]})
    assert {one.item: one.whole for one in seen.found if one.standing is Standing.FOUND} == {
        "email/EMAIL": True,
        "author/COLUMN": True,
    }


def test_a_column_that_nobody_understands_blocks_until_it_is_declared_or_answered() -> None:
    codes = {"sku": [f"AB{n}-{n * 7}" for n in range(60)]}
    assert items(look(codes), Standing.UNKNOWN) == ["sku/UNKNOWN"]
    assert items(look(codes, {"sku": "system.operations"}), Standing.UNKNOWN) == []
    assert items(look(codes, answers={"sku/UNKNOWN": "harmless"}), Standing.HARMLESS) == ["sku/UNKNOWN"]


def test_an_answer_counts_more_than_the_scan_and_the_card() -> None:
    seen = look({"note": NOTES}, {"note": "user"}, {"note/EMAIL": "harmless", "note/DATE_OF_BIRTH": "personal"})
    assert items(seen, Standing.HARMLESS) == ["note/EMAIL"]
    assert items(seen, Standing.FOUND) == ["note/DATE_OF_BIRTH"]
    assert items(seen, Standing.DECLARED) == ["note/PHONE"]


def test_pages_stay_with_their_numbers_but_an_address_in_one_is_found() -> None:
    seen = look(
        {
            "text": [
                "watch http://example.com/watch/0207946012345 now",
                "or http://example.com/?m=ana@example.org then",
                "and all the rest",
            ]
        }
    )
    assert items(seen, Standing.FOUND) == ["text/EMAIL"]
    assert "text/URL" in items(look({"text": ["see http://example.com/x for all of it"]}, policy=ScrubPolicy()), Standing.FOUND)


def test_pseudonyms_of_ours_are_left_alone_but_must_be_declared() -> None:
    column = pseudonymised(pa.chunked_array([["ana", "bob", None]]), KEY)
    table = {"person": column}
    assert items(look(table), Standing.FOUND) == ["person/COLUMN"]
    assert items(look(table, {"person": "user.unique_id.pseudonymous"}), Standing.DECLARED) == ["person/COLUMN"]


def test_a_column_name_that_holds_personal_data_is_told() -> None:
    assert look({"ana@example.org": [1, 2, 3]}).named == ("ana@example.org",)


class Broken:
    name = "broken 1"

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:  # noqa: ARG002 - it fails before
        raise RuntimeError("no")


class Anas:
    name = "anas 1"

    def find(self, texts: Sequence[str], *, hint: str = "") -> Sequence[Sequence[Finding]]:  # noqa: ARG002 - needs no hint
        return [[Finding(at, at + 3, "PERSON")] if (at := text.find("Ana")) >= 0 else [] for text in texts]


def test_what_a_model_finds_is_doubtful_and_a_model_that_fails_is_a_fault() -> None:
    notes = {"note": ["it was Ana who came in the end", "and nobody else came to it"]}
    seen = look(notes, detectors=Detectors(DETECTORS.patterns, (Anas(),)))
    assert items(seen, Standing.DOUBTFUL) == ["note/PERSON"]
    assert "anas 1" in seen.second
    strict = look(notes, policy=ScrubPolicy(tier=Tier.STRICT), detectors=Detectors(DETECTORS.patterns, (Anas(),)))
    assert "note/PERSON" in items(strict, Standing.FOUND)
    assert look(notes, detectors=Detectors(DETECTORS.patterns, (Broken(),))).faults == (Fault.DETECTOR,)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_no_text_stops_a_look(texts: list[str]) -> None:
    encodable = [text for text in texts if text.isprintable() or text.isascii()] or [""]
    seen = look({"text": encodable})
    assert seen.text_bytes == seen.scanned_bytes == sum(len(text.encode()) for text in encodable)
    assert seen.canaries == seen.canaries_found


def test_a_declaration_must_fit_the_data() -> None:
    with pytest.raises(InvalidInput, match="'mail'"):
        check_categories({"mail": "user"}, ("email",))
    with pytest.raises(InvalidInput, match="no category"):
        check_categories({"email": "Some E-Mail!"}, ("email",))


def test_a_policy_is_read_from_what_people_write() -> None:
    assert policy_of({}) == HOUSE_POLICY
    assert policy_of({"tier": "strict", "captures": "keep"}).scan.tier is Tier.STRICT
    with pytest.raises(InvalidInput, match="'teir'") as raised:
        policy_of({"teir": "strict"})
    assert "tier" in raised.value.why
    wrongs: list[dict[str, Json]] = [
        {"tier": "lax"},
        {"min_k": 0},
        {"captures": "some"},
        {"keep": ["NOTHING"]},
        {"min_k": "five"},
    ]
    for wrong in wrongs:
        with pytest.raises(InvalidInput):
            policy_of(wrong)
