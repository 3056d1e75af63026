"""Only cleared data is used: scans fail closed, scrubbing leads to a clean version, people's answers are part of the next scan."""

import base64
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from lifecycle_world import CARD, World

from custody.core.errors import Conflict, Denied, InvalidInput
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE, Actor, Role
from custody.data.dataset import DatasetVersion
from custody.data.split import Split
from custody.lifecycle import scan as scanning
from custody.lifecycle.ingest import Roles, ingest, look_ahead
from custody.lifecycle.privacy import set_privacy
from custody.lifecycle.profile import profile
from custody.lifecycle.review import answer, masked, queue
from custody.lifecycle.rows import table_of
from custody.lifecycle.scan import cleared, listed, report_of_scan, rescan, scan, stands
from custody.lifecycle.scrub import Treatment, scrub_version
from custody.lifecycle.train import begin, read
from custody.lifecycle.verify import verify_all
from custody.privacy.patterns.pack import PACK, Pack
from custody.privacy.scans.report import report_of
from custody.privacy.scans.state import ScanState

MARY = Actor("mary", Role.VIEWER)
CARL = Actor("carl", Role.CONTRIBUTOR)
PEOPLE = pa.table(
    {
        "email": [f"p{n}@example.org" for n in range(40)],
        "note": ["please call +44 20 7946 0123 now", "it came on 03/04/2021, I think", *["nothing to say about it"] * 38],
        "words": list(range(40)),
        "left": ["Yes", "No"] * 20,
    }
)


def people(world: World, table: pa.Table = PEOPLE, **card: Any) -> DatasetVersion:
    roles = Roles(target="left", positive="Yes")
    return ingest(world.ports, world.caller(), "people", table, replace(CARD, **card), roles=roles)[0]


def state(world: World, ref: DatasetRef) -> ScanState:
    return stands(world.ports.stores.of(HOUSE), ref)[0]


def table(world: World, version: DatasetVersion) -> pa.Table:
    return table_of(version, world.ports.stores.objects, world.ports.tables)


def test_data_without_people_is_cleared_in_passing_and_what_is_stored_tells_so(world: World) -> None:
    version, _ = world.data()
    assert state(world, version.ref) is ScanState.CLEARED
    assert world.kinds()[-2:] == ["dataset.ingested", "dataset.scanned"]
    found = world.ports.stores.of(HOUSE).scans.get(version.ref)
    assert found is not None
    signed, values = report_of_scan(world.ports, found)
    key = Ed25519PublicKey.from_public_bytes(world.ports.signer.public_key)
    key.verify(base64.b64decode(signed.signature), signed.report.encode())
    report = report_of(values)
    assert (report.dataset, report.data, report.pack_digest) == (str(version.ref), version.digest, PACK.digest)
    assert "anonymous" not in report.claim
    assert verify_all(world.ports, world.caller()).problems == ()


def test_undeclared_personal_data_cannot_be_trained_on_or_shown(world: World) -> None:
    version = people(world)
    assert state(world, version.ref) is ScanState.REJECTED
    run, _ = begin(world.ports, world.caller(), "churn")
    with pytest.raises(Denied, match="is rejected") as raised:
        read(world.ports, world.caller(), run.id, version.ref, Split.TRAIN)
    assert "custody dataset scrub people@1" in raised.value.fix
    with pytest.raises(Denied):
        profile(world.ports, world.caller(), version.ref)
    assert world.kinds().count("dataset.read") == 0


def test_no_value_and_no_column_reaches_the_ledger_or_a_report(world: World) -> None:
    version = people(world)
    found = world.ports.stores.of(HOUSE).scans.get(version.ref)
    assert found is not None
    stored = msgspec.json.encode(found).decode() + report_of_scan(world.ports, found)[0].report
    ledger = msgspec.json.encode([entry.body for entry in world.ports.stores.ledger.entries()]).decode()
    for value in ("p1@", "7946", "03/04"):
        assert value not in stored + ledger
    assert "email" not in ledger


