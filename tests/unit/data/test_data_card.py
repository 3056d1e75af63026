"""The provenance card: complete or refused with every fault at once; `unknown` is kept but trains nothing."""

from dataclasses import asdict, fields, replace
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.data.asked import NAMES, QUESTIONS, card_of
from custody.data.card import LEGAL_BASES, METHODS, TRAINING, Card
from custody.data.retention import in_words
from custody.data.sentences import sentences

COMPLETE: dict[str, Json] = {
    "title": "Tickets",
    "description": "Support tickets",
    "owner": "ada",
    "sources": ["helpdesk"],
    "collection_method": "transaction",
    "collection_period": "2025",
    "geography": ["EU"],
    "subjects": [],
    "legal_basis": "contract",
    "purposes": [TRAINING],
    "license": "CC-BY-4.0",
    "limitations": "none known",
    "bias_treatment": "none",
    "contact": "ada@example.org",
    "collection_detail": "each ticket that was closed",
    "storage": ["EU"],
    "processing": ["any"],
    "classification": "internal",
    "proprietary": ["none"],
    "retention": "P5Y",
}
V1 = (
    "title", "description", "owner", "sources", "collection_method", "collection_period", "geography", "subjects",
    "legal_basis", "purposes", "license", "limitations", "bias_treatment",
)  # fmt: skip
SPECIAL = "it holds user.demographic.race_ethnicity but says no 'special_condition'"
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_a_complete_card_is_kept_as_it_is_and_blocks_nothing() -> None:
    card = card_of(COMPLETE)
    assert {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(card).items() if k in COMPLETE} == COMPLETE
    assert card.blocks == ()


@given(
    st.dictionaries(st.sampled_from(sorted(COMPLETE)) | st.sampled_from(["version", "supersedes"]) | st.text(max_size=5), values)
)
def test_any_json_is_a_card_or_invalid_input(changed: dict[str, Json]) -> None:
    try:
        card = card_of({**COMPLETE, **changed})
    except InvalidInput:
        return
    assert all(item.strip() for item in (*card.sources, *card.purposes, *card.geography, *card.subjects))


@pytest.mark.parametrize("name", sorted(COMPLETE))
def test_every_question_must_be_answered(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"'{name}'"):
        card_of({key: value for key, value in COMPLETE.items() if key != name})


def test_all_faults_are_told_at_once_and_a_typo_is_recognised() -> None:
    with pytest.raises(InvalidInput) as error:
        card_of({**COMPLETE, "titel": "x", "owner": " ", "legal_basis": "because", "version": 3, "contact": None})
    assert error.value.facts["faults"] == [
        "unknown field 'titel' (did you mean 'title'?)",
        "version is not 2",
        f"'legal_basis' must be one of {', '.join(LEGAL_BASES)}",
    ]
    assert error.value.facts["missing"] == ["owner", "contact"]
    assert "'contact' is missing (such as contact: data-office@example.org)" in error.value.what


def test_an_empty_card_names_every_question_with_an_example() -> None:
    with pytest.raises(InvalidInput) as error:
        card_of({})
    needed = [one for one in QUESTIONS if one.needed]
    assert error.value.facts["missing"] == [one.name for one in needed]
    assert all(f"{one.name}: {one.example}" in error.value.what for one in needed)


def test_the_examples_in_the_error_make_a_card_that_can_train() -> None:
    made = card_of({one.name: yaml.safe_load(one.example) for one in QUESTIONS if one.needed})
    assert made.blocks == ()
    whole = card_of({one.name: yaml.safe_load(one.example) for one in QUESTIONS})
    assert whole.blocks == ()
    assert {f.name for f in fields(Card)} == {*NAMES, "version"}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("sources", ["unknown"], "its source is unknown"),
        ("sources", ["helpdesk", "unknown"], "its source is unknown"),
        ("legal_basis", "unknown", "its legal basis is unknown"),
        ("purposes", ["unknown"], "its purpose is unknown"),
        ("purposes", ["marketing"], "its purposes do not include 'train_ai_system'"),
        ("categories", {"colour": "user.demographic.race_ethnicity"}, SPECIAL),
        ("collection_method", "human_label", "people labelled it but 'labels' names no protocol"),
        ("collection_method", "clean_room", "it comes from a clean room but 'dp' does not say epsilon, delta and unit"),
    ],
)
def test_what_nobody_can_name_blocks_training(field: str, value: Json, reason: str) -> None:
    assert card_of({**COMPLETE, field: value}).blocks == (reason,)


