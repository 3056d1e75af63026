"""People answer alerts: every move is in the ledger, and none goes back."""

import pytest
from lifecycle_world import ACME, CHURN, MALLORY, World

from custody.core.errors import Conflict, NotFound
from custody.core.evidence import Check, Outcome
from custody.lifecycle.alerts import answer_alert
from custody.lifecycle.retrain import WORKER
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
