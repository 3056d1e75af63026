"""A canary beside a live version: labels of both decide, and nothing else."""

from datetime import timedelta

import pytest
from lifecycle_world import CHURN, CHURN_1, World

from custody.core.digest import Json
from custody.core.manifest import Mode
from custody.core.prediction import PredictionId, unique_at
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, release
from custody.lifecycle.watch import Seen, watch
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

LIVE, CANARY = 0.4, 0.5
MONITOR: dict[str, Json] = {
    "metric": "accuracy",
    "window": "1000 labels",
    "min_labels": 15,
    "canary_min_labels": 15,
    "on_degradation": "retrain",
}


def answers(world: World, name: str, threshold: float, labels: str, count: int) -> None:
    """Seal answers of one arm, all of them Yes, and say what was true."""
    world.now += timedelta(minutes=1)
    start = int(world.now.timestamp() * 1000)
    mode = CaptureMode.LIVE if threshold == LIVE else CaptureMode.CANARY
    ids = [PredictionId(CHURN, 2, CHURN_1, unique_at(start + i, f"{name:>7}{i:03}".encode())) for i in range(count)]
    lines = [
        line_of(Capture(one, start + i, None, None, mode, None, threshold, {"age": [0.5]}, [0.7], [True], 90))
        for i, one in enumerate(ids)
    ]
    world.put(name, write_batch(b"".join(lines)))
    assert world.seal() == count
    record(world.ports, world.caller(), CHURN, [(str(one), labels) for one in ids])


@pytest.fixture
def staged(world: World) -> World:
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, MONITOR)
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, CANARY, Mode.CANARY, 0.5))
    return world


def action(world: World) -> str:
    watch(world.ports, world.caller().now, Seen())
    head = world.ports.stores.of(CHURN.tenant).deployments.head(CHURN)
    assert head is not None
    return head.action


def test_without_labels_of_the_live_version_a_canary_stays_a_canary(staged: World) -> None:
    answers(staged, "new", CANARY, "No", 40)
    answers(staged, "old", LIVE, "No", 1)
    assert action(staged) == "canary"


def test_a_canary_that_is_worse_is_taken_away(staged: World) -> None:
    answers(staged, "new", CANARY, "No", 20)
    answers(staged, "old", LIVE, "Yes", 20)
    assert action(staged) == "reject"


def test_a_canary_that_is_not_worse_is_promoted(staged: World) -> None:
    answers(staged, "new", CANARY, "Yes", 20)
    answers(staged, "old", LIVE, "Yes", 20)
    assert action(staged) == "promote"


def test_a_canary_below_its_minimum_of_labels_waits(staged: World) -> None:
    answers(staged, "new", CANARY, "No", 14)
    answers(staged, "old", LIVE, "Yes", 40)
    assert action(staged) == "canary"
