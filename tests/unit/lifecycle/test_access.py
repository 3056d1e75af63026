"""Rows are seen by those who may, for a purpose, and the ledger says so; they leave under a name, marked, until an end."""

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lifecycle_world import ACME, ADA, CARD, CHURN, World, rows
from test_consent_rows import AGREED, PEOPLE, TRAINING, says, stored

from custody.core.errors import Conflict, CustodyError, Denied, InvalidInput, NotFound
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE, Actor, Role
from custody.lifecycle.access import bucket
from custody.lifecycle.admit import actor_of, add_key, open_session
from custody.lifecycle.ask import questions
from custody.lifecycle.consent import check_consent
from custody.lifecycle.export import export, identify, take
from custody.lifecycle.forget import forget
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.rows import table_of
from custody.lifecycle.trace import trace
from custody.privacy.scans.state import ScanState

BLIND = Actor("blind", Role.ADMIN, rows=False)
VIEWER = Actor("vera", Role.VIEWER)
TICKETS = DatasetRef("tickets", 1)


def made(world: World, name: str = "audit", **more: object) -> None:
    wanted = {"purpose": TRAINING, "recipient": "audit office", **more}
    export(world.ports, world.caller(), name, TICKETS, **wanted)  # type: ignore[arg-type]


def got(world: World, name: str = "audit") -> pa.Table:
    return pq.read_table(io.BytesIO(take(world.ports, world.caller(), name)[1]))


def test_a_trace_shows_inputs_to_who_may_see_rows_and_the_ledger_says_so(world: World) -> None:
    world.live()
    (one, *_) = world.ship("batch-1")
    world.seal()
    before = len(world.kinds())
    for actor in (VIEWER, BLIND):
        shown = trace(world.ports, world.caller(actor), one).steps[0].facts["inputs"]
        assert str(shown).startswith("hidden")
    assert world.kinds()[before:] == []
    assert trace(world.ports, world.caller(), one).steps[0].facts["inputs"] == {"age": 0.5}
    entry = list(world.ports.stores.ledger.entries())[-1]
    assert (entry.kind, entry.actor, entry.tenant, entry.subject) == ("rows.read", "ada", ACME, str(CHURN))
    assert (entry.body["rows"], entry.body["purpose"]) == ("1 to 9", "trace")
    assert one not in str(entry.body)


def test_label_tasks_are_rows(world: World) -> None:
    world.live()
    for actor in (VIEWER, BLIND):
        with pytest.raises(Denied):
            questions(world.ports, world.caller(actor, ACME), CHURN)


def test_rows_leave_marked_and_the_file_leads_back(world: World) -> None:
    world.data()
    made(world)
    made(world, "second", columns=["age"], days=1)
    out = got(world)
    assert out.sort_by([("age", "ascending"), ("left", "ascending")]) == rows().sort_by(
        [("age", "ascending"), ("left", "ascending")]
    )
    bare = out.replace_schema_metadata(None)
    assert [one.export for one in identify(world.ports, world.caller(), out)] == ["audit"]
    assert [one.export for one in identify(world.ports, world.caller(), bare.slice(20, 200))] == ["audit"]
    assert [one.export for one in identify(world.ports, world.caller(), got(world, "second").replace_schema_metadata(None))] == [
        "second"
    ]
    assert identify(world.ports, world.caller(), rows(seed=9)) == ()
    assert world.kinds().count("rows.read") == 3 - 1
    assert world.kinds()[-1] == "rows.read"


def test_after_its_end_an_export_is_denied(world: World) -> None:
    world.data()
    made(world, days=1)
    assert got(world).num_rows == 300
    world.now += timedelta(days=1)
    before = world.kinds()
    with pytest.raises(Denied, match="ended on") as error:
        take(world.ports, world.caller(), "audit")
    assert "custody export rows tickets@1" in error.value.fix
    assert world.kinds() == before


def test_an_export_asks_consent_as_of_the_moment_it_is_taken(world: World) -> None:
    stored(world)
    with pytest.raises(Denied, match="no consent was ever imported"):
        made(world)
    says(world, *PEOPLE)
    with pytest.raises(Denied, match="does not allow the purpose 'finance'"):
        made(world, purpose="finance")
    made(world)
    everybody = got(world).num_rows
    says(world, "p1", status="withdrawn")
    assert "p1" not in got(world).column("who").to_pylist()
    assert got(world).num_rows < everybody