def test_data_that_rests_on_consent_names_the_text_and_the_person() -> None:
    card = card_of({**COMPLETE, "legal_basis": "consent"})
    assert card.blocks == (
        "it rests on consent but 'consent' names no document",
        "it rests on consent but no 'subject_key' names the column with the person",
    )
    done: dict[str, Json] = {
        **COMPLETE,
        "legal_basis": "consent",
        "consent": {"document": "notice v3"},
        "subject_key": "customer",
    }
    assert card_of(done).blocks == ()


def test_a_card_of_version_1_reads_and_trains_as_it_did() -> None:
    old = Card(**{name: tuple(v) if isinstance(v, list) else v for name, v in COMPLETE.items() if name in V1})  # type: ignore[arg-type]
    assert (old.version, old.blocks) == (1, ())
    assert replace(old, legal_basis="consent").blocks == ()


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"retention": "a while"}, "'retention' must be a date"),
        ({"purposes": ["trane_ai_system"]}, "did you mean 'train_ai_system'"),
        ({"proprietary": ["mine"]}, "'proprietary' may say none"),
        ({"categories": {"email": "contact.email"}}, "'contact.email' is not a data category"),
        ({"bias_mitigation": [{"method": "hope"}]}, "must be one of none, reweigh"),
        ({"consent": {"document": "x", "max_age_days": 0}}, "'max_age_days'"),
        ({"consent": {"documnt": "x"}}, "has no 'documnt'"),
        ({"description": "x"}, "'description' is too short"),
    ],
)
def test_answers_that_say_nothing_are_refused(changed: dict[str, Json], fault: str) -> None:
    with pytest.raises(InvalidInput) as error:
        card_of({**COMPLETE, **changed})
    assert fault in error.value.what


def test_retention_ends_and_bias_nobody_looked_at_holds_a_promotion() -> None:
    issued = datetime(2026, 1, 1, tzinfo=UTC)
    card = card_of({**COMPLETE, "retention": "2026-03-31"})
    assert card.ended(issued, datetime(2026, 3, 31, 23, tzinfo=UTC)) is None
    assert card.ended(issued, datetime(2026, 4, 1, tzinfo=UTC)) == datetime(2026, 4, 1, tzinfo=UTC)
    assert card_of({**COMPLETE, "retention": "P90D"}).ended(issued, datetime(2026, 4, 2, tzinfo=UTC)) is not None
    assert card_of({**COMPLETE, "retention": "unlimited"}).ended(issued, datetime(9000, 1, 1, tzinfo=UTC)) is None
    people = card_of({**COMPLETE, "subjects": ["customers"], "bias_treatment": "Not assessed yet"})
    assert (people.blocks, people.promotion_blocks()) == ((), ("its bias was not assessed",))


def test_every_reason_is_told() -> None:
    assert len(card_of({**COMPLETE, "sources": "unknown", "legal_basis": "unknown", "purposes": "unknown"}).blocks) == 3


@pytest.mark.parametrize("field", ["sources", "geography", "purposes"])
def test_an_empty_list_is_no_answer_but_no_subjects_is_one(field: str) -> None:
    with pytest.raises(InvalidInput, match=f"'{field}' is empty"):
        card_of({**COMPLETE, field: []})
    assert card_of({**COMPLETE, "subjects": []}).subjects == ()


@pytest.mark.parametrize("method", METHODS)
def test_one_text_may_stand_for_a_list_of_one(method: str) -> None:
    assert card_of({**COMPLETE, "sources": "helpdesk", "collection_method": method}).sources == ("helpdesk",)


@given(st.dictionaries(st.sampled_from(["k", "l", "quasi_identifiers", "policy", "report", "removed", "method"]), st.just(5)))
def test_whatever_is_declared_about_identities_can_be_said(told: dict[str, Json]) -> None:
    card = card_of({**COMPLETE, "subjects": ["customers"], "deidentification": told})
    said = " ".join(dict(sentences(card))["Whom is it about?"])
    assert all(name.replace("_", " ") in said for name in told)


@pytest.mark.parametrize(
    ("retention", "words"),
    [("P5Y", "for 5 years"), ("P1Y6M", "for 1 year and 6 months"), ("P0D", "for no time"), ("2030-12-31", "until 2030-12-31")],
)
def test_a_retention_is_said_in_words(retention: str, words: str) -> None:
    assert in_words(retention) == words
