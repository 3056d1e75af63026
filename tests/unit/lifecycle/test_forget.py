"""A person is erased: out of reach at once, gone from every place, and every model that learned from them owes an answer."""

import io
import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lifecycle_world import ACME, ADA, CARD, POLICY, World, rows
from test_consent_rows import TRAINING, says

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, Denied, IntegrityBroken, InvalidInput, NotFound
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE
from custody.data.inherit import Waiver
from custody.lifecycle.access import bucket
from custody.lifecycle.cards import check_card
from custody.lifecycle.convert import convert
from custody.lifecycle.disclose import disclose
from custody.lifecycle.forget import Forgotten, forget, resume
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.overview import overview
from custody.lifecycle.owed import answer_obligation, owed, remind
from custody.lifecycle.promote import promote, set_golden, set_policy
from custody.lifecycle.receipts import _roughly, receipt_of
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.review import answer
from custody.lifecycle.scan import rescan
from custody.lifecycle.sealing import destroy
from custody.lifecycle.subjects import token_of
from custody.lifecycle.verify import verify_all
from custody.privacy.erasure.obligation import Answer
from custody.privacy.erasure.ports import ErasureState
from custody.privacy.erasure.receipt import check
from custody.privacy.pseudonym import pseudonym
from custody.privacy.scans.state import ScanState
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

WHO, CANARY = "zora.quellenberg@example.org", "Quellenberg of Nowhere Street 12"
LIVE = DeploymentKey(HOUSE, "prod", "churn")
GROUND = "public health, Art. 17(3)(c)"


def people(n: int = 300) -> pa.Table:
    """Return rows of n people; three of them are the one who will be erased, with texts that stand nowhere else."""
    table = rows(n)
    names = [WHO if i in (3, 77, 200) else f"person{i}@example.org" for i in range(n)]
    notes = [CANARY if name == WHO else "nothing" for name in names]
    return table.append_column("who", pa.array(names)).append_column("note", pa.array(notes))


def add(world: World, table: pa.Table | None = None, name: str = "tickets", **more: Any) -> Any:
    card = replace(CARD, subject_key="who", categories={"note": "user"})
    chosen = people() if table is None else table
    return ingest(world.ports, world.caller(), name, chosen, card, roles=Roles(target="left", positive="Yes"), **more)[0]


def trained(world: World) -> ModelRef:
    set_policy(world.ports, world.caller(), "churn", POLICY)
    return convert(world.ports, world.caller(), world.trained(add(world)))[0].ref


def captures(world: World, name: str = "b1") -> list[str]:
    """Ship one batch in which the person is the caller's key of one row of three."""
    ms = int(world.now.timestamp() * 1000)
    ids = [PredictionId(LIVE, 1, ModelRef("churn", 1), unique_at(ms, f"{i:>10}".encode())) for i in range(3)]
    made = [
        Capture(one, ms, None, (key,), CaptureMode.LIVE, None, 0.4, {"age": [0.5]}, [0.7], [True], 90)
        for one, key in zip(ids, (WHO, "person1@example.org", "person2@example.org"), strict=True)
    ]
    world.put(name.replace(" ", "-"), write_batch(b"".join(map(line_of, made))), HOUSE)
    return [str(one) for one in ids]


def everywhere(world: World) -> ModelRef:
    """Put the person into data, a model, a deployment, traffic, labels and a golden set."""
    ref = trained(world)
    assert promote(world.ports, world.caller(), ref)[0].passed
    release(world.ports, world.caller(), Plan(LIVE, ref))
    ids = captures(world)
    world.seal()
    record(world.ports, world.caller(), LIVE, [(ids[0], "Yes"), (ids[1], "No"), (WHO, "Yes")])
    theirs = people().filter(pa.array([i in (3, 77, 200) for i in range(300)]))
    cases: list[Json] = [{"id": "theirs", "inputs": {"age": theirs.column("age")[0].as_py()}, "expect": "Yes"}]
    set_golden(world.ports, world.caller(), "churn", [*cases, {"id": "other", "inputs": {"age": 99.0}, "expect": "Yes"}])
    return ref


def erased(world: World, **more: Any) -> Forgotten:
    return forget(world.ports, world.caller(), WHO, canaries=[CANARY], **more)[0]


