"""Labels that come after a window was judged, and drift that opens an alert."""

from datetime import timedelta

from lifecycle_world import CHURN, World

from custody.core.digest import Json
from custody.core.prediction import PredictionId, unique_at
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.record import record
from custody.lifecycle.watch import Seen, evaluate_now, watch
from custody.monitoring.alert import AlertKind
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

MONITOR: dict[str, Json] = {"metric": "accuracy", "window": "40 labels", "min_labels": 10, "notice": 0.02, "alarm": 0.05}


def answered(world: World, name: str, count: int, *, age: float = 0.5) -> list[str]:
    """Ship answers that happened one after the other, and seal them."""
    world.now += timedelta(minutes=1)
    start = int(world.now.timestamp() * 1000)
    lines, ids = [], []
    for i in range(count):
        at = start + i
        one = PredictionId(
            CHURN,
            1,
            world.ports.stores.of(CHURN.tenant).deployments.heads()[0].service.live.model,
            unique_at(at, f"{name:>7}{i:03}".encode()),
        )
        lines.append(line_of(Capture(one, at, None, None, CaptureMode.LIVE, None, 0.4, {"age": [age]}, [0.7], [True], 90)))
        ids.append(str(one))
    world.put(name, write_batch(b"".join(lines)))
    assert world.seal() == count
    return ids


def test_a_late_label_counts_for_the_window_of_its_prediction_and_the_verdict_stands(world: World) -> None:
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, MONITOR)
    monitors = world.ports.stores.of(CHURN.tenant).monitors
    ids = answered(world, "first", 50)
    record(world.ports, world.caller(), CHURN, [(one, "Yes") for one in ids[10:]])
    seen = Seen()
    assert watch(world.ports, world.caller().now, seen) == 1
    (once,) = monitors.evaluations(CHURN)
    assert (once.labelled, once.predictions) == (40, 50)
    assert once.metric("accuracy").value == 1.0  # type: ignore[union-attr]

    record(world.ports, world.caller(), CHURN, [(one, "No") for one in ids[:10]])
    assert watch(world.ports, world.caller().now, seen) == 0  # nothing is judged again
    (better,) = monitors.evaluations(CHURN)
    assert (better.id, better.start, better.end) == (once.id, once.start, once.end)
    assert (better.labelled, better.metric("accuracy").value) == (50, 0.8)  # type: ignore[union-attr]
    assert world.kinds().count("evaluation.done") == 1
    assert world.kinds().count("evaluation.revised") == 1

    evaluate_now(world.ports, world.caller(), CHURN)  # asking again changes nothing
    assert world.kinds().count("evaluation.revised") == 1


def test_a_drift_alarm_opens_one_alert_and_names_the_column(world: World) -> None:
    world.live()
    for name in ("one", "two", "three"):
        answered(world, name, 200, age=1.5)
    monitors = world.ports.stores.of(CHURN.tenant).monitors
    opened = [alert for alert in monitors.open_alerts(CHURN) if alert.kind is AlertKind.DRIFT]
    assert len(opened) == 1
    assert "age" in opened[0].check.sentence
    assert sorted(alert.check.name for alert in monitors.open_alerts(CHURN)) == ["constant", "drift:training"]
    assert world.kinds().count("alert.raised") == 2
