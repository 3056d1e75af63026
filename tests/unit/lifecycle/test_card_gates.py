"""What a card must say before anybody trains on its data, one refusal for each field; and a card that was changed trains nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from lifecycle_world import ADA, CARD, CHURN_1, World, opened, rows
from sqlalchemy import text
from test_consent_rows import AGREED, TRAINING, people

from custody.adapters.sql.stores import SqlStores
from custody.core.digest import canonical
from custody.core.errors import Denied, IntegrityBroken, InvalidInput
from custody.core.tenancy import HOUSE, Actor, Role
from custody.data.asked import QUESTIONS, faults_of
from custody.data.card import NEEDED, Card
from custody.data.dataset import DatasetVersion
from custody.data.inherit import Waiver
from custody.data.split import Split
from custody.data.standards.formats import read_any
from custody.lifecycle.cards import exported_card, plain_card
from custody.lifecycle.convert import convert
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.promote import promote, set_policy
from custody.lifecycle.scan import stands
from custody.lifecycle.scrub import scrub_version
from custody.lifecycle.train import begin, read
from custody.lifecycle.verify import verify_all

CONTRACT: Card = replace(AGREED, legal_basis="contract", consent={})
CARL = Actor("carl", Role.CONTRIBUTOR)
# what is changed on a card that may train, and what the refusal says
LACKS: Mapping[str, tuple[dict[str, Any], str]] = {
    **{name: ({name: type(getattr(CONTRACT, name))()}, f"says nothing about '{name}'") for name in NEEDED},
    "sources": ({"sources": ()}, "source is unknown"),
    "an unknown source": ({"sources": ("unknown",)}, "source is unknown"),
    "an unknown legal basis": ({"legal_basis": "unknown"}, "legal basis is unknown"),
    "purposes": ({"purposes": ()}, "purpose is unknown"),
    "another purpose": ({"purposes": ("finance",)}, "do not include 'train_ai_system'"),
    "special categories": ({"categories": {"side": "user.demographic.race_ethnicity"}}, "says no 'special_condition'"),
    "labels": ({"collection_method": "human_label"}, "'labels' names no protocol"),
    "dp": ({"collection_method": "clean_room"}, "'dp' does not say epsilon, delta and unit"),
    "the consent's text": ({"legal_basis": "consent"}, "'consent' names no document"),
    "the person": (
        {"legal_basis": "consent", "consent": {"document": "v1"}, "subject_key": None},
        "names the column with the person",
    ),
    "retention that ended": ({"retention": "2025-01-01"}, "retention ended"),
}
CASES = {name: case for name, case in LACKS.items() if name != "subjects"}  # an empty list says: it is about nobody


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened(tmp_path_factory.mktemp("cards") / "project") as ports:
        yield World(ports)


def stored(world: World, card: Card, name: str = "tickets", table: pa.Table | None = None, **more: Any) -> DatasetVersion:
    roles = Roles(target="left", positive="Yes")
    return ingest(world.ports, world.caller(), name, people() if table is None else table, card, roles=roles, **more)[0]


def refused(world: World, version: DatasetVersion, purpose: str = TRAINING) -> str:
    """Let a run ask for the rows, and return why it got none; nothing says that it read them."""
    run, _ = begin(world.ports, world.caller(), "churn", purpose=purpose)
    before = world.kinds()
    with pytest.raises(Denied) as error:
        read(world.ports, world.caller(), run.id, version.ref, Split.TRAIN)
    assert world.kinds() == before
    assert world.ports.stores.of(HOUSE).runs.get(run.id).datasets == ()
    return str(error.value)


def test_the_needed_fields_are_those_that_are_asked() -> None:
    assert set(NEEDED) == {one.name for one in QUESTIONS if one.needed}


def test_the_card_that_the_cases_change_may_train(shared: World) -> None:
    version = stored(shared, CONTRACT, "whole")
    run, _ = begin(shared.ports, shared.caller(), "churn", purpose=TRAINING)
    assert read(shared.ports, shared.caller(), run.id, version.ref, Split.TRAIN).num_rows > 100


@pytest.mark.parametrize("case", CASES)
def test_a_card_that_lacks_it_is_stored_and_trains_nothing(shared: World, case: str) -> None:
    changed, said = LACKS[case]
    version = stored(shared, replace(CONTRACT, **changed), case.replace(" ", "-").replace("'", ""))
    assert said in refused(shared, version)


def test_no_purpose_no_consent_and_no_cleared_scan_train_nothing(shared: World) -> None:
    assert "does not say what for" in refused(shared, stored(shared, CONTRACT, "purpose"), purpose="")
    assert "no consent was ever imported" in refused(shared, stored(shared, AGREED, "consent"))
    found = people().append_column("mail", pa.array([f"p{n}@example.org" for n in range(240)]))
    assert "is rejected" in refused(shared, stored(shared, CONTRACT, "found", found))
    odd = people().append_column("zq", pa.array([f"{n * 7919 % 65521:x}q{n}" for n in range(240)]))
    assert "is quarantined" in refused(shared, stored(shared, CONTRACT, "unknown", odd))
    assert stands(shared.ports.stores.of(HOUSE), stored(shared, CONTRACT, "unknown", odd).ref)[0].value == "quarantined"


@pytest.mark.parametrize("signature", ["kept", "taken off"])
def test_a_card_that_was_changed_in_the_database_trains_nothing_and_is_found(world: World, signature: str) -> None:
    version = stored(world, replace(CONTRACT, purposes=("finance",)))
    assert plain_card(world.ports, world.caller(), version.ref)["verified"]
    assert isinstance(world.ports.stores, SqlStores)
    with world.ports.stores._engines.write.begin() as database:
        database.execute(text("update datasets set body = replace(body, '\"finance\"', '\"train_ai_system\"')"))
        if signature == "taken off":
            database.execute(text(f"update datasets set body = replace(body, '{version.card_signature}', '')"))
    run, _ = begin(world.ports, world.caller(), "churn", purpose=TRAINING)
    for ask in (
        lambda: read(world.ports, world.caller(), run.id, version.ref, Split.TRAIN),
        lambda: plain_card(world.ports, world.caller(), version.ref),
        lambda: exported_card(world.ports, world.caller(), version.ref, "croissant"),
    ):
        with pytest.raises(IntegrityBroken, match="not the one that was signed"):
            ask()
    assert any("not the one that was signed" in one for one in verify_all(world.ports, world.caller()).problems)


def test_an_inherited_field_gets_weaker_by_a_signed_waiver_only(world: World) -> None:
    source = stored(world, replace(CONTRACT, classification="restricted", restrictions=("no onward transfer",)))
    card = replace(CONTRACT, supersedes=str(source.ref))
    for waiver, said in (
        (None, "classification must be at least 'restricted'"),
        (Waiver(("classification",), "agreed with the owner"), "restrictions must keep no onward transfer"),
        (Waiver(("classification", "restrictions", "retention"), "agreed with the owner"), "not weaker in retention"),
    ):
        with pytest.raises(InvalidInput, match=said):
            stored(world, card, "public", derived_from=[str(source.ref)], waiver=waiver)
    for wrong in ((("colour",), "agreed with the owner"), ((), "agreed with the owner"), (("purposes",), "because")):
        with pytest.raises(InvalidInput):
            Waiver(*wrong)
    whole = Waiver(("classification", "restrictions"), "agreed with joe@example.org of the owner")
    with pytest.raises(Denied, match="approver"):
        ingest(world.ports, world.caller(CARL), "public", people(), card, derived_from=[str(source.ref)], waiver=whole)
    assert "card.waived" not in world.kinds()
    made = stored(world, card, "public", derived_from=[str(source.ref)], waiver=whole)
    entry = next(one for one in world.ports.stores.ledger.entries() if one.kind == "card.waived")
    assert (entry.subject, entry.actor, entry.body["reason"]) == (str(made.ref), ADA.name, "agreed with [EMAIL] of the owner")
    covered = {name: entry.body[name] for name in ("fields", "faults", "reason", "card")}
    key = Ed25519PublicKey.from_public_bytes(world.ports.signer.public_key)
    key.verify(bytes.fromhex(str(entry.body["signature"])), canonical(covered))
    heading, lines = plain_card(world.ports, world.caller(), made.ref)["sentences"][-1]
    assert heading == "Waivers"
    assert lines[0].startswith("ada allowed more than its source on 2026-01-01: classification must be at least 'restricted'")


def test_what_was_done_to_identities_comes_from_the_removal_report(world: World) -> None:
    table = people().append_column("mail", pa.array([f"p{n}@example.org" for n in range(240)]))
    card = replace(CONTRACT, quasi_identifiers=("side",), deidentification={"method": "by hand before", "k": 3})
    found = stored(world, card, table=table)
    made = scrub_version(world.ports, world.caller(), found.ref)[0]
    assert made is not None
    scan = world.ports.stores.of(HOUSE).scans.get(made.ref)
    assert scan is not None
    told = dict(plain_card(world.ports, world.caller(), made.ref)["sentences"])["Whom is it about?"]
    assert told[2:] == [
        "It holds user.unique_id.pseudonymous (column 'mail').",
        "How identities were removed, as its owner says: method by hand before.",
        "What custody found and removed: COLUMN in 240 rows.",
        "Anybody described by side is one of at least 92 alike; at least 3 were promised.",
        "Rows that look alike still hold at least this many different answers: 2 of left.",
        f"Where names stood, there are keyed tokens of key {world.ports.pseudonyms.of(HOUSE).id}: whoever holds it can find the person.",
        told[8],
        "What is left still counts as personal data.",
    ]
    assert told[8].startswith("It was scanned under the policy default ")
    assert told[8].endswith(f"nobody has signed the review. The signed report is {scan.report[:12]}.")
    document = exported_card(world.ports, world.caller(), made.ref, "croissant")
    again = read_any(document)["deidentification"]
    assert isinstance(again, dict)
    assert (again["k"], again["measured_k"]) == (3, 92)
    assert not faults_of(next(one for one in QUESTIONS if one.name == "deidentification"), again)
    assert scan.report in document["rai:dataManipulationProtocol"]


@pytest.mark.parametrize(
    ("promised", "state", "said"),
    [
        ({}, "cleared", ""),
        ({"k": 6, "l": 2}, "cleared", ""),
        ({"k": 7}, "rejected", "The smallest group has 6 rows, and the card promises 7."),
        ({"l": 3}, "rejected", "Some group has 2 values of 'left', and the card promises 3."),
    ],
)
def test_the_k_and_l_that_a_card_promises_are_held(shared: World, promised: dict[str, int], state: str, said: str) -> None:
    table = pa.table({"town": ["a"] * 6 + ["b"] * 10, "left": ["Yes", "No"] * 8})
    card = replace(
        CONTRACT, subject_key=None, quasi_identifiers=("town",), deidentification=promised, categories={"town": "user"}
    )
    version = stored(shared, card, f"k{len(said)}-{len(promised)}", table)
    found, reasons = stands(shared.ports.stores.of(HOUSE), version.ref)
    assert (found.value, said in " ".join(reasons)) == (state, True)


def test_a_promise_without_quasi_identifiers_is_none(shared: World) -> None:
    version = stored(shared, replace(CONTRACT, deidentification={"k": 5}), "nothing-to-count")
    found, reasons = stands(shared.ports.stores.of(HOUSE), version.ref)
    assert found.value == "rejected"
    assert "declares no quasi-identifiers" in reasons[0]


@pytest.mark.parametrize(
    ("words", "passed"), [("Not assessed yet", False), ("none", False), ("None: nobody's group is known, see the notes", True)]
)
def test_data_about_people_that_nobody_looked_at_for_bias_promotes_nothing(world: World, words: str, passed: bool) -> None:
    card = replace(CARD, subjects=("customers",), bias_treatment=words)
    version, _ = ingest(world.ports, world.caller(), "tickets", rows(), card, roles=Roles(target="left", positive="Yes"))
    set_policy(world.ports, world.caller(), "churn", {"metrics": [{"metric": "auc", "minimum": 0.6}], "golden_required": False})
    convert(world.ports, world.caller(), world.trained(version, purpose=TRAINING))
    verdict, _ = promote(world.ports, world.caller(), CHURN_1)
    assert verdict.passed is passed
    assert ("was not assessed" in verdict.checks[0].sentence) is not passed
