"""A policy is tried on the past before it is set."""

import pytest
from lifecycle_world import ACME, CHURN, MALLORY, World
from test_late_labels import answered

from custody.core.digest import Json
from custody.core.errors import InvalidInput, NotFound
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.preview import preview
from custody.lifecycle.record import record
from custody.lifecycle.watch import Seen, watch
from custody.monitoring.alert import AlertKind

POLICY: dict[str, Json] = {"metric": "precision", "window": "40 labels", "tolerance": 0.02}


@pytest.fixture
def lived(world: World) -> World:
    """A deployment whose first 50 answers were right and whose next 200, of other people, were wrong."""
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, POLICY)
    for name, label, count in (("good", "Yes", 50), ("bad", "No", 200)):
        ids = answered(world, name, count, age=1.5 if name == "bad" else 0.5)
        record(world.ports, world.caller(), CHURN, [(one, label) for one in ids])
        watch(world.ports, world.caller().now, Seen())
    return world


def test_the_policy_that_was_set_would_have_raised_what_it_raised(lived: World) -> None:
    found = preview(lived.ports, lived.caller(), CHURN, POLICY)
    raised = lived.ports.stores.of(ACME).monitors.alerts(CHURN).items
    assert {one.kind for one in found.alerts} == {one.kind for one in raised}
    assert {one.check.sentence for one in raised if one.kind is AlertKind.DRIFT} <= {one.sentence for one in found.alerts}
    assert found.looks == 3  # one at answers, two at the labels of closed windows
    assert found.windows == 6
    assert found.sentence.startswith("This policy would have alarmed 4 times in the last 90 days")


def test_a_policy_that_tolerates_everything_would_only_have_told_of_a_decision_that_stopped_changing(lived: World) -> None:
    loose: dict[str, Json] = {**POLICY, "tolerance": 1.0, "notice": 0.98, "alarm": 0.99}
    found = preview(lived.ports, lived.caller(), CHURN, loose, days=1)
    assert [would.sentence for would in found.alerts] == ["decision had one value in all of 250 rows; the reference varies"]
    assert found.sentence == "This policy would have alarmed 1 time in the last 1 days (3 looks, 6 windows of labels)."


def test_a_preview_changes_nothing(lived: World) -> None:
    before = list(lived.kinds())
    preview(lived.ports, lived.caller(), CHURN, {**POLICY, "window": "7 days"})
    assert list(lived.kinds()) == before


def test_a_wrong_policy_and_a_deployment_that_is_not_there_are_told(lived: World) -> None:
    with pytest.raises(InvalidInput, match="'tolerence' is not a monitor setting"):
        preview(lived.ports, lived.caller(), CHURN, {"tolerence": 0.1})
    with pytest.raises(NotFound):
        preview(lived.ports, lived.caller(MALLORY), CHURN, POLICY)
