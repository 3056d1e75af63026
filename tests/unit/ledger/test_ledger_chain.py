from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Digest, digest_of
from custody.core.tenancy import TenantId
from custody.ledger.chain import verify
from custody.ledger.checkpoint import Checkpoint, root_of, sign
from custody.ledger.entry import GENESIS, Draft, Entry, chained

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
COUNT = 9


def draft(number: int, actor: str = "ada") -> Draft:
    return Draft(TenantId("acme"), actor, "gate.passed", f"churn@{number}", NOW + timedelta(seconds=number), {"n": number})


def chain(drafts: Sequence[Draft]) -> list[Entry]:
    entries: list[Entry] = []
    for seq, item in enumerate(drafts, 1):
        entries.append(chained(item, seq, entries[-1].hash if entries else GENESIS))
    return entries


GOOD = chain([draft(number) for number in range(1, COUNT + 1)])
EDITS = {
    "seq": 99,
    "tenant": TenantId("beta"),
    "actor": "mallory",
    "kind": "gate.refused",
    "subject": "churn@77",
    "at": NOW - timedelta(days=1),
    "body": {"n": -1},
    "prev": digest_of(b"x"),
    "hash": digest_of(b"y"),
}


def checkpoint(entries: Sequence[Entry]) -> Checkpoint:
    root = root_of(entry.hash for entry in entries)
    return sign(len(entries), root, NOW, public_key=PUBLIC, signature_of=KEY.sign)


def test_an_untouched_ledger_verifies() -> None:
    found = verify(GOOD, [checkpoint(GOOD[:3]), checkpoint(GOOD)], PUBLIC)
    assert (found.ok, found.entries, found.head, found.broken) == (True, COUNT, GOOD[-1].hash, None)
    assert found.sentence == "9 entries are linked without a gap; 2 signed checkpoints agree."


def test_an_empty_ledger_verifies() -> None:
    found = verify([])
    assert (found.ok, found.entries, found.head, found.sentence) == (
        True,
        0,
        GENESIS,
        "The ledger is empty; no checkpoint was compared.",
    )
    assert verify([], [checkpoint([])], PUBLIC).ok


@given(place=st.integers(0, COUNT - 1), field=st.sampled_from(sorted(EDITS)))
def test_any_single_edited_field_is_found_at_its_entry(place: int, field: str) -> None:
    assert set(EDITS) == {f.name for f in fields(Entry)}
    edited = [*GOOD]
    edited[place] = replace(GOOD[place], **{field: EDITS[field]})  # type: ignore[arg-type] # one of several types
    found = verify(edited)
    assert (found.ok, found.broken, found.entries) == (False, place + 1, place)
    assert found.sentence.startswith(f"Entry {place + 1} was edited")


@given(place=st.integers(0, COUNT - 2))
def test_an_entry_edited_with_its_hash_made_anew_is_found_by_the_next_one(place: int) -> None:
    edited = [*GOOD]
    edited[place] = chained(draft(place + 1, "mallory"), place + 1, GOOD[place].prev)
    found = verify(edited)
    assert (found.ok, found.broken) == (False, place + 1)
    assert found.sentence.startswith(f"Entry {place + 1} was edited")


@given(first=st.integers(0, COUNT - 2), count=st.integers(1, COUNT))
def test_any_deletion_before_the_end_is_found(first: int, count: int) -> None:
    last = min(first + count, COUNT - 1)
    found = verify(GOOD[:first] + GOOD[last:])
    assert (found.ok, found.broken) == (False, first + 1)
    assert f"deleted: entry {last + 1} comes next" in found.sentence


@given(kept=st.integers(0, COUNT - 1))
def test_a_missing_end_is_found_by_a_checkpoint(kept: int) -> None:
    assert verify(GOOD[:kept]).ok  # nothing inside the ledger can tell
    found = verify(GOOD[:kept], [checkpoint(GOOD)], PUBLIC)
    assert (found.ok, found.broken) == (False, kept + 1)
    assert "deleted" in found.sentence