def test_a_dry_run_shows_how_far_the_data_went_and_changes_nothing(world: World) -> None:
    ref = everywhere(world)
    before = world.kinds()
    found = erased(world, dry_run=True).found
    assert (found.rows, found.datasets, found.models) == (3, ("tickets@1",), (str(ref),))
    assert (found.captures, found.labels, found.golden) == (1, 2, 1)
    assert found.deployments == (str(LIVE),)
    assert len(found.runs) == 1
    assert found.fixtures >= 1
    assert world.kinds() == before


def test_after_an_erasure_nothing_of_the_person_is_stored_and_the_others_are(world: World, tmp_path: Path) -> None:
    everywhere(world)
    done = erased(world)
    assert done.state is ErasureState.DONE
    assert done.left == ()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert WHO.encode() not in path.read_bytes()
            assert CANARY.encode() not in path.read_bytes()
    shelf = world.ports.stores.of(HOUSE)
    rest = shelf.datasets.get(DatasetRef("tickets", 2))
    assert rest.rows == 297
    old = shelf.datasets.get(DatasetRef("tickets", 1))
    assert (old.parts, old.replaced_by) == ((), rest.ref)
    assert shelf.captures.count(LIVE) == 2
    assert list(shelf.labels.of(LIVE).values()) == ["No"]
    golden = shelf.gates.golden("churn")
    assert golden is not None
    assert [case.id for case in golden.cases] == ["other"]
    assert world.kinds().count("subject.erased") == world.kinds().count("obligation.opened") == 1


def test_a_run_can_no_longer_read_the_version_nor_is_another_one_handed_out_in_silence(world: World) -> None:
    run = world.trained(add(world))
    erased(world)
    with pytest.raises(Conflict, match="erased"):
        convert(world.ports, world.caller(), run)
    with pytest.raises(Conflict, match="erased") as refusal:
        world.trained(world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 1)))
    assert "tickets@2" in refusal.value.why


def test_erasing_twice_changes_nothing(world: World) -> None:
    everywhere(world)
    erased(world)
    before = world.kinds()
    again, entry = forget(world.ports, world.caller(), f"  {WHO.upper()} ")
    assert (again.state, entry) == (ErasureState.DONE, None)
    assert world.kinds() == before


def test_somebody_unknown_is_found_nowhere(world: World) -> None:
    add(world)
    found, entry = forget(world.ports, world.caller(), "nobody@example.org")
    assert (found.found.is_empty, entry) == (True, None)
    with pytest.raises(InvalidInput):
        forget(world.ports, world.caller(), "  ")


def test_the_rows_of_an_erased_person_do_not_come_back_in_an_old_file_or_in_new_traffic(world: World) -> None:
    everywhere(world)
    erased(world)
    assert add(world, name="again").rows == 297
    captures_again = [
        Capture(
            PredictionId(LIVE, 1, ModelRef("churn", 1), unique_at(9, b"1234567890")),
            9,
            None,
            (WHO,),
            CaptureMode.LIVE,
            None,
            0.4,
            {"age": [0.5]},
            [0.7],
            [True],
            9,
        )
    ]
    world.put("b2", write_batch(b"".join(map(line_of, captures_again))), HOUSE)
    world.seal()
    assert world.ports.stores.of(HOUSE).captures.count(LIVE) == 2


def receipt(world: World, done: Forgotten) -> dict[str, Any]:
    """Return what a receipt says, checked as anybody can."""
    file = json.loads(json.dumps(receipt_of(world.ports, world.caller(), done.id)))
    return dict(check(file, public_key=world.ports.signer.public_key).receipt)


def test_the_receipt_tells_what_was_done_and_owed_names_nobody_and_is_signed(world: World) -> None:
    ref = everywhere(world)
    token = token_of(world.ports, HOUSE, WHO)
    done = erased(world)
    told = receipt(world, done)
    for secret in (WHO, CANARY, token):
        assert secret not in json.dumps(told)
    rough = ("rows", "captures", "labels", "golden_cases")
    assert (told["version"], told["counts"]["dataset_versions"]) == (2, 1)
    assert {told["counts"][kind] for kind in rough} == {"1 to 9"}
    assert told["counts"]["fixture_rows"] == bucket(done.found.fixtures)
    (owes,) = told["obligations"]
    assert (owes["id"], owes["model"], owes["state"]) == (done.obligations[0], str(ref), "open")
    assert owes["due_at"] > told["asked_at"]


