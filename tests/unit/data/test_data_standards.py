"""The card in five standards: what is written comes back, and Croissant's own validator has no complaint."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.data.asked import QUESTIONS, card_of
from custody.data.card import Card
from custody.data.inherit import weaker
from custody.data.sentences import sentences
from custody.data.standards.croissant import LABELS, RAI, VERSION
from custody.data.standards.formats import STANDARDS, read_any, standard
from custody.data.standards.places import About, period, values_of

WHOLE: dict[str, Json] = {one.name: yaml.safe_load(one.example) for one in QUESTIONS}
ABOUT = About(
    "tickets",
    2,
    "ab" * 32,
    "2026-01-01T00:00:00+00:00",
    previous="2025-01-01T00:00:00+00:00",
    files=(("cd" * 32, 90, 4096),),
    columns=(("age", "integer"), ("left", "string")),
)
words = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), min_size=4, max_size=20).map(
    lambda text: f"w{text.strip()}xyz"
)


@pytest.mark.parametrize("name", STANDARDS)
def test_every_field_that_has_a_place_comes_back_as_it_was(name: str) -> None:
    card = card_of(WHOLE)
    made = standard(name)
    document = msgspec.json.decode(msgspec.json.encode(made.write(card, ABOUT)))
    found, values = made.read(document), values_of(card)
    assert len(made.places) >= 7
    for place in made.places:
        assert found[place.field] == values[place.field], place.field


@pytest.mark.parametrize("name", STANDARDS)
@settings(max_examples=10)
@given(st.data())
def test_any_texts_come_back(name: str, data: st.DataObject) -> None:
    made = standard(name)
    texts = {
        one.name: data.draw(words)
        for one in QUESTIONS
        if isinstance(WHOLE[one.name], str) and not one.choices and one.name not in ("retention", "collection_period")
    }
    card = card_of({**WHOLE, **texts})
    found, values = made.read(made.write(card, ABOUT)), values_of(card)
    assert {place.field: found[place.field] for place in made.places} == {p.field: values[p.field] for p in made.places}


@pytest.mark.parametrize("name", STANDARDS)
def test_a_card_with_nothing_but_what_is_needed_is_written_too(name: str) -> None:
    card = card_of({one.name: WHOLE[one.name] for one in QUESTIONS if one.needed})
    made = standard(name)
    found, values = made.read(made.write(card, ABOUT)), values_of(card)
    assert all(found[place.field] == values[place.field] for place in made.places if place.field in values)


def test_croissant_names_its_terms_and_its_files_as_the_standard_does() -> None:
    document: Any = standard("croissant").write(card_of(WHOLE), ABOUT)
    assert document["conformsTo"] == [VERSION, RAI]
    assert document["distribution"][0]["sha256"] == "cd" * 32
    assert document["recordSet"][0]["field"][0]["dataType"] == "sc:Integer"
    terms = {key.removeprefix("rai:") for key in document if key.startswith("rai:")}
    assert {"dataCollection", "dataUseCases", "personalSensitiveInformation", "dataBiases", "dataLimitations"} <= terms
    assert document[LABELS["protocol"]] == "two agents"
    assert read_any(document)["title"] == WHOLE["title"]


def test_croissants_own_validator_finds_no_error() -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    document = msgspec.json.decode(msgspec.json.encode(standard("croissant").write(card_of(WHOLE), ABOUT)))
    assert not mlcroissant.Dataset(document).metadata.ctx.issues.errors


def test_the_provenance_standard_has_its_twenty_two_fields_where_its_schema_has_them() -> None:
    card = card_of({**WHOLE, "processing": ["CA"], "proprietary": ["copyright", "patent", "trademark"]})
    document: Any = standard("dps").write(card, ABOUT)
    assert set(document) == {"source", "provenance", "use"}
    assert set(document["source"]) == {"version", "title", "id", "location", "issuer", "description"}
    assert set(document["provenance"]) == {
        "source", "origin", "origin-geography", "date", "previous-date", "generation-period", "generation-method", "format",
    }  # fmt: skip
    assert set(document["use"]) == {
        "classification", "consents", "privacy-enhancing", "processing-included", "processing-excluded", "storage-allowed",
        "storage-forbidden", "license", "intended-purpose", "copyright", "patent", "trademark",
    }  # fmt: skip
    assert all({"code", "description"} <= one.keys() for one in document["use"]["intended-purpose"])
    assert standard("dps").read(document)["proprietary"] == ["copyright", "patent", "trademark"]


def test_an_unknown_format_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'croissant'"):
        standard("croisant")
    assert read_any({"title": "x"}) == {"title": "x"}
    assert period("1997 to 1999") == ("1997", "1999")


@settings(max_examples=30)
@given(st.recursive(st.none() | st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=8))
def test_any_document_can_be_read(document: Any) -> None:
    for made in STANDARDS.values():
        assert isinstance(made.read(document), dict)


# inheritance

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BASE = card_of({**WHOLE, "legal_basis": "consent", "processing": ["CA", "FR"]})


def faults(card: Card, source: Card = BASE) -> tuple[str, ...]:
    return weaker(card, [("tickets@1", source, datetime(2026, 1, 1, tzinfo=UTC))], NOW)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"classification": "public"}, "classification must be at least 'internal'"),
        ({"purposes": ("train_ai_system", "sales")}, "purposes may not hold sales"),
        ({"processing": ("CA", "US")}, "processing may only name CA, FR"),
        ({"storage": ("any",)}, "storage may only name CA"),
        ({"storage_denied": ()}, "storage_denied must keep US"),
        ({"restrictions": ()}, "restrictions must keep no onward transfer"),
        ({"retention": "unlimited"}, "retention may not end after 2031-01-01"),
        ({"legal_basis": "contract"}, "legal_basis must stay 'consent'"),
        ({"subject_key": None}, "subject_key must still name customer_id"),
    ],
)
def test_derived_data_is_never_freer_than_its_source(changed: dict[str, Any], fault: str) -> None:
    narrow = replace(BASE, retention="2030-01-01", processing=("CA",), classification="restricted")
    assert faults(narrow) == ()
    assert faults(replace(narrow, **changed)) == (f"{fault} (tickets@1)",)


def test_a_purpose_below_an_allowed_one_is_narrower_and_an_old_source_says_nothing() -> None:
    assert faults(replace(BASE, retention="2030-01-01", purposes=("train_ai_system.scoring",))) == ()
    old = Card(**{f: getattr(BASE, f) for f in ("title", "description", "owner", "sources", "collection_method",
        "collection_period", "geography", "subjects", "legal_basis", "purposes", "license", "limitations", "bias_treatment")})  # fmt: skip
    assert faults(replace(BASE, classification="public"), old) == ()


# plain words


def test_a_lawyer_can_read_it() -> None:
    text = dict(sentences(BASE))
    assert text["May it be used to train a model?"][0] == "Yes."
    assert any("Every row needs the consent of the person" in line for line in text["On what ground, and what for?"])
    assert all(line.endswith((".", ":")) for lines in text.values() for line in lines)
    refused = dict(sentences(replace(BASE, purposes=("unknown",))))
    assert refused["May it be used to train a model?"] == ["No: its purpose is unknown."]
    old = replace(BASE, version=1, retention="", contact="", classification="")
    assert any("Nothing is said about" in line for lines in dict(sentences(old)).values() for line in lines)
