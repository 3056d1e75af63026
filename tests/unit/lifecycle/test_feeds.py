"""Predictions that stop coming open an alert, and end it when they come again."""

from datetime import datetime, timedelta

from lifecycle_world import ACME, CHURN, World
from test_late_labels import answered

from custody.core.refs import DeploymentKey
from custody.lifecycle.alerts import explain_alert
from custody.lifecycle.feeds import watch_feeds
from custody.monitoring.alert import AlertState


def every_hour(world: World, hours: int) -> None:
    for hour in range(hours):
        world.now += timedelta(hours=1)
        answered(world, f"h{hour}", 5)


def test_a_feed_that_falls_silent_is_told_once_and_forgiven_when_it_speaks(world: World) -> None:
    world.live()
    every_hour(world, 24)
    asked: dict[DeploymentKey, datetime] = {}
    monitors = world.ports.stores.of(ACME).monitors
    assert watch_feeds(world.ports, world.now + timedelta(minutes=30), asked) == 1
    assert monitors.open_alerts(CHURN) == []

    late = world.now + timedelta(hours=5)
    watch_feeds(world.ports, late, asked)
    watch_feeds(world.ports, late + timedelta(minutes=2), asked)
    (alert,) = [one for one in monitors.open_alerts(CHURN) if one.check.name == "stale:predictions"]
    assert alert.check.sentence.startswith("no predictions for 5.0")
    assert explain_alert(world.ports, world.caller(), CHURN, alert.id).agrees

    world.now = late + timedelta(hours=1)
    answered(world, "again", 5)
    watch_feeds(world.ports, world.now + timedelta(minutes=5), asked)
    ended = monitors.alert(CHURN, alert.id)
    assert ended.state is AlertState.RESOLVED
    assert world.kinds()[-1] == "alert.resolved"


def test_nobody_is_asked_twice_within_a_minute(world: World) -> None:
    world.live()
    asked: dict[DeploymentKey, datetime] = {}
    assert watch_feeds(world.ports, world.now, asked) == 1
    assert watch_feeds(world.ports, world.now + timedelta(seconds=30), asked) == 0


def test_a_score_that_stopped_changing_is_told(world: World) -> None:
    world.live()
    answered(world, "same", 220)  # every answer has the same score
    (alert,) = [one for one in world.ports.stores.of(ACME).monitors.open_alerts(CHURN) if one.check.name == "constant"]
    assert "had one value in all of 220 rows" in alert.check.sentence
    assert explain_alert(world.ports, world.caller(), CHURN, alert.id).agrees