def test_the_receipt_names_the_stretch_of_the_ledger_that_tells_of_the_erasure(world: World) -> None:
    everywhere(world)
    done = erased(world)
    entries = {entry.seq: entry for entry in world.ports.stores.ledger.entries()}
    stretch = receipt(world, done)["ledger"]
    first, last = entries[stretch["first"]], entries[stretch["last"]]
    assert (first.kind, first.subject, first.hash) == ("subject.erased", done.id, stretch["first_hash"])
    assert (last.kind, last.subject, last.body["receipt"]) == ("erasure.done", done.id, done.receipt)


def test_a_receipt_is_written_by_who_may_and_once_the_erasure_is_done(world: World) -> None:
    everywhere(world)
    pending, _ = forget(world.ports, world.caller(), WHO, canaries=["person1@example.org"])
    with pytest.raises(Conflict, match="is not done") as refusal:
        receipt_of(world.ports, world.caller(), pending.id)
    assert "still stands" in refusal.value.why
    with pytest.raises(NotFound):
        receipt_of(world.ports, world.caller(), "nothing")
    with pytest.raises(NotFound):
        receipt_of(world.ports, world.caller(tenant=ACME), erased(world).id)


def test_an_erasure_that_an_older_custody_began_says_what_was_not_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(world)
    monkeypatch.setattr("custody.lifecycle.receipts._roughly", lambda _: _roughly(None))
    counts = receipt(world, erased(world))["counts"]
    assert (counts["rows"], counts["golden_cases"]) == ("1 to 9", "not counted")


def killed(*_: object) -> None:
    raise KeyboardInterrupt


STEPS = [
    "erase_golden",
    "erase_fixtures",
    "erase_labels",
    "erase_captures",
    "erase_datasets",
    "publish",
    "delete_bytes",
    "_finish",
]


@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_killed_at_any_step_goes_on_where_it_stopped(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    everywhere(world)
    found = erased(world, dry_run=True).found
    kinds = {"captures": found.captures, "labels": found.labels, "golden_cases": found.golden, "fixture_rows": found.fixtures}
    counts = {"dataset_versions": 1, "rows": bucket(found.rows), **{kind: bucket(n) for kind, n in kinds.items()}}
    with monkeypatch.context() as patched:
        patched.setattr(f"custody.lifecycle.forget.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            erased(world)
    with pytest.raises(Conflict, match="erased"):
        world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 1)).standing()
    assert resume(world.ports, world.caller().now) == 1
    assert all(CANARY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert world.kinds().count("obligation.opened") == 1
    assert world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2)).rows == 297
    again = erased(world)
    assert again.state is ErasureState.DONE
    assert receipt(world, again)["counts"] == counts


def test_what_is_past_due_is_not_deployed_and_alarms_where_it_serves(world: World) -> None:
    ref = everywhere(world)
    erased(world)
    assert remind(world.ports, world.caller().now) == 0
    world.now += timedelta(days=31)
    assert remind(world.ports, world.caller().now) == 1
    assert remind(world.ports, world.caller().now) == 0
    with pytest.raises(Denied, match="obligation was due"):
        release(world.ports, world.caller(), Plan(DeploymentKey(ACME, "prod", "churn"), ref))
    assert [alert.kind for alert in world.ports.stores.of(HOUSE).monitors.open_alerts(LIVE)] == ["obligation"]
    assert any("churn@1 still serves" in one.sentence for one in overview(world.ports, world.caller()).changes)


def retrained(world: World) -> tuple[ModelRef, str]:
    run = world.trained(world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2)))
    return convert(world.ports, world.caller(), run)[0].ref, run


def test_an_obligation_is_met_by_a_run_without_the_rows_once_the_old_version_serves_no_more(world: World) -> None:
    old = everywhere(world)
    first_run = world.ports.stores.of(HOUSE).models.get(old).run_id
    (id_,) = erased(world).obligations
    with pytest.raises(Conflict, match="no evidence"):
        answer_obligation(world.ports, world.caller(), id_, Answer.RETRAIN, evidence=first_run)
    new, run = retrained(world)
    with pytest.raises(Conflict, match="still serves"):
        answer_obligation(world.ports, world.caller(), id_, Answer.RETRAIN, evidence=run)
    assert promote(world.ports, world.caller(), new)[0].passed
    release(world.ports, world.caller(), Plan(LIVE, new))
    met, entry = answer_obligation(world.ports, world.caller(), id_, Answer.RETRAIN, evidence=run)
    assert (met.state, met.evidence) == ("met", run)
    assert entry is not None
    assert answer_obligation(world.ports, world.caller(), id_, Answer.RETRAIN, evidence=run)[1] is None
    with pytest.raises(Denied, match="taken out of use"):
        advance(world.ports, world.caller(), LIVE, "rollback")
    assert owed(world.ports, world.caller(), only_open=True) == []