def test_what_the_card_declares_is_expected(world: World) -> None:
    version = people(world, categories={"email": "user.contact.email", "note": "user.contact"})
    assert state(world, version.ref) is ScanState.CLEARED
    found = world.ports.stores.of(HOUSE).scans.get(version.ref)
    assert found is not None
    assert "Declared on the card and kept: user.contact.email, user.contact.phone_number." in found.reasons[0]
    assert "doubtful" in found.reasons[0]
    with pytest.raises(InvalidInput, match="'mail'"):
        people(world, categories={"mail": "user"})


def test_scrubbing_makes_a_clean_next_version_whose_pseudonyms_join(world: World) -> None:
    version = people(world)
    made, told, entry = scrub_version(world.ports, world.caller(), version.ref)
    assert made is not None
    assert entry is not None
    assert (made.ref, made.derived_from, made.card.supersedes) == (DatasetRef("people", 2), ("people@1",), "people@1")
    assert told.treatments == {"email": Treatment.PSEUDONYMISE, "note": Treatment.TAG}
    assert dict(told.removed) == {"COLUMN": 40, "PHONE": 1}
    assert state(world, made.ref) is ScanState.CLEARED
    assert state(world, version.ref) is ScanState.REJECTED
    clean = table(world, made)
    assert clean.column("note")[0].as_py() == "please call [PHONE] now"
    other = people(world, pa.table({"email": ["P1@example.org "], "note": ["x"], "words": [1], "left": ["Yes"]}))
    again, _, _ = scrub_version(
        world.ports, world.caller(), other.ref, chosen={"email": Treatment.PSEUDONYMISE, "note": Treatment.KEEP}
    )
    assert again is not None
    assert table(world, again).column("email")[0].as_py() == clean.column("email")[1].as_py()
    report = report_of_scan(world.ports, scan(world.ports, world.caller(), made.ref)[0])[1]
    assert report["counts"] == {"COLUMN": 40, "PHONE": 1}
    assert "dataset.scrubbed" in world.kinds()


def test_a_column_can_be_removed_tagged_or_kept(world: World) -> None:
    version = people(world)
    chosen = {"email": Treatment.REMOVE, "note": Treatment.KEEP}
    made, _, _ = scrub_version(world.ports, world.caller(), version.ref, chosen=chosen)
    assert made is not None
    assert made.schema.names == ("note", "words", "left")
    assert state(world, made.ref) is ScanState.REJECTED
    strict, _, _ = scrub_version(world.ports, world.caller(), made.ref, chosen={"note": Treatment.PSEUDONYMISE})
    assert strict is not None
    assert table(world, strict).column("note")[0].as_py().startswith("please call [PHONE:1.1.")
    assert state(world, strict.ref) is ScanState.CLEARED


def test_a_scrubbing_that_cannot_be_is_refused_and_a_dry_run_stores_nothing(world: World) -> None:
    version = people(world)
    before = world.kinds()
    assert scrub_version(world.ports, world.caller(), version.ref, dry_run=True)[1].examined.step.state is ScanState.CLEARED
    for chosen in ({"mail": Treatment.TAG}, {"left": Treatment.REMOVE}):
        with pytest.raises(InvalidInput):
            scrub_version(world.ports, world.caller(), version.ref, chosen=chosen)
    with pytest.raises(Conflict, match="Nothing in"):
        scrub_version(world.ports, world.caller(), world.data()[0].ref)
    with pytest.raises(Denied):
        scrub_version(world.ports, world.caller(MARY), version.ref)
    assert world.kinds()[: len(before)] == before
    assert "dataset.scrubbed" not in world.kinds()


def test_a_reviewer_sees_masked_places_and_their_answers_count(world: World) -> None:
    version = people(world, categories={"email": "user.contact.email"})
    seen = queue(world.ports, world.caller(CARL), version.ref)
    assert [(one.item, one.standing) for one in seen] == [("note/PHONE", "found"), ("note/DATE_OF_BIRTH", "doubtful")]
    assert seen[0].places[0].context == "please call +99 99 9999 9999 now"
    assert {place.context for one in queue(world.ports, world.caller(MARY), version.ref) for place in one.places} == {""}
    said, _ = answer(world.ports, world.caller(), version.ref, ["note/PHONE"], "harmless", reason="ours: ask joe@example.org")
    assert said.state is ScanState.CLEARED
    assert said.answers[0].reason == "ours: ask [EMAIL]"
    assert answer(world.ports, world.caller(), version.ref, ["note/DATE_OF_BIRTH"], "personal")[0].state is ScanState.REJECTED
    assert (
        answer(world.ports, world.caller(), version.ref, ["note/DATE_OF_BIRTH"], "harmless", reason="a day")[0].state
        is ScanState.CLEARED
    )
    assert [one.item for one in queue(world.ports, world.caller(), version.ref)] == []


