"""People answer alerts, and any alarm can be computed again from the evidence that the ledger names."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from lifecycle_world import ACME, CHURN, MALLORY, World
from test_late_labels import answered

from custody.core.errors import Conflict, NotFound
from custody.core.evidence import Check, Outcome
from custody.lifecycle.alerts import answer_alert, explain_alert
from custody.lifecycle.drift import DriftEvidence
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.record import record
from custody.lifecycle.retrain import WORKER
from custody.lifecycle.watch import Seen, watch
from custody.monitoring.alert import Alert, AlertKind, AlertState


@pytest.fixture
def alarmed(world: World) -> World:
    world.live()
    with world.ports.stores.change(ACME, WORKER, world.now) as change:
        check = Check("drift:training", Outcome.FAIL, "the share of age <= 1 went from 25 % to 31 %")
        change.monitors.save_alert(Alert("a-1", CHURN, AlertKind.DRIFT, check, world.now))
        change.record("alert.raised", str(CHURN), {"alert": "a-1"})
    return world


def test_an_alert_is_acknowledged_and_resolved_by_people_and_the_ledger_says_by_whom(alarmed: World) -> None:
    for state, kind in ((AlertState.ACKNOWLEDGED, "alert.acknowledged"), (AlertState.RESOLVED, "alert.resolved")):
        alert, seq = answer_alert(alarmed.ports, alarmed.caller(), CHURN, "a-1", state, reason="a campaign")
        entry = [*alarmed.ports.stores.ledger.entries()][-1]
        assert (alert.state, entry.seq, entry.kind, entry.actor) == (state, seq, kind, "ada")
        assert entry.body == {"alert": "a-1", "because": "a campaign"}
    assert alarmed.ports.stores.of(ACME).monitors.open_alerts(CHURN) == []


def test_a_resolved_alert_stays_resolved(alarmed: World) -> None:
    answer_alert(alarmed.ports, alarmed.caller(), CHURN, "a-1", AlertState.RESOLVED)
    with pytest.raises(Conflict, match="cannot become acknowledged"):
        answer_alert(alarmed.ports, alarmed.caller(), CHURN, "a-1", AlertState.ACKNOWLEDGED)


def test_a_dry_run_moves_nothing(alarmed: World) -> None:
    before = list(alarmed.kinds())
    alert, seq = answer_alert(alarmed.ports, alarmed.caller(), CHURN, "a-1", AlertState.RESOLVED, dry_run=True)
    assert (alert.state, seq) == (AlertState.RESOLVED, None)
    assert [one.state for one in alarmed.ports.stores.of(ACME).monitors.open_alerts(CHURN)] == [AlertState.OPEN]
    assert list(alarmed.kinds()) == before


def test_another_tenants_alert_does_not_exist(alarmed: World) -> None:
    with pytest.raises(NotFound):
        answer_alert(alarmed.ports, alarmed.caller(MALLORY), CHURN, "a-1", AlertState.RESOLVED)
    with pytest.raises(NotFound, match="There is no alert 'a-2'"):
        answer_alert(alarmed.ports, alarmed.caller(), CHURN, "a-2", AlertState.RESOLVED)


def drifted(world: World) -> list[Alert]:
    return [one for one in world.ports.stores.of(ACME).monitors.open_alerts(CHURN) if one.check.name == "drift:training"]


def looks(world: World) -> list[int]:
    return [one.rows for one in world.ports.stores.of(ACME).monitors.looks(CHURN) if one.reference == "training"]


def test_answers_wait_until_they_are_enough_for_a_look(world: World) -> None:
    world.live()
    answered(world, "one", 120)
    assert looks(world) == []
    answered(world, "two", 90)
    assert looks(world) == [210]
    answered(world, "three", 30)
    assert looks(world) == [210]


def test_answers_do_not_wait_longer_than_a_day(world: World) -> None:
    world.live()
    answered(world, "one", 20)
    world.now += timedelta(hours=25)
    answered(world, "two", 5)
    assert looks(world) == [25]


def test_a_drift_alarm_comes_out_the_same_from_its_evidence(world: World) -> None:
    world.live()
    for name in ("one", "two", "three"):
        answered(world, name, 200, age=1.5)
    (alert,) = drifted(world)
    found = explain_alert(world.ports, world.caller(), CHURN, alert.id)
    entry = next(one for one in world.ports.stores.ledger.entries() if one.kind == "alert.raised")
    assert (found.ledger, found.evidence) == (entry.seq, entry.body["evidence"])
    assert found.agrees, (found.recorded, found.recomputed)


def test_evidence_that_does_not_give_the_alarm_is_told(world: World) -> None:
    world.live()
    answered(world, "one", 200, age=1.5)
    (alert,) = drifted(world)
    objects = world.ports.stores.objects
    proof = msgspec.json.decode(objects.get(alert.check.facts["evidence"]), type=DriftEvidence)  # type: ignore[arg-type]
    other = objects.put(msgspec.json.encode(replace(proof, log10_e=proof.log10_e + 1)))
    with world.ports.stores.change(ACME, WORKER, world.now) as change:
        change.monitors.save_alert(replace(alert, id="a-2"))
        change.record("alert.raised", str(CHURN), {"alert": "a-2", "kind": "drift", "check": "", "evidence": other})
    assert not explain_alert(world.ports, world.caller(), CHURN, "a-2").agrees


def test_a_performance_alarm_comes_out_the_same_from_its_evidence(world: World) -> None:
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, {"metric": "precision", "window": "40 labels", "tolerance": 0.02})
    ids = answered(world, "first", 50)
    record(world.ports, world.caller(), CHURN, [(one, "No") for one in ids])
    watch(world.ports, world.caller().now, Seen())
    (alert,) = [one for one in world.ports.stores.of(ACME).monitors.open_alerts(CHURN) if one.kind is AlertKind.PERFORMANCE]
    found = explain_alert(world.ports, world.caller(), CHURN, alert.id)
    assert found.agrees
    assert found.recorded.startswith("at least 0.")


def test_an_alert_without_evidence_says_so(alarmed: World) -> None:
    with pytest.raises(NotFound, match="evidence of the alert"):
        explain_alert(alarmed.ports, alarmed.caller(), CHURN, "a-1")