def test_accepting_needs_a_ground_and_a_name(world: World) -> None:
    everywhere(world)
    (id_,) = erased(world).obligations
    with pytest.raises(InvalidInput, match="legal ground"):
        answer_obligation(world.ports, world.caller(), id_, Answer.ACCEPT, evidence="short", approver="")
    met, _ = answer_obligation(world.ports, world.caller(), id_, Answer.ACCEPT, evidence=GROUND, approver="the officer")
    assert met.approver == "the officer"
    world.now += timedelta(days=99)
    assert remind(world.ports, world.caller().now) == 0


def test_a_model_that_stores_rows_cannot_be_accepted_whatever_it_calls_itself(world: World) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    set_policy(world.ports, world.caller(), "churn", POLICY)
    convert(world.ports, world.caller(), world.trained(add(world), model=KNeighborsClassifier()))
    (id_,) = erased(world).obligations
    with pytest.raises(Denied, match="rows that it measures distances to"):
        answer_obligation(world.ports, world.caller(), id_, Answer.ACCEPT, evidence=GROUND, approver="the officer")


def test_a_text_that_still_stands_keeps_the_erasure_open_and_is_told(world: World) -> None:
    everywhere(world)
    done, _ = forget(world.ports, world.caller(), WHO, canaries=["person1@example.org"])
    assert done.state is ErasureState.PENDING
    assert {one.text for one in done.left} == {1}
    assert resume(world.ports, world.caller().now) == 0
    assert erased(world).state is ErasureState.DONE


def test_a_person_gets_everything_about_them_and_the_ledger_does_not_name_them(world: World) -> None:
    everywhere(world)
    bare = people().select(["age", "left", "note"])
    unsaid = replace(CARD, categories={"note": "user"})
    ingest(
        world.ports,
        world.caller(),
        "bare",
        bare,
        unsaid,
        derived_from=["tickets@1"],
        waiver=Waiver(("subject_key",), "the names are not needed"),
    )
    says(world, WHO, "person1@example.org")
    captures(world, "just arrived")
    body, entry = disclose(world.ports, world.caller(), WHO)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        files = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    assert files.keys() == {"manifest.json", *files["manifest.json"]["files"]}
    assert "learned.json" in files
    assert [row["note"] for row in files["datasets/tickets@1.json"]["rows"]] == [CANARY] * 3
    assert [row["note"] for row in files["datasets/bare@1.json"]["rows"]] == [CANARY] * 3
    assert len(files["predictions/default.prod.churn.json"]) == 2
    assert len(files["labels/default.prod.churn.json"]) == 2
    assert [case["id"] for case in files["golden.json"]] == ["theirs"]
    assert len(files["fixtures.json"]) >= 1
    assert [(one["purpose"], one["said"]) for one in files["consent.json"]] == [(TRAINING, "granted")]
    written = next(one for one in world.ports.stores.ledger.entries() if one.seq == entry)
    assert WHO not in str(written)


def test_an_excluded_version_loses_its_artifact_and_verification_knows_why(world: World) -> None:
    ref = trained(world)
    (id_,) = erased(world).obligations
    artifact = world.ports.stores.of(HOUSE).models.get(ref).artifact
    met, _ = answer_obligation(world.ports, world.caller(), id_, Answer.EXCLUDE)
    assert (met.state, met.answer) == ("met", "exclude")
    assert not world.ports.stores.objects.has(artifact)
    assert verify_all(world.ports, world.caller()).ok
    with pytest.raises(Denied, match="taken out of use"):
        release(world.ports, world.caller(), Plan(LIVE, ref))


