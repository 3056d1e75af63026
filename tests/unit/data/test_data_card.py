"""The provenance card: complete or refused with every fault at once; `unknown` is kept but trains nothing."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.data.card import LEGAL_BASES, METHODS, TRAINING, card_of

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
}
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
        card_of({**COMPLETE, "titel": "x", "owner": " ", "legal_basis": "because", "version": 2})
    assert error.value.facts["faults"] == [
        "unknown field 'titel' (did you mean 'title'?)",
        "'owner' is missing",
        f"'legal_basis' must be one of {', '.join(LEGAL_BASES)}",
        "version is not 1",
    ]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("sources", ["unknown"], "its source is unknown"),
        ("sources", ["helpdesk", "unknown"], "its source is unknown"),
        ("legal_basis", "unknown", "its legal basis is unknown"),
        ("purposes", ["unknown"], "its purpose is unknown"),
        ("purposes", ["marketing"], "its purposes do not include 'train_ai_system'"),
    ],
)
def test_what_nobody_can_name_blocks_training(field: str, value: Json, reason: str) -> None:
    assert card_of({**COMPLETE, field: value}).blocks == (reason,)


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
