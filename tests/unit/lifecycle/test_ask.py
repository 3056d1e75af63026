"""People are asked about few answers, drawn with known chances, and these tell how right all answers are."""

from datetime import timedelta

import numpy as np
import pytest
from lifecycle_world import ACME, CHURN, CHURN_1, MALLORY, World

from custody.core.errors import Conflict, InvalidInput, NotFound
from custody.core.evidence import Outcome
from custody.core.prediction import PredictionId, unique_at
from custody.lifecycle.alerts import explain_alert
from custody.lifecycle.ask import ask, questions
from custody.lifecycle.bets import last_bet
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.record import record
from custody.lifecycle.watch import Seen, watch
from custody.monitoring.alert import AlertKind
from custody.monitoring.evaluation import Evaluation
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch


def answer(world: World, name: str, count: int, seed: int = 3) -> dict[str, str]:
    """Let the deployment answer and seal it; return what is true about each answer."""
    world.now += timedelta(minutes=1)
    start, rng = int(world.now.timestamp() * 1000), np.random.default_rng(seed)
    scores = rng.beta(1, 2, count)
    truth, lines = {}, []
    for i, score in enumerate(scores):
        one = PredictionId(CHURN, 1, CHURN_1, unique_at(start + i, f"{name:>6}{i:04}".encode()))
        inputs = {"age": [float(i % 7)]}
        lines.append(
            line_of(Capture(one, start + i, None, None, CaptureMode.LIVE, None, 0.4, inputs, [score], [bool(score >= 0.4)], 90))
        )
        truth[str(one)] = "Yes" if rng.random() < score else "No"
    world.put(name, write_batch(b"".join(lines)))
    assert world.seal() == count
    return truth


def evaluations(world: World) -> list[Evaluation]:
    watch(world.ports, world.caller().now, Seen())
    return [*world.ports.stores.of(ACME).monitors.evaluations(CHURN)]


def test_few_labels_tell_how_right_all_answers_are(world: World) -> None:
    world.live()
    truth = answer(world, "jan", 900)
    made, seq = ask(world.ports, world.caller(), CHURN, 150)
    assert (made.population, made.asked) == (900, 150)
    assert world.kinds()[(seq or 0) - 1] == "labels.asked"
    tasks = questions(world.ports, world.caller(), CHURN, limit=1000)
    assert len(tasks) == made.tasks <= 150
    record(world.ports, world.caller(), CHURN, [(one.prediction, truth[one.prediction]) for one in tasks], source="annotator")
    assert questions(world.ports, world.caller(), CHURN) == []

    (found,) = evaluations(world)
    assert (found.predictions, found.labelled, found.asked, found.coverage) == (900, made.tasks, made.tasks, 1.0)
    right = np.mean([(truth[name] == "Yes") == decided for name, decided in decisions(world).items()])
    accuracy = found.metric("accuracy")
    assert accuracy is not None
    assert accuracy.low <= right <= accuracy.high
    assert 0.02 < accuracy.high - accuracy.low < 0.2


def decisions(world: World) -> dict[str, bool]:
    from custody.lifecycle.captured import rows_between

    rows = rows_between(world.ports, CHURN)
    assert rows is not None
    return dict(zip(rows.column("prediction").to_pylist(), rows.column("decision").to_pylist(), strict=True))


def test_what_the_model_answered_is_not_shown_to_who_labels(world: World) -> None:
    world.live()
    answer(world, "jan", 60)
    ask(world.ports, world.caller(), CHURN, 10)
    (first, *_) = questions(world.ports, world.caller(), CHURN)
    assert set(first.inputs) == {"age"}
    assert not hasattr(first, "score")


def test_every_answer_belongs_to_one_draw_only(world: World) -> None:
    world.live()
    answer(world, "jan", 60)
    ask(world.ports, world.caller(), CHURN, 10)
    with pytest.raises(Conflict, match="nothing in acme/prod/churn since the last draw"):
        ask(world.ports, world.caller(), CHURN, 10)
    answer(world, "feb", 40)
    second, _ = ask(world.ports, world.caller(), CHURN, 100)
    assert (second.population, second.tasks) == (40, 40)  # few answers are all asked about


