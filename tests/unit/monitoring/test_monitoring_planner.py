"""What a label budget can find."""

import numpy as np
import pytest

from custody.core.errors import InvalidInput
from custody.monitoring.betting import Betting
from custody.monitoring.planner import Budget, Plan, budget_of
from custody.monitoring.ratios import terms_of
from custody.monitoring.rounds import round_of
from custody.monitoring.sampling import betting_design, draw, uniform_design

ODDS = np.random.default_rng(41).normal(-1.6, 1.6, 3000)
Q = 1 / (1 + np.exp(-ODDS))
H = Q >= 0.5


def budget(metric: str, limit: float) -> Budget:
    return budget_of(Q, H, betting_design(Q, H, metric, limit), metric=metric, limit=limit)


def test_a_plan_reads_as_a_sentence() -> None:
    assert Plan("accuracy", 0.79, 50, 8, 0.0563).sentence == (
        "50 labels a day: a drop 5.6 points past the tolerance in about 8 days"
    )
    assert Plan("f1", 0.5, 1, 1, None).sentence == "1 label a day: no drop of f1 in about 1 day; more labels are needed"


@pytest.mark.parametrize(("metric", "limit"), [("accuracy", 0.79), ("precision", 0.66), ("recall", 0.42), ("f1", 0.51)])
def test_more_labels_find_smaller_drops_and_the_two_questions_agree(metric: str, limit: float) -> None:
    one = budget(metric, limit)
    drops = [one.finds(labels) for labels in (100, 400, 1600)]
    assert all(drops)
    sizes = [drop for drop in drops if drop]
    assert sizes == sorted(sizes, reverse=True)
    assert one.labels(sizes[1]) == pytest.approx(400, rel=0.02)
    assert one.plan(50, 8).drop == pytest.approx(sizes[1])


def test_the_imagined_world_has_the_metric_it_should() -> None:
    one = budget("f1", 0.5)
    fu, fv = terms_of("f1", H).expected(one.fallen(0.4))
    assert fu.sum() / fv.sum() == pytest.approx(0.4)
    assert one.growth(0.1).max() > 0 > budget("f1", 0.3).growth(-0.2).max()  # a metric above its limit loses every bet


def test_a_simulated_fall_is_found_after_about_as_many_labels_as_planned() -> None:
    one, rng = budget("recall", 0.42), np.random.default_rng(42)
    design = betting_design(Q, H, "recall", 0.42)
    drop = one.finds(300)
    assert drop is not None
    chances, found = one.fallen(0.42 - drop), []
    for _ in range(40):
        actual = rng.random(len(Q)) < chances
        sample = draw(design, 300, rng)
        bet = Betting("recall", 0.42, 0.05).update_drawn(round_of("recall", Q, H, design, sample), actual[sample.rows])
        found.append(bet.alarm)
    assert 0.3 <= np.mean(found) <= 0.8  # about half, by what "about" means


def test_few_labels_find_nothing_and_say_so() -> None:
    assert budget("precision", 0.66).finds(3) is None
    assert budget("precision", 0.66).plan(3, 1).drop is None


def test_what_cannot_be_planned_is_refused() -> None:
    one = budget("accuracy", 0.79)
    with pytest.raises(InvalidInput, match="at least one label a day"):
        one.plan(0, 8)
    with pytest.raises(InvalidInput, match="between 0 and the limit"):
        one.labels(0.9)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        budget_of(Q, H, uniform_design(Q, H), metric="accuracy", limit=1.0)
    none = np.zeros(len(Q), dtype=bool)
    with pytest.raises(InvalidInput, match="says anything about precision"):
        budget_of(Q, none, uniform_design(Q, none), metric="precision", limit=0.5)