@given(st.tuples(st.integers(0, COUNT - 1), st.integers(0, COUNT - 1)).filter(lambda pair: pair[0] < pair[1]))
def test_any_two_entries_that_changed_places_are_found(places: tuple[int, int]) -> None:
    first, second = places
    swapped = [*GOOD]
    swapped[first], swapped[second] = GOOD[second], GOOD[first]
    found = verify(swapped)
    assert (found.ok, found.broken) == (False, first + 1)
    assert found.sentence == f"Entry {first + 1} was moved: entry {second + 1} stands in its place."


@given(place=st.integers(0, COUNT - 1), linked=st.booleans())
def test_an_inserted_entry_is_found(place: int, linked: bool) -> None:
    prev = GOOD[place].prev if linked else digest_of(b"elsewhere")
    forged = chained(draft(place + 1, "mallory"), place + 1, prev)
    if not linked:
        forged = replace(forged, hash=digest_of(b"any"))
    found = verify([*GOOD[:place], forged, *GOOD[place:]])
    assert (found.ok, found.broken) == (False, place + 1)
    assert "inserted" in found.sentence


@given(place=st.integers(1, COUNT), copied=st.integers(0, COUNT - 1))
def test_a_copy_of_an_earlier_entry_is_found(place: int, copied: int) -> None:
    source = GOOD[min(copied, place - 1)]
    found = verify([*GOOD[:place], source, *GOOD[place:]])
    assert (found.ok, found.broken) == (False, source.seq)
    assert "inserted" in found.sentence


def test_an_entry_inserted_under_a_number_that_the_others_made_room_for_is_found() -> None:
    forged = chained(draft(4, "mallory"), 4, GOOD[2].hash)
    later = [chained(draft(entry.seq), entry.seq + 1, entry.prev) for entry in GOOD[3:]]
    found = verify([*GOOD[:3], forged, *later])
    assert (found.ok, found.broken) == (False, 4)
    assert "inserted" in found.sentence


def test_a_first_entry_that_follows_something_is_found() -> None:
    found = verify([chained(draft(1), 1, digest_of(b"before")), *GOOD[1:]])
    assert (found.ok, found.broken) == (False, 1)


def test_a_field_of_a_wrong_kind_is_found_like_any_edit() -> None:
    found = verify([GOOD[0], replace(GOOD[1], actor=b"blob", hash=Digest("not hex"))])  # type: ignore[arg-type] # as a damaged row may hold
    assert (found.ok, found.broken) == (False, 2)


@given(place=st.integers(0, COUNT - 1), held=st.integers(1, COUNT))
def test_a_checkpoint_held_elsewhere_catches_an_owner_who_rewrites_everything(place: int, held: int) -> None:
    forged = chain([draft(n, "mallory" if n == place + 1 else "ada") for n in range(1, COUNT + 1)])
    assert verify(forged).ok  # the forged chain is in order by itself
    found = verify(forged, [checkpoint(GOOD[:held])], PUBLIC)
    assert found.ok == (held <= place)
    if not found.ok:
        assert found.broken == 1
        assert "rewritten" in found.sentence


def test_a_rewrite_is_placed_behind_the_last_checkpoint_that_agrees() -> None:
    forged = chain([draft(n, "mallory" if n == 6 else "ada") for n in range(1, COUNT + 1)])
    found = verify(forged, [checkpoint(GOOD), checkpoint(GOOD[:4])], PUBLIC)
    assert (found.ok, found.broken) == (False, 5)


def test_a_forged_checkpoint_does_not_count() -> None:
    forged = chain([draft(n, "mallory") for n in range(1, COUNT + 1)])
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    root = root_of(entry.hash for entry in forged)
    theirs = sign(COUNT, root, NOW, public_key=stranger.public_key().public_bytes_raw(), signature_of=stranger.sign)
    found = verify(forged, [theirs, replace(theirs, key_id=checkpoint(GOOD).key_id)], PUBLIC)
    assert (found.ok, found.broken) == (False, None)
    assert "not signed by the given key" in found.sentence
