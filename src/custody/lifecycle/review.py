"""Review: people look at what a scan is not sure of, or got wrong, and decide; their answers are part of the next scan."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import pyarrow as pa

from custody.core.digest import Digest, Json
from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef
from custody.core.tenancy import Role
from custody.data.dataset import DatasetVersion
from custody.lifecycle.access import access
from custody.lifecycle.reasons import kept_reason
from custody.lifecycle.rows import spoken, table_of
from custody.lifecycle.scan import scan, stands, text_at
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.policy import ScrubPolicy
from custody.privacy.pseudonym import tokens
from custody.privacy.scans.scan import REVIEWED, Answer, Found, Place, Scan
from custody.privacy.scans.spans import Marked, marked
from custody.privacy.scrub import scrub
from custody.privacy.tags import TYPES

AROUND = 32  # characters of a text that a reviewer sees on each side
ANSWERS = ("personal", "harmless", REVIEWED)


@dataclass(frozen=True, slots=True)
class Seen:
    """A place that a reviewer may look at: row, offsets, and the text around it with every letter and digit masked inside.

    item: how to answer about this place alone. text: the place as it is, for who asked to see it.
    """

    row: int
    start: int
    end: int
    context: str
    item: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One finding that waits for a person."""

    item: str
    standing: str
    category: str
    rows: int
    sentence: str
    places: tuple[Seen, ...]


def queue(ports: Ports, caller: Caller, ref: DatasetRef, *, unmasked: bool = False) -> tuple[Item, ...]:
    """Return what waits for a person: what blocks first, then what is doubtful.

    Who may see rows also sees the text around each place, scrubbed, with the place itself masked: `99/99` for `12/05`; the
    ledger says that they did. unmasked: with the place as it is, for approvers who may see rows, since they decide.
    Places that somebody decided about are left out, and the next ones follow.
    """
    caller.may(Role.VIEWER)
    if unmasked:
        caller.may(Role.APPROVER).may_see_rows()
    shelf = ports.stores.of(caller.tenant)
    version, found = shelf.datasets.get(ref), shelf.scans.get(ref)
    if found is None:
        raise InvalidInput(f"{ref} was never scanned.", fix=f"Scan it: custody dataset scan {ref}")
    table = table_of(version, ports.stores.objects, ports.tables) if caller.actor.sees_rows else None
    items = tuple(
        Item(one.item, one.standing.value, one.category, one.rows, one.sentence, _seen(one, table, unmasked))
        for one in found.open
    )
    if shown := {place.row for one in items for place in one.places if place.context}:
        access(
            ports,
            caller,
            str(ref),
            {"rows": [*sorted(shown)]},
            rows=len(shown),
            purpose="review, unmasked" if unmasked else "review",
        )
    return items


def _seen(found: Found, table: pa.Table | None, unmasked: bool) -> tuple[Seen, ...]:
    made = []
    for place in found.places:
        span = Marked(found.column, found.type, place.row, place.start, place.end)
        text = text_at(table, span) if unmasked and table is not None else ""
        made.append(Seen(place.row, place.start, place.end, _context(found, place, table), span.item, text))
    return tuple(made)


def _context(found: Found, place: Place, table: pa.Table | None) -> str:
    """Cut the text around a place, mask the place, and scrub what stands beside it."""
    if table is None or found.column not in table.column_names or place.row >= table.num_rows:
        return ""
    text = spoken(table.column(found.column)[place.row].as_py())
    before, after = text[max(0, place.start - AROUND) : place.start], text[place.end : place.end + AROUND]
    sides = [scrub(side, _SIDES).text for side in (before, after)]
    return " ".join(f"{sides[0]}{masked(text[place.start : place.end])}{sides[1]}".split())


_SIDES = ScrubPolicy()


def masked(text: str) -> str:
    """Write 9 for a digit, x for a letter, and leave the rest: what a value looks like, and not what it is."""
    return "".join("9" if char.isdigit() else "x" if char.isalpha() else char for char in text)


def answer(
    ports: Ports, caller: Caller, ref: DatasetRef, items: Sequence[str], word: str, *, reason: str = "", dry_run: bool = False
) -> tuple[Scan, int | None]:
    """Record what a person decided about findings, or about single spans (`note/PHONE@12:4-16`), and scan again with that.

    word: `personal` makes a doubtful finding block; `harmless` says that it is none; `reviewed`, without items, signs the scan.
    An answer about a span counts before one about its finding; the next scrubbing takes it out, or leaves it.
    Raises: InvalidInput for an unknown word, no item or no reason; Denied below approver, since an answer can clear data.
    """
    caller.may(Role.APPROVER)
    if word not in ANSWERS:
        raise InvalidInput(f"'{word}' is not an answer.", why=f"The answers are: {', '.join(ANSWERS)}.")
    if bool(items) == (word == REVIEWED):
        raise InvalidInput("Answers need items, and signing a review has none.", fix=f"List them: custody review ls {ref}")
    if word == "harmless" and not reason.strip():
        raise InvalidInput("Say why this is not personal data.", fix="Add it: --reason 'part numbers of the catalogue'")
    shelf = ports.stores.of(caller.tenant)
    version, found = shelf.datasets.get(ref), shelf.scans.get(ref)
    if found is None:
        raise InvalidInput(f"{ref} was never scanned.", fix=f"Scan it: custody dataset scan {ref}")
    said, names = kept_reason(reason), _tokens(ports, caller, version, items)
    given = [Answer(item, word, said, caller.actor.name, caller.now, names.get(item, "")) for item in items or ("",)]
    answered = reduce(Scan.answered, given, found)
    if dry_run:
        return answered, None
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        latest = reduce(Scan.answered, given, change.scans.get(ref) or found)  # others may have answered meanwhile
        change.scans.save(replace(latest, policy=Digest("")))  # stands for nothing until it is scanned, by the worker if not here
        types: list[Json] = [*sorted({one.rpartition("/")[2].partition("@")[0] for one in items})]
        facts: dict[str, Json] = {"answer": word, "items": len(items), "spans": len(names), "types": types}
        change.record("review.answered", str(ref), facts)
    return scan(ports, caller, ref)


def _tokens(ports: Ports, caller: Caller, version: DatasetVersion, items: Sequence[str]) -> dict[str, str]:
    """Return keyed tokens of the characters that items about single spans name; InvalidInput for a place that is not there."""
    spans = {item: span for item in items if (span := marked(item, personal=True))}
    if not spans:
        return {}
    table, token = table_of(version, ports.stores.objects, ports.tables), tokens(ports.pseudonyms.of(caller.tenant))
    for item, span in spans.items():
        if span.type not in TYPES or not text_at(table, span):
            raise InvalidInput(
                f"{version.ref} has no text at '{item[:120]}'.",
                why="A span is written COLUMN/TYPE@ROW:START-END, as the queue writes it; rows count from 0.",
                fix=f"List them: custody review ls {version.ref} --spans",
            )
    return {item: token(text_at(table, span), span.type) for item, span in spans.items()}


def standing(ports: Ports, caller: Caller, ref: DatasetRef) -> tuple[Scan | None, str, tuple[str, ...]]:
    """Return a version's newest scan, and where it stands under the policy and pack of today."""
    caller.may(Role.VIEWER)
    shelf = ports.stores.of(caller.tenant)
    shelf.datasets.get(ref)
    state, reasons = stands(shelf, ref)
    return shelf.scans.get(ref), state.value, reasons
