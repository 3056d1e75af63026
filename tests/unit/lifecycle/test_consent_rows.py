"""Consent where it counts: a run gets the rows of people who agreed to its purpose, and the record says why not the others."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lifecycle_world import CARD, World

from custody.core.digest import Json
from custody.core.errors import Conflict, Denied, InvalidInput
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE, Actor, Role
from custody.data.card import Card
from custody.data.dataset import DatasetVersion
from custody.data.split import Split, part_of
from custody.lifecycle.consent import check_consent, consent, recomputed
from custody.lifecycle.convert import convert
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.rows import table_of
from custody.lifecycle.train import begin, log, read, train
from custody.registry.run import RunStatus

TRAINING = "train_ai_system"
PEOPLE = [f"p{number}" for number in range(60)]
AGREED: Card = replace(
    CARD,
    subjects=("customers",),
    legal_basis="consent",
    consent={"document": "notice v1", "max_age_days": 2},
    subject_key="who",
    version=2,
    contact="the team",
    collection_detail="a seeded generator",
    storage=("any",),
    processing=("any",),
    classification="internal",
    proprietary=("none",),
    retention="unlimited",
)


def people(n: int = 240) -> pa.Table:
    rng = np.random.default_rng(3)
    who, age = rng.choice(PEOPLE, n), rng.normal(size=n).round(3)
    left = np.where(age > 0, "Yes", "No")
    columns = {"who": who.tolist(), "age": age.tolist(), "side": ["north" if w < "p3" else "south" for w in who]}
    return pa.table({**columns, "left": left.tolist()})


def stored(world: World, card: Card = AGREED, table: pa.Table | None = None) -> DatasetVersion:
    roles = Roles(target="left", positive="Yes", groups=("side",))
    return ingest(world.ports, world.caller(), "tickets", people() if table is None else table, card, roles=roles)[0]


def says(world: World, *who: str, status: str = "granted", **more: Json) -> None:
    row: dict[str, Any] = {"purpose": TRAINING, "status": status, "valid_from": world.now.isoformat(), **more}
    consent(world.ports, world.caller(), [{"subject": name, **row} for name in who], source="crm")


def got(world: World, data: DatasetVersion, purpose: str = TRAINING, run: str | None = None) -> list[str]:
    run = run or begin(world.ports, world.caller(), "churn", purpose=purpose)[0].id
    rows = read(world.ports, world.caller(), run, data.ref, Split.TRAIN)
    names: list[str] = rows.column("who").to_pylist()
    return names


def test_withdrawn_rows_never_reach_training_and_the_next_run_asks_again(world: World) -> None:
    data = stored(world)
    says(world, *PEOPLE)
    assert got(world, data) == read_all(world, data)
    says(world, "p1", "p2", status="withdrawn")
    after = got(world, data)
    assert after
    assert not {"p1", "p2"} & set(after)
    run = world.ports.stores.of(HOUSE).runs.last()
    assert run is not None
    admission = run.datasets[0].admission
    assert admission is not None
    assert (admission.admitted, admission.purpose, admission.basis) == (len(after), TRAINING, "consent")
    assert admission.refused.keys() == {"withdrawn"}
    assert {shift.group for shift in admission.shifts} == {"north", "south"}
    entry = [e for e in world.ports.stores.ledger.entries() if e.kind == "dataset.read"][-1]
    assert entry.body["refused"] == dict(admission.refused)
    assert entry.body["snapshot"] == admission.snapshot
    assert not {"p1", "p2"} & {word for e in world.ports.stores.ledger.entries() for word in str(e.body).split("'")}
    assert recomputed(world.ports, world.caller(), data.ref, admission, Split.TRAIN)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(PEOPLE[:12]), st.lists(st.sampled_from(["granted", "withdrawn", "objected"]), max_size=4)))
def test_whatever_was_said_only_rows_whose_last_word_is_yes_are_read(world: World, said: dict[str, list[str]]) -> None:
    table = people().filter(pa.array([w in PEOPLE[:12] for w in people().column("who").to_pylist()]))
    data = stored(world, table=table)
    with world.ports.stores.change(HOUSE, world.caller().actor, world.now) as change:  # forget the example before
        change._access._connection.exec_driver_sql("delete from consents")  # type: ignore[attr-defined]
    for turn in range(4):
        for status in ("granted", "withdrawn", "objected"):
            if names := [name for name, words in said.items() if words[turn : turn + 1] == [status]]:
                says(world, *names, status=status)
    says(world, "somebody else")
    agreed = {name for name, words in said.items() if words and words[-1] == "granted"}
    assert set(got(world, data)) == agreed & set(read_all(world, data))
    expected = check_consent(world.ports, world.caller(), data.ref, TRAINING)
    assert sum(expected.refused.values()) + expected.admitted == len(read_all(world, data))


def read_all(world: World, data: DatasetVersion) -> list[str]:
    table = table_of(data, world.ports.stores.objects, world.ports.tables)
    names: list[str] = part_of(table, Split.TRAIN, data.holdout).column("who").to_pylist()
    return names


def test_without_purpose_consent_or_a_fresh_source_nothing_is_read(world: World) -> None:
    data = stored(world)
    before = world.kinds()
    with pytest.raises(Denied, match="does not say what for") as error:
        got(world, data, purpose="")
    assert "--purpose" in error.value.fix
    with pytest.raises(Denied, match="does not allow the purpose 'marketing'"):
        got(world, data, purpose="marketing")
    with pytest.raises(Denied, match="no consent was ever imported") as error:
        got(world, data)
    assert error.value.fix == "custody consent add FILE.csv"
    assert "dataset.read" not in world.kinds()[len(before) :]
    says(world, *PEOPLE)
    world.now += timedelta(days=3)
    with pytest.raises(Denied, match="is 3 days old; 2 are allowed"):
        got(world, data)
    says(world, "p1")  # an import without news would do as well
    assert got(world, data)
    world.now += timedelta(days=3)
    strict = stored(world, replace(AGREED, consent={**AGREED.consent, "source": "banner"}))
    with pytest.raises(Denied, match="no consent of 'banner'"):
        got(world, strict)


def test_a_purpose_below_an_allowed_one_needs_a_notice_that_covers_it(world: World) -> None:
    data = stored(world)
    says(world, "p1", "p2")
    says(world, "p3", children=True)
    assert set(got(world, data)) <= {"p1", "p2", "p3"}
    assert set(got(world, data, purpose=f"{TRAINING}.scoring")) == {"p3"}


def test_other_legal_bases_ask_no_consent_but_honour_objections(world: World) -> None:
    data = stored(world, replace(AGREED, legal_basis="legitimate_interests", consent={}))
    everybody = set(got(world, data))
    assert len(everybody) > 40
    says(world, "p1", status="objected")
    says(world, "p2", status="withdrawn")
    assert set(got(world, data)) == everybody - {"p1", "p2"}
    world.now += timedelta(days=900)
    assert set(got(world, data)) == everybody - {"p1", "p2"}


def test_a_row_with_several_people_needs_all_of_them_and_one_without_is_refused(world: World) -> None:
    table = people().append_column("agent", [["p1", None, "p2", "p59"] * 60])
    data = stored(world, replace(AGREED, further_subject_keys=("agent",)), table)
    says(world, *PEOPLE[:59])
    rows = check_consent(world.ports, world.caller(), data.ref, TRAINING)
    assert rows.refused.keys() == {"absent", "no_subject"}
    with pytest.raises(InvalidInput, match="'nobody'"):
        stored(world, replace(AGREED, further_subject_keys=("nobody",)))


def test_consent_data_without_a_key_column_trains_nothing(world: World) -> None:
    data = stored(world, replace(AGREED, subject_key=None))
    says(world, *PEOPLE)
    with pytest.raises(Denied, match="no 'subject_key' names the column"):
        got(world, data)


def test_the_key_column_may_be_named_by_card_or_command_but_not_differently(world: World) -> None:
    roles = Roles(target="left", positive="Yes", subject="who")
    version, _ = ingest(world.ports, world.caller(), "tickets", people(), replace(AGREED, subject_key=None), roles=roles)
    assert (version.card.subject_key, version.schema.subject) == ("who", "who")
    with pytest.raises(InvalidInput, match="names the subject key"):
        ingest(world.ports, world.caller(), "tickets", people(), AGREED, roles=replace(roles, subject="side"))


def test_the_same_import_again_adds_nothing_but_counts_as_news_of_its_source(world: World) -> None:
    rows: list[dict[str, Json]] = [{"subject": "p1", "purpose": TRAINING, "status": "granted", "valid_from": "2026-01-01"}] * 2
    first, entry = consent(world.ports, world.caller(), rows, source="crm")
    assert (first.records, first.new, first.sources) == (2, 1, ("crm",))
    again, second = consent(world.ports, world.caller(), rows, source="crm")
    assert (again.new, again.unchanged) == (0, 2)
    assert entry is not None
    assert second == entry + 1
    dry, none = consent(world.ports, world.caller(), [{**rows[0], "subject": "p9"}], source="crm", dry_run=True)
    assert (dry.new, none) == (1, None)
    assert len(world.ports.stores.of(HOUSE).consents.page().items) == 1
    with pytest.raises(Denied):
        consent(world.ports, world.caller(Actor("vera", Role.VIEWER)), rows, source="crm")


def test_a_key_without_rows_reads_none(world: World) -> None:
    data = world.data()[0]
    run = begin(world.ports, world.caller(), "churn")[0].id
    blind = Actor("blind", Role.ADMIN, rows=False)
    with pytest.raises(Denied, match="may see aggregates, not rows"):
        read(world.ports, world.caller(blind), run, data.ref, Split.TRAIN)


def test_a_purpose_is_declared_once(world: World) -> None:
    run = begin(world.ports, world.caller(), "churn")[0].id
    assert log(world.ports, world.caller(), run, purpose=TRAINING).purpose == TRAINING
    log(world.ports, world.caller(), run, purpose=TRAINING)
    with pytest.raises(Conflict, match="cannot have 'sales' too"):
        log(world.ports, world.caller(), run, purpose="sales")
    with pytest.raises(InvalidInput, match="is not a purpose"):
        begin(world.ports, world.caller(), "churn", purpose="training")


def test_retention_that_ended_trains_nothing(world: World) -> None:
    data = stored(world, replace(AGREED, retention="P1D"))
    says(world, *PEOPLE)
    assert got(world, data)
    world.now += timedelta(days=2)
    with pytest.raises(Denied, match="its retention ended"):
        got(world, data)


def test_rows_read_twice_are_learned_from_once(world: World) -> None:
    data = stored(world)
    says(world, *PEOPLE)
    run = begin(world.ports, world.caller(), "churn", purpose=TRAINING)[0].id
    got(world, data, run=run)
    got(world, data, run=run)
    assert len(world.ports.stores.of(HOUSE).runs.get(run).datasets) == 1
    says(world, "p1", status="withdrawn")
    got(world, data, run=run)
    assert len(world.ports.stores.of(HOUSE).runs.get(run).datasets) == 2
    train(world.ports, world.caller(), run, RunStatus.FINISHED)
    assert world.kinds().count("dataset.read") == 3
    with pytest.raises(Conflict, match="logged no model"):
        convert(world.ports, world.caller(), run)
    assert DatasetRef("tickets", 1) == data.ref