def test_a_person_is_found_under_the_pseudonym_that_a_scrubbing_gave_them(world: World) -> None:
    key, table = world.ports.pseudonyms.of(HOUSE), people()
    add(world, table)
    hidden = pa.array([pseudonym(who, key, "EMAIL") for who in table.column("who").to_pylist()])
    tagged = table.drop_columns(["note"]).append_column("note", pa.array(["[TEXT]"] * 300))
    add(world, tagged.set_column(table.column_names.index("who"), "who", hidden), name="scrubbed")
    assert erased(world, dry_run=True).found.datasets == ("scrubbed@1", "tickets@1")
    assert erased(world).state is ErasureState.DONE
    assert world.ports.stores.of(HOUSE).datasets.get(DatasetRef("scrubbed", 2)).rows == 297


def test_a_closed_version_does_not_wait_for_a_scan(world: World) -> None:
    add(world)
    erased(world)
    with world.ports.stores.change(HOUSE, ADA, world.now) as change:
        old = change.scans.policy()
        change.scans.add_policy(replace(old, number=99, created_at=world.now, scan=replace(old.scan, min_k=9)))
    assert rescan(world.ports, world.caller().now) == 1


def test_parts_without_the_person_and_their_rows_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custody.lifecycle.ingest.ROWS_PER_PART", 100)
    names = [WHO if i < 3 else f"p{i}" for i in range(300)]
    notes = [CANARY if name == WHO else "nothing" for name in names]
    version = add(world, rows(300).append_column("who", pa.array(names)).append_column("note", pa.array(notes)))
    assert len(version.parts) == 3
    assert erased(world).state is ErasureState.DONE
    rest = world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2))
    assert [one.rows for one in rest.parts] == [97, 100, 100]
    assert rest.parts[1:] == version.parts[1:]
    assert verify_all(world.ports, world.caller()).ok
    assert world.ports.stores.objects.get(rest.parts[2].object)


def test_what_people_decided_about_single_places_moves_with_the_rows(world: World) -> None:
    table = people()
    place = table.column_names.index("note")
    notes = [CANARY if i in (3, 77, 200) else "please call Bertram at noon" if i == 100 else "nothing" for i in range(300)]
    version = add(world, table.set_column(place, "note", pa.array(notes)))
    item, theirs = "note/PERSON@100:12-19", "note/PERSON@77:0-12"
    answer(world.ports, world.caller(), version.ref, [item, theirs], "personal")
    assert erased(world).state is ErasureState.DONE
    rest = world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2))
    found = world.ports.stores.of(HOUSE).scans.get(rest.ref)
    assert found is not None
    assert [one.item for one in found.answers] == ["note/PERSON@98:12-19"]
    assert found.state is ScanState.REJECTED


def test_a_card_that_an_erasure_left_cannot_lose_its_signature_unseen(world: World) -> None:
    add(world)
    assert erased(world).state is ErasureState.DONE
    rest = world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2))
    assert not check_card(world.ports, HOUSE, replace(rest, card_signature=""))
    changed = replace(rest, card=replace(rest.card, title="Something else"), card_signature="", derived_from=())
    with pytest.raises(IntegrityBroken, match="not the one that was signed"):
        check_card(world.ports, HOUSE, changed)


def test_a_tenant_whose_keys_are_destroyed_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add(world)
    caller = world.caller(tenant=ACME)
    table = rows().append_column("who", pa.array([f"somebody{i}@example.org" for i in range(300)]))
    version, _ = ingest(world.ports, caller, "tickets", table, replace(CARD, subject_key="who"))
    with monkeypatch.context() as patched:
        patched.setattr("custody.lifecycle.forget.erase_golden", killed)
        with pytest.raises(KeyboardInterrupt):
            forget(world.ports, caller, "somebody5@example.org")
    world.ports.stores.objects.of(ACME).publish("captures/acme/b9.ndjson.gz", b"sealed and gone")
    world.ports.stores.objects.of(ACME).create("captures/acme/b8.ndjson.gz", b"the same")
    destroy(world.ports, world.caller(tenant=ACME), reason="the contract ended")
    with world.ports.stores.change(ACME, ADA, world.now) as change:
        old = change.scans.get(version.ref)
        assert old is not None
        change.scans.save(replace(old, policy=Digest("0" * 64)))
        change.datasets.close(version)
    world.seal()
    with caplog.at_level("WARNING"):
        assert rescan(world.ports, world.caller().now) == 0
        assert resume(world.ports, world.caller().now) == 0
    assert [one.split(":")[0] for one in caplog.messages] == [
        "the data of acme cannot be scanned again",
        "an erasure of acme cannot go on",
    ]
    assert erased(world).state is ErasureState.DONE