def test_rows_that_may_not_be_used_do_not_leave_whenever_that_became_so(world: World) -> None:
    card = replace(CARD, categories={}, retention="P30D", subject_key="who")
    roles = Roles(target="left", positive="Yes")
    told = rows().append_column("who", pa.array([f"person{i}@example.org" for i in range(300)]))
    ingest(world.ports, world.caller(), "tickets", told, card, roles=roles)
    made(world)
    assert got(world).num_rows == 300
    found = world.ports.stores.of(HOUSE).scans.get(TICKETS)
    assert found is not None
    with world.ports.stores.change(HOUSE, ADA, world.now) as change:
        change.scans.save(replace(found, state=ScanState.REJECTED))
    before = world.kinds()
    with pytest.raises(Denied, match="rejected"):
        got(world)
    with pytest.raises(Denied, match="rejected"):
        made(world, "second")
    assert world.kinds() == before
    with world.ports.stores.change(HOUSE, ADA, world.now) as change:
        change.scans.save(found)
    made(world, "third", days=60)
    world.now += timedelta(days=31)
    with pytest.raises(Denied, match="may not leave: its retention ended"):
        got(world, "third")


def test_an_erasure_between_reading_and_handing_out_keeps_the_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, subject_key="who")
    table = rows().append_column("who", pa.array([f"person{i}@example.org" for i in range(300)]))
    ingest(world.ports, world.caller(), "tickets", table, card, roles=Roles(target="left", positive="Yes"))
    made(world)

    def slow(*args: Any) -> pa.Table:
        found = table_of(*args)
        forget(world.ports, world.caller(), "person7@example.org")
        return found

    monkeypatch.setattr("custody.lifecycle.export.table_of", slow)
    with pytest.raises(Conflict, match="erased"):
        got(world)


def test_what_an_export_needs(world: World) -> None:
    world.data()
    cases: list[tuple[type[CustodyError], dict[str, object]]] = [
        (InvalidInput, {"days": 0}),
        (InvalidInput, {"days": 366}),
        (InvalidInput, {"recipient": " "}),
        (InvalidInput, {"columns": ["salary"]}),
        (InvalidInput, {"purpose": "because"}),
    ]
    before = world.kinds()
    for kind, wrong in cases:
        with pytest.raises(kind):
            made(world, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    made(world, dry_run=True)
    assert world.kinds() == before
    made(world)
    with pytest.raises(Conflict):
        made(world)
    with pytest.raises(Conflict):
        made(world, dry_run=True)
    with pytest.raises(NotFound, match="audit"):
        take(world.ports, world.caller(), "audti")


@pytest.mark.parametrize("actor", [VIEWER, BLIND, Actor("carl", Role.CONTRIBUTOR)])
def test_who_may_not_export_does_not(world: World, actor: Actor) -> None:
    world.data()
    with pytest.raises(Denied):
        export(world.ports, world.caller(actor), "mine", TICKETS, purpose=TRAINING, recipient="me")
    made(world)
    if not actor.sees_rows:
        with pytest.raises(Denied):
            take(world.ports, world.caller(actor), "audit")


def test_aggregates_stay_open_to_those_who_see_no_rows(world: World) -> None:
    data = stored(world, replace(AGREED, legal_basis="contract", consent={}))
    assert check_consent(world.ports, world.caller(VIEWER), data.ref, TRAINING).admitted > 100


def test_a_key_made_without_rows_stays_so_in_sessions_and_makes_no_other(world: World) -> None:
    _, secret, _ = add_key(world.ports, world.caller(), "blind", Role.ADMIN, None, rows=False)
    actor = actor_of(world.ports.stores, secret, world.now)
    assert actor is not None
    assert not actor.sees_rows
    session = open_session(world.ports, secret, world.now)
    assert session is not None
    signed_in = actor_of(world.ports.stores, session, world.now)
    assert signed_in is not None
    assert not signed_in.sees_rows
    key, _, _ = add_key(world.ports, world.caller(actor), "child", Role.ADMIN, None)
    assert not key.rows


@pytest.mark.parametrize(
    ("rows_read", "said"), [(0, "0"), (1, "1 to 9"), (99, "10 to 99"), (10**6, "1000000 or more"), (10**8, "1000000 or more")]
)
def test_buckets(rows_read: int, said: str) -> None:
    assert bucket(rows_read) == said
    assert HOUSE
