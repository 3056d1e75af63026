"""What monitors keep comes back as it was stored, on SQLite and on PostgreSQL."""

import json

import msgspec
import pytest
from stores_world import ACME, ADA, BETA, CHURN, NOW, later

from custody.adapters.sql.body import parsed
from custody.adapters.sql.stores import SqlStores
from custody.core.errors import NotFound
from custody.core.evidence import Check, Estimate, GroupCounts, Outcome
from custody.core.measures.value import CostMatrix
from custody.core.refs import DeploymentKey, ModelRef
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.policy import MonitorPolicy, OnDegradation
from custody.monitoring.ports import Look

DEV = DeploymentKey(ACME, "dev", "churn")


def evaluation(number: int) -> Evaluation:
    metrics = (Estimate("auc", 0.7, 0.6, 0.8, 500),)
    groups = (GroupCounts("gender", "f", 1, 2, 3, 4),)
    return Evaluation(
        f"e-{number}", later(number), NOW, later(number), ModelRef("churn", 1), 0.5, 900, 500, metrics, -12.5, groups
    )


def look(number: int) -> Look:
    return Look("training", later(number), 500, float("-inf"), "quiet", "Nothing moved.", 0.01, 0.02, 1500.0)


def alert(number: int, key: DeploymentKey = CHURN) -> Alert:
    check = Check("auc", Outcome.FAIL, "auc fell", {"drop": 0.1, "by": [None, {"group": "f"}]})
    return Alert(f"a-{number}", key, AlertKind.PERFORMANCE, check, later(number))


def test_the_newest_policy_counts(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        assert change.monitors.policy(CHURN) is None
        change.monitors.add_policy(CHURN, MonitorPolicy())
        change.monitors.add_policy(CHURN, MonitorPolicy(metric="auc", on_degradation=OnDegradation.RETRAIN))
    assert stores.of(ACME).monitors.policy(CHURN) == MonitorPolicy(metric="auc", on_degradation=OnDegradation.RETRAIN)
    assert stores.of(ACME).monitors.policy(DEV) is None


def test_a_policy_stored_before_past_due_existed_is_read_as_before() -> None:
    body = msgspec.to_builtins(MonitorPolicy(metric="auc"))
    del body["past_due"]
    assert parsed(MonitorPolicy, 1, json.dumps(body)) == MonitorPolicy(metric="auc")


def test_a_detectors_state_is_replaced_by_name(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        for name, text in (("drift", "old"), ("canary", "other"), ("drift", "new")):
            change.monitors.set_state(CHURN, name, text)
    monitors = stores.of(ACME).monitors
    assert [monitors.state(CHURN, name) for name in ("drift", "canary", "nothing")] == ["new", "other", None]


def test_the_newest_looks_and_evaluations_come_oldest_first(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        for number in range(1, 6):
            change.monitors.add_look(CHURN, look(number))
            change.monitors.add_evaluation(CHURN, evaluation(number))
    monitors = stores.of(ACME).monitors
    assert list(monitors.looks(CHURN)) == [look(number) for number in range(1, 6)]
    assert list(monitors.looks(CHURN, limit=2)) == [look(4), look(5)]
    assert list(monitors.evaluations(CHURN, limit=3)) == [evaluation(3), evaluation(4), evaluation(5)]
    assert list(monitors.evaluations(DEV)) == []


def test_an_alert_is_replaced_as_it_moves_and_leaves_the_open_ones_when_resolved(stores: SqlStores) -> None:
    seen = moved(alert(1), AlertState.ACKNOWLEDGED, later(10))
    done = moved(alert(2), AlertState.RESOLVED, later(20))
    with stores.change(ACME, ADA, NOW) as change:
        for item in (alert(1), alert(2), alert(3, DEV), seen, done):
            change.monitors.save_alert(item)
    monitors = stores.of(ACME).monitors
    assert list(monitors.open_alerts()) == [alert(3, DEV), seen]
    assert list(monitors.open_alerts(CHURN)) == [seen]
    first = monitors.alerts(CHURN, limit=1)
    assert first.items == (done,)
    assert monitors.alerts(CHURN, after=first.next, limit=1).items == (seen,)


def test_the_costs_of_a_deployment_are_replaced(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.monitors.set_cost(CHURN, CostMatrix(0, 5, 0, 100, "EUR"))
        change.monitors.set_cost(CHURN, CostMatrix(-1.5, 5, 0, 100, "EUR"))
    assert stores.of(ACME).monitors.cost(CHURN) == CostMatrix(-1.5, 5, 0, 100, "EUR")
    assert stores.of(ACME).monitors.cost(DEV) is None


def test_another_tenants_monitors_cannot_be_read_or_written(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.monitors.add_policy(CHURN, MonitorPolicy())
        change.monitors.set_state(CHURN, "drift", "text")
        change.monitors.add_look(CHURN, look(1))
        change.monitors.save_alert(alert(1))
        change.monitors.set_cost(CHURN, CostMatrix(0, 1, 0, 1, "EUR"))
    theirs = stores.of(BETA).monitors
    assert (theirs.policy(CHURN), theirs.state(CHURN, "drift"), theirs.cost(CHURN)) == (None, None, None)
    assert (list(theirs.looks(CHURN)), list(theirs.open_alerts()), theirs.alerts(CHURN).items) == ([], [], ())
    with stores.change(BETA, ADA, NOW) as change:
        with pytest.raises(NotFound, match="acme/prod/churn"):
            change.monitors.save_alert(alert(2))
        with pytest.raises(NotFound, match="acme/prod/churn"):
            change.monitors.set_state(CHURN, "drift", "theirs")
