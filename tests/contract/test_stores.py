"""What all stores must do, run on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from stores_world import (
    ACME,
    ADA,
    BETA,
    CHURN,
    NOW,
    batch,
    dataset,
    digest,
    label,
    later,
    model,
    revision,
    run,
    verdict,
)

from custody.adapters.sql.stores import SqlStores
from custody.core.errors import Conflict, InvalidInput, NotFound
from custody.core.refs import DatasetRef, DeploymentKey, ModelRef
from custody.core.tenancy import Role, TenantId
from custody.data.dataset import DatasetSummary
from custody.gates.golden import GoldenCase, GoldenSet
from custody.gates.policy import BiasRule, MetricRule, Policy
from custody.ledger.chain import verify
from custody.lifecycle.stores import Key, Stores, Tenant
from custody.registry.model import ModelSummary
from custody.registry.run import RunStatus, RunSummary, ended


def test_sql_stores_are_the_stores_of_the_lifecycle(stores: SqlStores) -> None:
    port: Stores = stores  # mypy proves it
    with port.change(ACME, ADA, NOW) as change:
        assert change.tenant == port.of(ACME).tenant == ACME


def test_a_dataset_version_comes_back_as_it_was_stored(stores: SqlStores) -> None:
    first, second = dataset(), dataset(version=2, at=later(1))
    with stores.change(ACME, ADA, NOW) as change:
        change.datasets.add(first)
        change.datasets.add(second)
    datasets = stores.of(ACME).datasets
    assert datasets.get(first.ref) == first
    assert datasets.latest("tickets") == second
    assert datasets.latest("nothing") is None
    assert datasets.by_digest("tickets", first.digest) == first
    assert datasets.by_digest("tickets", digest("other")) is None
    assert datasets.page().items[0] == DatasetSummary(
        second.ref, second.digest, 100, "Tickets", trainable=True, created_at=later(1)
    )


def test_a_run_comes_back_as_it_was_stored_and_is_replaced_while_it_runs(stores: SqlStores) -> None:
    started = run()
    with stores.change(ACME, ADA, NOW) as change:
        change.runs.add(started)
        change.runs.save(replace(started, params={"depth": "4"}))
    assert stores.of(ACME).runs.get("run-1").params == {"depth": "4"}
    finished = ended(started, RunStatus.FINISHED, later(60))
    with stores.change(ACME, ADA, NOW) as change:
        change.runs.save(finished)
        change.runs.save(finished)  # a retry changes nothing
    runs = stores.of(ACME).runs
    assert runs.get("run-1") == finished
    assert runs.last() == runs.last("train churn") == finished
    assert runs.last("other") is None
    assert runs.page().items == (RunSummary("run-1", "train churn", RunStatus.FINISHED, NOW, later(60)),)
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(Conflict, match="already ended as finished"):
        change.runs.save(replace(finished, status=RunStatus.KILLED))
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(NotFound, match="no run 'run-9'"):
        change.runs.save(run("run-9"))
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(Conflict, match="Run 'run-1' exists already"):
        change.runs.add(started)


def test_a_metric_that_is_no_number_is_kept(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.runs.add(replace(run(), metrics={"loss": float("nan")}))
    assert str(stores.of(ACME).runs.get("run-1").metrics["loss"]) == "nan"


def test_a_model_version_comes_back_as_it_was_stored(stores: SqlStores) -> None:
    first, second = model(), model(version=2, at=later(1), run_id="run-2")
    with stores.change(ACME, ADA, NOW) as change:
        change.models.add(first)
        change.models.add(second)
    models = stores.of(ACME).models
    assert models.get(first.ref) == first
    assert models.latest("churn") == second
    assert models.latest("nothing") is None
    assert models.of_run("run-1") == [first]


def test_an_alias_moves_and_shows_in_the_list(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.models.add(model())
        change.models.add(model(version=2, at=later(1)))
        change.models.set_alias("champion", ModelRef("churn", 1))
        change.models.set_alias("challenger", ModelRef("churn", 2))
        change.models.set_alias("champion", ModelRef("churn", 2))
    models = stores.of(ACME).models
    assert models.alias("churn", "champion") == ModelRef("churn", 2)
    assert models.alias("churn", "nobody") is None
    newest = ModelSummary(ModelRef("churn", 2), digest("churn@2"), "run-1", later(1), ("challenger", "champion"))
    assert models.page().items == (newest, ModelSummary(ModelRef("churn", 1), digest("churn@1"), "run-1", NOW))
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(NotFound, match="churn@3"):
        change.models.set_alias("champion", ModelRef("churn", 3))


def test_policies_and_golden_sets_come_back_in_their_newest_version(stores: SqlStores) -> None:
    rules = (MetricRule("auc", 0.7, 0.02),), (BiasRule("gender", "recall"),)
    policies = [Policy("churn", number, later(number), *rules, thresholds=(0.1 * number, 0.5)) for number in (1, 2)]
    case = GoldenCase("young", {"age": 18, "score": 1.0, "vip": True, "note": None, "plan": "basic"}, "Yes", "critical", "young")
    goldens = [GoldenSet("churn", number, (case,) * number, later(number)) for number in (1, 2)]
    with stores.change(ACME, ADA, NOW) as change:
        assert change.gates.policy("churn") is None
        assert change.gates.golden("churn") is None
        for policy, golden in zip(policies, goldens, strict=True):
            change.gates.add_policy(policy)
            change.gates.add_golden(golden)
    assert stores.of(ACME).gates.policy("churn") == policies[1]
    assert stores.of(ACME).gates.golden("churn") == goldens[1]
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(Conflict, match="Version 2 of the gate policy of 'churn'"):
        change.gates.add_policy(policies[1])
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(Conflict, match="Version 1 of the golden set of 'churn'"):
        change.gates.add_golden(goldens[0])


def test_the_newest_verdict_on_each_version_counts(stores: SqlStores) -> None:
    old, new = verdict("v-1", 2, passed=False), verdict("v-2", 2, at=later(1))
    on_first, other = verdict("v-3", 1, at=later(2)), verdict("v-4", name="fraud")
    with stores.change(ACME, ADA, NOW) as change:
        for item in (new, old, on_first, other):
            change.gates.add(item)
    gates = stores.of(ACME).gates
    assert gates.verdict(ModelRef("churn", 2)) == new
    assert gates.verdict(ModelRef("churn", 3)) is None
    assert list(gates.verdicts("churn")) == [on_first, new]
    assert gates.page("churn").items == (on_first, new, old)
    assert gates.page().items == (on_first, new, other, old)


def test_a_deployment_is_a_chain_of_revisions(stores: SqlStores) -> None:
    chain = [revision(number, at=later(number)) for number in (1, 2, 3)]
    beside = revision(key=DeploymentKey(ACME, "dev", "fraud"))
    with stores.change(ACME, ADA, NOW) as change:
        for item in (*chain, beside):
            change.deployments.add(item)
    deployments = stores.of(ACME).deployments
    assert deployments.head(CHURN) == chain[2]
    assert deployments.head(DeploymentKey(ACME, "dev", "churn")) is None
    assert deployments.revision(CHURN, 2) == chain[1]
    assert deployments.history(CHURN).items == tuple(reversed(chain))
    assert list(deployments.heads()) == [beside, chain[2]]


def test_a_deployment_can_be_asked_what_was_in_force_at_a_time(stores: SqlStores) -> None:
    chain = [revision(number, at=later(10 * number)) for number in (1, 2, 3)]
    with stores.change(ACME, ADA, NOW) as change:
        for item in chain:
            change.deployments.add(item)
    at = stores.of(ACME).deployments.at
    assert at(CHURN, later(9.999999)) is None
    assert at(CHURN, later(10)) == chain[0]
    assert at(CHURN, later(19.999999)) == chain[0]
    assert at(CHURN, later(20).astimezone(timezone(timedelta(hours=-7)))) == chain[1]
    assert at(CHURN, later(1e6)) == chain[2]


def test_the_slower_of_two_revisions_is_told_who_was_faster(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.deployments.add(revision(1))
        change.deployments.add(revision(2, actor="grace", action="promote"))
    said = "Revision 2 of acme/prod/churn was made by grace at 2026-03-01T12:30:15.123456Z: promote."
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(Conflict, match=said):
        change.deployments.add(revision(2))
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(Conflict, match="no predecessor"):
        change.deployments.add(revision(4))


def test_a_taken_version_is_a_conflict(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.datasets.add(dataset())
        change.models.add(model())
        change.tenants.add(Tenant(BETA, NOW))
        change.captures.add(batch())
        with pytest.raises(Conflict, match="Dataset version tickets@1 exists already"):
            change.datasets.add(dataset())
        with pytest.raises(Conflict, match="Model version churn@1 exists already"):
            change.models.add(model())
        with pytest.raises(Conflict, match="Tenant 'beta' exists already"):
            change.tenants.add(Tenant(BETA, NOW))
        with pytest.raises(Conflict, match="'batch-1' was recorded before"):
            change.captures.add(batch())
    assert stores.of(ACME).models.get(ModelRef("churn", 1)) == model()  # a refusal does not spoil the change around it


def test_what_is_not_there_names_what_is_close(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.datasets.add(dataset())
        change.models.add(model())
        change.deployments.add(revision())
        change.tenants.add(Tenant(ACME, NOW))
    shelf = stores.of(ACME)
    with pytest.raises(NotFound, match="Did you mean 'tickets'"):
        shelf.datasets.get(DatasetRef("ticket", 1))
    with pytest.raises(NotFound, match="Did you mean 'tickets@1'"):
        shelf.datasets.get(DatasetRef("tickets", 2))
    with pytest.raises(NotFound, match="Did you mean 'churn'"):
        shelf.models.get(ModelRef("chrun", 1))
    with pytest.raises(NotFound, match="Did you mean 'churn@1'"):
        shelf.models.get(ModelRef("churn", 7))
    with pytest.raises(NotFound, match="Did you mean 'acme/prod/churn'"):
        shelf.deployments.revision(DeploymentKey(ACME, "prod", "chrun"), 1)
    with pytest.raises(NotFound, match="acme/prod/churn revision 2"):
        shelf.deployments.revision(CHURN, 2)
    with pytest.raises(NotFound, match="Did you mean 'acme'"):
        stores.tenants.get(TenantId("acmee"))


def test_batches_are_found_by_their_events_and_by_a_prediction_in_them(stores: SqlStores) -> None:
    batches = [batch(f"batch-{hour}", at=later(3600 * hour)) for hour in range(3)]
    with stores.change(ACME, ADA, NOW) as change:
        for item in reversed(batches):
            change.captures.add(item)
    captures = stores.of(ACME).captures
    assert captures.has("batch-1")
    assert not captures.has("batch-9")
    assert list(captures.of(CHURN)) == batches
    assert list(captures.of(CHURN, start=later(1))) == batches[1:]
    assert list(captures.of(CHURN, start=NOW, end=later(0.000001))) == batches[:2]
    assert list(captures.of(CHURN, end=batches[1].first_event)) == batches[:1]
    assert list(captures.around(CHURN, later(3605))) == [batches[1]]
    assert list(captures.around(CHURN, later(1800))) == []
    to_the_millisecond = batches[1].first_at.replace(microsecond=batches[1].first_at.microsecond // 1000 * 1000)
    assert list(captures.around(CHURN, to_the_millisecond)) == [batches[1]]
    assert captures.last(CHURN) == batches[2]
    assert captures.last(DeploymentKey(ACME, "dev", "churn")) is None
    assert (captures.count(CHURN), captures.answered(CHURN)) == (21, 15)
    with stores.change(ACME, ADA, NOW) as change:
        change.captures.replace(replace(batches[0], rows=2))
    assert (captures.count(CHURN), captures.answered(CHURN)) == (16, 15)


def test_labels_are_stored_once_and_the_newest_value_counts(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        assert change.labels.add([]) == 0
        assert change.labels.add([label("p-1"), label("p-2", "No"), label("p-1"), label("p-3", source="report")]) == 3
        assert change.labels.add([label("p-1", at=later(9)), label("p-2", "Yes", at=later(9))]) == 1
        assert change.labels.add([label("p-4", "Yes", at=later(9)), label("p-4", "No", "annotator", at=later(9))]) == 2
    labels = stores.of(ACME).labels
    assert labels.of(CHURN) == {"p-1": "Yes", "p-2": "Yes", "p-4": "No"}
    assert labels.of(CHURN, sources=["outcome"])["p-4"] == "Yes"
    assert labels.of(CHURN, sources=["report"]) == {"p-3": "Yes"}
    assert labels.count(CHURN) == 3
    assert labels.value_of(CHURN, ["p-2", "key-2"]) == label("p-2", "Yes", at=later(9))
    assert labels.value_of(CHURN, ["p-4"]) == label("p-4", "No", "annotator", at=later(9))
    assert labels.value_of(CHURN, ["p-9"]) is None


def test_ten_thousand_labels_are_stored_in_one_go(stores: SqlStores) -> None:
    many = [label(f"p-{number}") for number in range(10_000)]
    with stores.change(ACME, ADA, NOW) as change:
        assert change.labels.add(many) == 10_000
        assert change.labels.add([*many[:50], label("new")]) == 1
    assert stores.of(ACME).labels.count(CHURN) == 10_001


def test_tenants_and_keys_come_back_as_they_were_stored(stores: SqlStores) -> None:
    house = Key("key-1", digest("secret 1"), "ci", Role.ADMIN, None, NOW)
    guest = Key("key-2", digest("secret 2"), "acme's", Role.VIEWER, ACME, later(1), later(60), None)
    with stores.change(ACME, ADA, NOW) as change:
        change.tenants.add(Tenant(ACME, NOW))
        change.tenants.save_key(guest)
        change.tenants.save_key(house)
    assert stores.tenants.get(ACME) == Tenant(ACME, NOW)
    assert list(stores.tenants.keys()) == [house, guest]
    revoked = replace(guest, revoked_at=later(30))
    with stores.change(ACME, ADA, NOW) as change:
        change.tenants.save_key(revoked)
    assert stores.tenants.key(digest("secret 2")) == revoked
    assert stores.tenants.key(digest("guess")) is None


def test_an_exception_undoes_everything_the_ledger_included(stores: SqlStores) -> None:
    def fail_halfway() -> None:
        with stores.change(ACME, ADA, NOW) as change:
            change.models.add(model())
            change.labels.add([label()])
            change.tenants.add(Tenant(ACME, NOW))
            change.record("model.converted", "churn@1", {})
            assert change.models.latest("churn") == model()  # a change sees its own writes
            assert stores.of(ACME).models.latest("churn") is None  # and nobody else does
            raise LookupError

    with pytest.raises(LookupError):
        fail_halfway()
    assert stores.of(ACME).models.latest("churn") is None
    assert stores.of(ACME).labels.count(CHURN) == 0
    assert stores.tenants.page().items == ()
    assert list(stores.ledger.entries()) == []


def test_a_write_outside_of_a_change_is_refused(stores: SqlStores) -> None:
    with pytest.raises(RuntimeError, match="change"):
        stores.of(ACME).models.add(model())
    with pytest.raises(RuntimeError, match="change"):
        stores.of(ACME).labels.add([label()])


def test_the_same_names_in_two_tenants_never_meet(stores: SqlStores) -> None:
    beta_churn = DeploymentKey(BETA, "prod", "churn")
    for tenant, key, second in ((ACME, CHURN, 0), (BETA, beta_churn, 5)):
        with stores.change(tenant, ADA, NOW) as change:
            change.datasets.add(dataset(at=later(second)))
            change.runs.add(run(at=later(second)))
            change.models.add(model(at=later(second)))
            change.models.set_alias("champion", ModelRef("churn", 1))
            change.gates.add(verdict(at=later(second)))
            change.deployments.add(revision(key=key, at=later(second)))
            change.captures.add(batch(key=key, at=later(second)))
            change.labels.add([label(key=key, value=str(second))])
            change.record("model.converted", "churn@1", {})
    for tenant, key, second in ((ACME, CHURN, 0), (BETA, beta_churn, 5)):
        mine = stores.of(tenant)
        assert [item.created_at for item in mine.datasets.page().items] == [later(second)]
        assert [item.started_at for item in mine.runs.page().items] == [later(second)]
        assert [(item.created_at, item.aliases) for item in mine.models.page().items] == [(later(second), ("champion",))]
        assert [item.at for item in mine.gates.page().items] == [later(second)]
        assert mine.gates.verdict(ModelRef("churn", 1)) == verdict(at=later(second))
        assert list(mine.deployments.heads()) == [revision(key=key, at=later(second))]
        assert list(mine.captures.of(key)) == [batch(key=key, at=later(second))]
        assert mine.labels.of(key) == {"p-1": str(second)}
        page = stores.ledger.page(tenant, subject="churn@1", kind=None, after=None, limit=10)
        assert [entry.tenant for entry in page.items] == [tenant]
    assert len(stores.ledger.page(None, subject=None, kind=None, after=None, limit=10).items) == 2


def test_another_tenants_deployment_cannot_be_read_or_written(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.deployments.add(revision())
        change.captures.add(batch())
        change.labels.add([label()])
    theirs = stores.of(BETA)
    assert theirs.deployments.head(CHURN) is None
    assert theirs.deployments.at(CHURN, later(9)) is None
    assert theirs.deployments.history(CHURN).items == ()
    assert list(theirs.captures.of(CHURN)) == []
    assert theirs.labels.of(CHURN) == {}
    with stores.change(BETA, ADA, NOW) as change:
        for write in (
            lambda: change.deployments.add(revision(2)),
            lambda: change.captures.add(batch("batch-2")),
            lambda: change.labels.add([label("p-2")]),
        ):
            with pytest.raises(NotFound, match="acme/prod/churn"):
                write()


def test_a_text_that_no_database_can_hold_is_invalid_input(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change, pytest.raises(InvalidInput):
        change.labels.add([label("half a character \ud800")])


def test_a_project_survives_being_closed_and_opened_again(stores: SqlStores, database_url: str, tmp_path: Path) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.models.add(model())
        change.record("model.converted", "churn@1", {"notes": ["ü", 1.5, None]})
    stores.close()
    again = SqlStores(database_url, stores.objects)
    again.upgrade()
    assert again.of(ACME).models.get(ModelRef("churn", 1)) == model()
    assert verify(again.ledger.entries()).ok
    again.close()


def test_times_of_any_zone_sort_as_moments(stores: SqlStores) -> None:
    early = datetime(2026, 3, 1, 23, tzinfo=timezone(timedelta(hours=14)))  # 09:00 UTC
    with stores.change(ACME, ADA, NOW) as change:
        change.runs.add(run("late", at=NOW))
        change.runs.add(run("early", at=early))
    assert [item.id for item in stores.of(ACME).runs.page().items] == ["late", "early"]
    assert stores.of(ACME).runs.get("early").started_at == early