def test_an_answer_that_means_nothing_is_refused(world: World) -> None:
    version = people(world)
    for items, word, reason in (
        (["note/NOTHING"], "personal", ""),
        (["note/PHONE"], "harmless", " "),
        ([], "harmless", "x"),
        (["note/PHONE"], "fine", "x"),
    ):
        with pytest.raises(InvalidInput):
            answer(world.ports, world.caller(), version.ref, items, word, reason=reason)
    with pytest.raises(Denied):
        answer(world.ports, world.caller(CARL), version.ref, ["note/PHONE"], "harmless", reason="x")


def test_a_policy_may_ask_for_a_reviewer_and_for_groups(world: World) -> None:
    version, _ = world.data()
    set_privacy(world.ports, world.caller(), {"needs_reviewer": True})
    assert rescan(world.ports, world.caller().now) == 1
    assert state(world, version.ref) is ScanState.REJECTED
    assert answer(world.ports, world.caller(), version.ref, [], "reviewed")[0].state is ScanState.CLEARED
    small = people(world, PEOPLE.select(["words", "left"]), quasi_identifiers=("words",))
    assert "The smallest group has 1 rows, and 5 are asked for." in stands(world.ports.stores.of(HOUSE), small.ref)[1]


def test_a_changed_policy_sends_versions_back_at_once_and_the_worker_scans_them_again(world: World) -> None:
    version, _ = world.data()
    shelf = world.ports.stores.of(HOUSE)
    _, entry = set_privacy(world.ports, world.caller(), {"tier": "strict"})
    assert entry is not None
    assert set_privacy(world.ports, world.caller(), {"tier": "strict"})[1] is None
    with pytest.raises(Denied, match="changed after its scan"):
        raise Denied(str(stands(shelf, version.ref)[1]))
    with pytest.raises(Denied, match="is quarantined"):
        cleared(shelf, version.ref)
    assert rescan(world.ports, world.caller().now) == 1
    assert rescan(world.ports, world.caller().now) == 0
    cleared(shelf, version.ref)


def test_a_list_tells_where_scans_stand_today(world: World) -> None:
    world.data()
    assert [one.scan for one in listed(world.ports, world.caller()).items] == ["cleared"]
    set_privacy(world.ports, world.caller(), {"tier": "strict"})
    assert [one.scan for one in listed(world.ports, world.caller()).items] == ["quarantined"]


def test_a_changed_pack_sends_versions_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version, _ = world.data()
    monkeypatch.setattr(scanning, "PACK", Pack(PACK.version + 1, PACK.patterns))
    assert state(world, version.ref) is ScanState.QUARANTINED


def test_looking_ahead_stores_nothing(world: World) -> None:
    before = world.kinds()
    seen = look_ahead(world.ports, world.caller(), PEOPLE, CARD, Roles())
    assert seen.step.state is ScanState.REJECTED
    assert world.kinds() == before
    assert world.ports.stores.of(HOUSE).datasets.latest("people") is None


def test_masking_keeps_the_look_and_not_the_value() -> None:
    assert masked("Ana-12/05 Ünal") == "xxx-99/99 xxxx"


def test_a_better_scanner_looks_at_everything_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = world.data()[0]
    assert state(world, version.ref) is ScanState.CLEARED
    monkeypatch.setattr(scanning, "COLUMNS", "columns 2")
    assert state(world, version.ref) is ScanState.QUARANTINED
    assert rescan(world.ports, world.caller().now) == 1
    assert state(world, version.ref) is ScanState.CLEARED
    assert rescan(world.ports, world.caller().now) == 0
