"""Which predictions to ask labels for."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.monitoring.ratios import terms_of
from custody.monitoring.sampling import DESIGNED, Design, Sample, betting_design, design_of, draw, shared_design, uniform_design

SCORE = st.sampled_from([0.0, 1.0, 1e-12, 0.5]) | st.floats(0, 1)
SCORES = st.lists(SCORE, min_size=1, max_size=50)
SEED = st.integers(0, 2**32)


def scores_of(seed: int, n: int = 400) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.random.default_rng(seed).normal(-1.6, 1.6, n)))


def test_the_shared_design_is_the_published_one() -> None:
    q = scores_of(1)
    h = q >= 0.5
    total = np.zeros(len(q))
    for metric in DESIGNED:  # written out again, as the specification says it
        t = terms_of(metric, h)
        m = (q * t.u1 + (1 - q) * t.u0).mean() / (q * t.v1 + (1 - q) * t.v0).mean()
        g = q * (1 - q) * ((t.u1 - m * t.v1) - (t.u0 - m * t.v0)) ** 2
        total += g / np.sqrt(g).mean() ** 2
    expected = 0.8 * np.sqrt(total) / np.sqrt(total).sum() + 0.2 / len(q)
    assert shared_design(q, h).chances == pytest.approx(expected)


def test_the_betting_design_is_half_uniform() -> None:
    q = scores_of(2)
    h = q >= 0.5
    r = np.sqrt(q * (1 - q)) * np.abs(np.where(h, 1 - 0.4, -0.4))  # recall: (1 - m) for a decided yes, - m else
    assert betting_design(q, h, "recall", 0.4).chances == pytest.approx(0.5 * r / r.sum() + 0.5 / len(q))


@given(SCORES, st.floats(0, 1), st.sampled_from([0.2, 0.5, 1.0]))
def test_chances_are_a_law_and_weights_are_bounded(scores: list[float], threshold: float, uniform: float) -> None:
    decided = np.array(scores) >= threshold
    designs = [shared_design(scores, decided, uniform=uniform), betting_design(scores, decided, "f1", 0.5, uniform=uniform)]
    for design in designs:
        assert np.isfinite(design.chances).all()
        assert design.chances.sum() == pytest.approx(1)
        assert (1 / (design.size * design.chances)).max() <= 1 / uniform + 1e-9


@given(SCORES, SEED)
def test_weighted_draws_are_unbiased_for_anything(scores: list[float], seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=len(scores))
    chances = shared_design(scores, np.array(scores) > 0.5).chances
    assert float(chances @ (values / (len(scores) * chances))) == pytest.approx(values.mean(), abs=1e-9)


def test_draws_follow_their_chances_and_the_reserve_ignores_them() -> None:
    q = scores_of(3, 200)
    design = shared_design(q, q >= 0.5)
    rng = np.random.default_rng(4)
    samples = [draw(design, 199, rng) for _ in range(500)]
    rows = np.concatenate([sample.rows for sample in samples])
    reserve = np.concatenate([sample.reserve for sample in samples])
    for drawn, chances in ((rows, design.chances), (rows[reserve], np.full(200, 1 / 200))):
        expected = len(drawn) * chances
        squares = float(((np.bincount(drawn, minlength=200) - expected) ** 2 / expected).sum())
        assert squares == pytest.approx(199, abs=5 * np.sqrt(2 * 199))  # chi-square, 199 degrees of freedom
    assert reserve.mean() == pytest.approx(0.2, abs=0.01)


def test_the_weighted_mean_of_draws_hits_the_mean_of_the_window() -> None:
    q = scores_of(5, 1000)
    wrong = np.random.default_rng(6).random(1000) < 0.1  # nothing to do with the scores
    design, rng = shared_design(q, q >= 0.5), np.random.default_rng(7)
    means = []
    for _ in range(300):
        sample = draw(design, 100, rng)
        means.append(float((sample.weights * wrong[sample.rows]).mean()))
    assert np.mean(means) == pytest.approx(wrong.mean(), abs=4 * np.std(means) / np.sqrt(300))


@given(SCORES.filter(lambda scores: len(scores) > 2), SEED)
def test_a_seed_draws_the_same_rows_again_and_chances_come_with_them(scores: list[float], seed: int) -> None:
    design = shared_design(scores, np.array(scores) > 0.5)
    first, second = (draw(design, 2, np.random.default_rng(seed)) for _ in range(2))
    assert first.rows.tolist() == second.rows.tolist()
    assert first.chances.tolist() == design.chances[first.rows].tolist()
    assert first.weights == pytest.approx(1 / (len(scores) * first.chances))


@given(st.integers(1, 20), st.integers(0, 20), SEED)
def test_asking_for_no_fewer_labels_than_predictions_takes_each_once(size: int, more: int, seed: int) -> None:
    sample = draw(uniform_design(np.full(size, 0.5), np.ones(size)), size + more, np.random.default_rng(seed))
    assert sample.census
    assert sample.rows.tolist() == list(range(size))
    assert sample.weights == pytest.approx(np.ones(size))


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=30))
def test_scores_without_doubt_draw_uniformly(scores: list[float]) -> None:
    design = shared_design(scores, np.array(scores) > 0.5)
    assert design.chances == pytest.approx(np.full(len(scores), 1 / len(scores)))
    assert design.uniform == 1


def test_a_metric_without_predicted_positive_asks_for_nothing() -> None:
    q = np.array([0.1, 0.2, 0.3])
    none = np.zeros(3, dtype=bool)
    only = shared_design(q, none, metrics=["precision"])
    assert only.chances == pytest.approx(np.full(3, 1 / 3))
    both = shared_design(q, none, metrics=["precision", "accuracy"])
    assert both.chances == pytest.approx(shared_design(q, none, metrics=["accuracy"]).chances)


def test_a_row_drawn_twice_is_asked_once_and_counts_twice() -> None:
    sample = Sample(5, np.array([3, 1, 3]), np.array([0.2, 0.3, 0.2]), np.zeros(3, dtype=bool))
    assert sample.asked.tolist() == [3, 1]
    assert sample.labels({3: True, 1: False}).tolist() == [1, 0, 1]
    assert np.isnan(sample.labels({1: True})).tolist() == [True, False, True]


def test_a_label_that_nobody_asked_for_is_refused() -> None:
    sample = draw(design_of(np.ones(50)), 5, np.random.default_rng(1))
    stranger = next(row for row in range(50) if row not in sample.rows)
    with pytest.raises(InvalidInput, match=f"such as row {stranger}"):
        sample.labels({stranger: True})


@given(SCORES, st.integers(1, 60), SEED)
def test_a_sample_survives_being_stored(scores: list[float], labels: int, seed: int) -> None:
    sample = draw(shared_design(scores, np.array(scores) > 0.5), labels, np.random.default_rng(seed))
    read = Sample.from_json(json.loads(json.dumps(sample.to_json())))
    assert (read.size, read.census) == (sample.size, sample.census)
    for name in ("rows", "chances", "reserve"):
        assert getattr(read, name).tolist() == getattr(sample, name).tolist()
    for name in ("rows", "chances", "shares"):
        assert getattr(read.cells, name).tolist() == getattr(sample.cells, name).tolist()


@given(SCORES, st.floats(0, 1))
def test_few_rows_stand_for_all_that_could_be_drawn(scores: list[float], threshold: float) -> None:
    decided = np.array(scores) >= threshold
    design = shared_design(scores, decided)
    cells = design.cells
    assert len(cells.rows) == 16 * len(set(decided.tolist()))
    assert cells.chances.tolist() == design.chances[cells.rows].tolist()
    for side in (False, True):  # either decision keeps its share of the draws
        assert cells.shares[decided[cells.rows] == side].sum() == pytest.approx(design.chances[decided == side].sum())
    assert np.diff(np.array(scores)[cells.rows[:16]]).min() >= 0


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"rows": [9]},
        {"rows": [0, 1]},
        {"chances": [0.0]},
        {"chances": ["x"]},
        {"size": None},
        {"reserve": [[True]]},
        {"cells": []},
        {"cells": {"rows": [0], "chances": [0.5]}},
    ],
)
def test_a_broken_sample_is_refused(change: dict[str, Json]) -> None:
    good: dict[str, Json] = {
        "version": 1, "size": 5, "census": False, "rows": [4], "chances": [0.2], "reserve": [True],
        "cells": {"rows": [], "chances": [], "shares": []},
    }  # fmt: skip
    assert Sample.from_json(good).rows.tolist() == [4]
    with pytest.raises(InvalidInput, match="stored sample"):
        Sample.from_json(good | change)


def test_what_cannot_be_drawn_from_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no prediction"):
        design_of([])
    with pytest.raises(InvalidInput, match="at least one row"):
        uniform_design([], [])
    with pytest.raises(InvalidInput, match="negative or not a finite"):
        design_of([1.0, float("nan")])
    with pytest.raises(InvalidInput, match="uniform share"):
        design_of([1.0], uniform=0)
    with pytest.raises(InvalidInput, match="0 labels"):
        draw(Design(np.ones(1), 1.0), 0, np.random.default_rng(0))