def test_an_evaluation_follows_the_labels_as_they_come_and_windows_do_not_count_them(world: World) -> None:
    world.live()
    truth = answer(world, "jan", 700)
    ask(world.ports, world.caller(), CHURN, 600)
    tasks = questions(world.ports, world.caller(), CHURN, limit=1000)
    half = len(tasks) // 2
    for part in (tasks[:half], tasks[half:]):
        pairs = [(one.prediction, truth[one.prediction]) for one in part]
        record(world.ports, world.caller(), CHURN, pairs, source="annotator")
        assert len(evaluations(world)) == 1
    assert evaluations(world)[0].labelled == len(tasks)
    assert [kind for kind in world.kinds() if kind.startswith("evaluation")] == ["evaluation.done", "evaluation.revised"]


def test_a_dry_run_draws_nothing_and_bad_numbers_are_told(world: World) -> None:
    world.live()
    answer(world, "jan", 60)
    made, seq = ask(world.ports, world.caller(), CHURN, 10, dry_run=True)
    assert (made.population, seq) == (60, None)
    assert questions(world.ports, world.caller(), CHURN) == []
    for wrong in (0, 10_001):
        with pytest.raises(InvalidInput, match="cannot be asked for at once"):
            ask(world.ports, world.caller(), CHURN, wrong)


def test_another_tenant_can_neither_ask_nor_look(world: World) -> None:
    world.live()
    answer(world, "jan", 60)
    with pytest.raises(NotFound):
        ask(world.ports, world.caller(MALLORY), CHURN, 10)
    with pytest.raises(NotFound):
        questions(world.ports, world.caller(MALLORY), CHURN)


def test_a_loss_is_proven_by_few_drawn_labels_and_can_be_proven_again(world: World) -> None:
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, {"metric": "accuracy", "tolerance": 0.05})
    truth = answer(world, "jan", 900)
    made, _ = ask(world.ports, world.caller(), CHURN, 200)
    assert "labels of every such window find a drop of accuracy" in made.finds
    wrong = {"Yes": "No", "No": "Yes"}
    pairs = [(one.prediction, wrong[truth[one.prediction]]) for one in questions(world.ports, world.caller(), CHURN, limit=1000)]
    record(world.ports, world.caller(), CHURN, pairs[:3], source="annotator")
    evaluations(world)
    head = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    bet = last_bet(world.ports.stores.of(ACME).monitors, head)
    assert bet is not None
    assert bet.outcome is Outcome.PASS  # three labels prove nothing

    record(world.ports, world.caller(), CHURN, pairs, source="annotator")
    evaluations(world)
    (alert,) = [one for one in world.ports.stores.of(ACME).monitors.open_alerts(CHURN) if one.kind is AlertKind.PERFORMANCE]
    assert alert.check.name == "bet:accuracy"
    assert explain_alert(world.ports, world.caller(), CHURN, alert.id).agrees


def test_labels_that_bear_the_model_out_raise_nothing(world: World) -> None:
    world.live()
    set_monitor(world.ports, world.caller(), CHURN, {"metric": "recall", "tolerance": 0.3})
    truth = answer(world, "jan", 900)
    ask(world.ports, world.caller(), CHURN, 200)
    tasks = questions(world.ports, world.caller(), CHURN, limit=1000)
    record(world.ports, world.caller(), CHURN, [(one.prediction, truth[one.prediction]) for one in tasks], source="annotator")
    evaluations(world)
    head = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    bet = last_bet(world.ports.stores.of(ACME).monitors, head)
    assert bet is not None
    assert bet.sequence is not None
    assert bet.sequence.low <= bet.sequence.value <= bet.sequence.high  # held inside: a value of few labels may lie beyond
    assert bet.sequence.low < bet.sequence.high
    assert not [one for one in world.ports.stores.of(ACME).monitors.open_alerts(CHURN) if one.kind is AlertKind.PERFORMANCE]
