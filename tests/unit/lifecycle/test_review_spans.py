"""People decide about single places: the next scan and the next scrubbing do as they said, and nothing keeps the words."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifecycle_world import CARD, World
from test_scans import CARL, MARY, state, table

from custody.core.errors import Denied, InvalidInput
from custody.core.tenancy import HOUSE, Actor, Role
from custody.data.dataset import DatasetVersion
from custody.lifecycle import scan as scans
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.privacy import set_privacy
from custody.lifecycle.review import answer, queue
from custody.lifecycle.scan import scan
from custody.lifecycle.scrub import Treatment, scrub_version
from custody.privacy.finding import Finding
from custody.privacy.policy import ScrubPolicy
from custody.privacy.scans.inspection import Detectors, pattern_detectors
from custody.privacy.scans.spans import Marked, decided, marked, rewritten
from custody.privacy.scans.state import ScanState
from custody.privacy.scrub import Span

CALL = "please call +44 20 7946 0123 now"
DAY = "it came on 03/04/2021, I think"
PART = "part +44 20 7946 0999 or call +44 20 7946 0123 today"
BLIND = Actor("blind", Role.ADMIN, rows=False)


def notes(world: World, *texts: str, **card: object) -> DatasetVersion:
    told = [*texts, *["nothing to say about it"] * (40 - len(texts))]
    rows = pa.table({"note": told, "words": list(range(40)), "left": ["Yes", "No"] * 20})
    changed = replace(CARD, **card)  # type: ignore[arg-type]  # fields of the card
    return ingest(world.ports, world.caller(), "notes", rows, changed, roles=Roles(target="left", positive="Yes"))[0]


def items(world: World, version: DatasetVersion) -> dict[str, int]:
    return {one.item: one.rows for one in queue(world.ports, world.caller(), version.ref)}


def spans(world: World, version: DatasetVersion) -> list[str]:
    return [place.item for one in queue(world.ports, world.caller(), version.ref) for place in one.places]


def said(world: World, version: DatasetVersion, item: str, word: str) -> ScanState:
    return answer(world.ports, world.caller(), version.ref, [item], word, reason="looked at it")[0].state


def test_one_place_is_harmless_and_the_same_words_elsewhere_are_not(world: World) -> None:
    version = notes(world, CALL, CALL)
    (first,) = spans(world, version)
    assert (first, items(world, version)) == ("note/PHONE@0:12-28", {"note/PHONE": 2})
    assert said(world, version, first, "harmless") is ScanState.REJECTED
    assert items(world, version) == {"note/PHONE": 1}
    (second,) = spans(world, version)
    assert second == "note/PHONE@1:12-28"
    assert said(world, version, second, "harmless") is ScanState.CLEARED
    assert spans(world, version) == []
    assert scan(world.ports, world.caller(), version.ref)[0].state is ScanState.CLEARED
    assert said(world, version, first, "personal") is ScanState.REJECTED


def test_a_doubtful_place_that_is_personal_is_taken_out_and_nothing_else(world: World) -> None:
    version = notes(world, CALL, DAY, categories={"note": "user.contact"})
    assert state(world, version.ref) is ScanState.CLEARED
    (day,) = [one for one in spans(world, version) if "DATE" in one]
    assert said(world, version, day, "personal") is ScanState.REJECTED
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref)
    assert made is not None
    assert told.treatments == {"note": Treatment.MARKED}
    assert dict(told.removed) == {"DATE_OF_BIRTH": 1}
    assert table(world, made).column("note").to_pylist()[:2] == [CALL, "it came on [DATE_OF_BIRTH], I think"]
    assert state(world, made.ref) is ScanState.CLEARED


def test_a_harmless_place_is_left_by_the_next_scrubbing_and_stays_decided(world: World) -> None:
    version = notes(world, PART, CALL)
    places = spans(world, version)
    part = next(one for one in places if "@0:5-" in one)
    said(world, version, part, "harmless")
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref)
    assert made is not None
    texts = table(world, made).column("note").to_pylist()[:2]
    assert texts == ["part +44 20 7946 0999 or call [PHONE] today", "please call [PHONE] now"]
    assert dict(told.removed) == {"PHONE": 2}
    assert state(world, made.ref) is ScanState.CLEARED
    kept = world.ports.stores.of(HOUSE).scans.get(made.ref)
    assert kept is not None
    assert [(one.item, one.answer, one.by) for one in kept.answers] == [(part, "harmless", "ada")]
    assert scan(world.ports, world.caller(), made.ref)[0].state is ScanState.CLEARED


def test_an_answer_does_not_hold_where_other_words_stand(world: World) -> None:
    version = notes(world, CALL)
    said(world, version, "note/PHONE@0:12-28", "harmless")
    found = world.ports.stores.of(HOUSE).scans.get(version.ref)
    assert found is not None
    other = notes(world, "please call +44 20 7946 0777 now")
    before = world.ports.stores.of(HOUSE).scans.get(other.ref)
    assert before is not None
    with world.ports.stores.change(HOUSE, world.caller().actor, world.now) as change:
        change.scans.save(replace(before, answers=found.answers))
    assert scan(world.ports, world.caller(), other.ref)[0].state is ScanState.REJECTED


def test_an_answer_given_while_a_scan_is_at_work_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = notes(world, CALL)
    examined, looks = scans.examine, list[None]()

    def slow(*args: Any, **more: Any) -> scans.Examined:
        made = examined(*args, **more)
        looks.append(None)
        if len(looks) == 1:  # the first look is over, and a person is quicker than what follows
            said(world, version, "note/PHONE@0:12-28", "harmless")
        return made

    monkeypatch.setattr(scans, "examine", slow)
    assert scan(world.ports, world.caller(), version.ref)[0].state is ScanState.CLEARED
    found = world.ports.stores.of(HOUSE).scans.get(version.ref)
    assert found is not None
    assert [one.item for one in found.answers] == ["note/PHONE@0:12-28"]


def test_a_harmless_place_says_nothing_of_a_larger_one_or_of_another_type() -> None:
    harmless = [Marked("note", "PHONE", 0, 5, 9, personal=False)]
    inside, larger, other = Span("PHONE", 6, 9), Span("PHONE", 5, 12), Span("EMAIL", 5, 9)
    assert decided([inside, larger, other], harmless) == (larger, other)


def test_nothing_keeps_the_words_and_the_ledger_not_even_the_column(world: World) -> None:
    version = notes(world, CALL)
    said(world, version, "note/PHONE@0:12-28", "harmless")
    entry = next(one for one in world.ports.stores.ledger.entries() if one.kind == "review.answered")
    assert (entry.body["types"], entry.body["spans"]) == (["PHONE"], 1)
    ledger = msgspec.json.encode([one.body for one in world.ports.stores.ledger.entries()]).decode()
    stored = msgspec.json.encode(world.ports.stores.of(HOUSE).scans.get(version.ref)).decode()
    assert "7946" not in ledger + stored
    assert "note" not in ledger.replace("notes@1", "")


def test_the_place_itself_is_shown_to_approvers_who_see_rows_and_the_ledger_says_so(world: World) -> None:
    version = notes(world, CALL)
    for actor in (MARY, CARL, BLIND):
        with pytest.raises(Denied):
            queue(world.ports, world.caller(actor), version.ref, unmasked=True)
    (one,) = queue(world.ports, world.caller(), version.ref, unmasked=True)
    assert (one.places[0].text, one.places[0].context) == ("+44 20 7946 0123", "please call +99 99 9999 9999 now")
    entry = list(world.ports.stores.ledger.entries())[-1]
    assert (entry.kind, entry.body["purpose"], entry.body["rows"]) == ("rows.read", "review, unmasked", "1 to 9")
    assert queue(world.ports, world.caller(), version.ref)[0].places[0].text == ""


@pytest.mark.parametrize(
    "item",
    ["note/PHONE@0:28-12", "note/PHONE@0:5-999", "note/PHONE@99:1-2", "nota/PHONE@0:1-2", "words/PHONE@0:1-2", "note/FOO@0:1-2"],
)
def test_a_place_that_is_not_there_is_refused(world: World, item: str) -> None:
    version = notes(world, CALL)
    before = world.kinds()
    with pytest.raises(InvalidInput):
        said(world, version, item, "harmless")
    assert world.kinds() == before


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(TEXT, st.data())
def test_what_is_harmless_stands_where_it_is_said_to_and_what_is_personal_is_gone(text: str, data: st.DataObject) -> None:
    def places(most: int) -> list[tuple[int, int]]:
        found = data.draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 8)), max_size=most))
        return [(start, min(len(text), start + length)) for start, length in found]

    spans = [Span("PHONE", start, end) for start, end in places(3)]
    answers = [Marked("c", "EMAIL", 0, start, end, personal=data.draw(st.booleans())) for start, end in places(3)]
    made, kept, counts = rewritten(text, spans, answers, ScrubPolicy(), None)
    for old, new in kept:
        assert made[new.start : new.end] == text[old.start : old.end]
    if any(one.personal for one in answers):
        assert set(counts) & {"EMAIL", "PHONE"}
    if not spans and not any(one.personal for one in answers):
        assert made == text


@given(TEXT)
def test_any_text_is_an_item_of_a_span_or_not(text: str) -> None:
    assert marked(text + "/PHONE@1:2-3", personal=True) == Marked(text, "PHONE", 1, 2, 3)
    assert marked(text, personal=True) is None or "@" in text


class Names:
    """A model of names that knows one."""

    name = "names 1"

    def find(self, texts: Sequence[str], *, hint: str = "") -> list[list[Finding]]:  # noqa: ARG002 - the port's words
        found = [re.finditer("Zora Quellenberg", text) for text in texts]
        return [[Finding(one.start(), one.end(), "PERSON") for one in each] for each in found]


@pytest.mark.parametrize("strict", [True, False])
def test_names_that_a_model_finds_are_taken_out_in_the_strict_tier(world: World, strict: bool) -> None:
    world.ports = replace(world.ports, detectors=Detectors(pattern_detectors().patterns, (Names(),)))
    if strict:
        set_privacy(world.ports, world.caller(), {"tier": "strict"})
    version = notes(world, CALL, "please ask Zora Quellenberg", "Zora Quellenberg and again Zora Quellenberg, said Ann")
    assert state(world, version.ref) is ScanState.REJECTED
    made, told, _ = scrub_version(world.ports, world.caller(), version.ref)
    assert made is not None
    texts = table(world, made).column("note").to_pylist()[:3]
    assert dict(told.removed) == ({"PHONE": 1, "PERSON": 2} if strict else {"PHONE": 1})
    assert texts[1:] == (
        ["please ask [PERSON]", "[PERSON] and again [PERSON], said Ann"]
        if strict
        else ["please ask Zora Quellenberg", "Zora Quellenberg and again Zora Quellenberg, said Ann"]
    )
    assert state(world, made.ref) is ScanState.CLEARED
