"""Betting on labels of predictions that were drawn by known chances."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.monitoring.betting import RATIOS, STAKES, Betting
from custody.monitoring.ratios import terms_of
from custody.monitoring.rounds import Round, parts_of, round_of
from custody.monitoring.sampling import Design, betting_design, draw, shared_design, uniform_design

Floats = NDArray[np.float64]
SEED, LIMIT = st.integers(0, 2**32), st.floats(0.05, 0.95)
RATIO = st.sampled_from(RATIOS)
FEW = settings(max_examples=15)


def window(rng: np.random.Generator, n: int = 500) -> tuple[Floats, NDArray[np.bool_], Floats]:
    """Return scores, decisions and labels of a calibrated model."""
    odds = rng.normal(-1.6, 1.6, n)
    scores = 1 / (1 + np.exp(-odds))
    return scores, scores >= 0.5, (rng.random(n) < scores).astype(float)


def truth(metric: str, decided: NDArray[np.bool_], actual: Floats) -> float:
    u, v = terms_of(metric, decided).seen(actual == 1)
    return float(u.sum() / v.sum())


def designed(kind: str, q: Floats, h: NDArray[np.bool_], metric: str, limit: float) -> Design:
    return betting_design(q, h, metric, limit) if kind == "betting" else shared_design(q, h)


@given(SEED, RATIO, st.sampled_from(["betting", "shared"]))
@FEW
def test_at_the_limit_each_bet_has_mean_one_over_the_draw(seed: int, metric: str, kind: str) -> None:
    q, h, y = window(np.random.default_rng(seed), 200)
    limit = truth(metric, h, y)
    design = designed(kind, q, h, metric, limit)
    no, yes = parts_of(metric, q, h, design)
    every = np.concatenate([no, yes]) @ (1, -limit)
    z = np.where(y == 1, yes @ (1, -limit), no @ (1, -limit)) / every.max()
    assert design.chances @ (1 - STAKES * z[:, None]) == pytest.approx(np.ones(len(STAKES)))
    assert (1 - STAKES * z[:, None] > 0).all()


@given(SEED, RATIO, LIMIT)
@FEW
def test_the_largest_and_smallest_z_are_those_of_all_predictions(seed: int, metric: str, m: float) -> None:
    rng = np.random.default_rng(seed)
    q, h, _ = window(rng, 60)
    design = shared_design(q, h)
    drawn = round_of(metric, q, h, design, draw(design, 10, rng))
    every = np.concatenate(parts_of(metric, q, h, design)) @ (1, -m)
    assert drawn.largest(m) == pytest.approx(every.max(), abs=1e-9)
    assert drawn.smallest(m) == pytest.approx(every.min(), abs=1e-9)
    grid = np.array([m, 0.0, 1.0])
    assert drawn.largest(grid)[0] == pytest.approx(drawn.largest(m))


@pytest.mark.parametrize("kind", ["betting", "shared"])
@pytest.mark.parametrize("metric", RATIOS)
def test_at_the_limit_the_evidence_has_mean_at_most_one_and_seldom_alarms(metric: str, kind: str) -> None:
    rng, evidence, alarms, runs = np.random.default_rng(19), [], 0, 60
    for _ in range(runs):
        q, h, y = window(rng)
        limit = truth(metric, h, y)
        design = designed(kind, q, h, metric, limit)
        sample = draw(design, 300, rng)
        bet = Betting(metric, limit, 0.05).update_drawn(round_of(metric, q, h, design, sample), y[sample.rows])
        evidence.append(bet.e)
        alarms += bet.alarm
    assert np.mean(evidence) <= 1 + 4 * np.std(evidence) / np.sqrt(runs)
    assert alarms / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("metric", RATIOS)
def test_a_metric_far_below_the_limit_is_found_with_fewer_labels_than_by_random_draws(metric: str) -> None:
    rng, found, alarms = np.random.default_rng(20), {"betting": 0.0, "uniform": 0.0}, 0
    for _ in range(10):
        q, h, y = window(rng, 2000)
        limit = min(truth(metric, h, y) + 0.15, 0.99)
        for kind in found:
            design = betting_design(q, h, metric, limit) if kind == "betting" else uniform_design(q, h)
            sample = draw(design, 600, rng)
            bet = Betting(metric, limit, 0.05).update_drawn(round_of(metric, q, h, design, sample), y[sample.rows])
            alarms += bet.alarm and kind == "betting"
            found[kind] += bet.log_e
    assert alarms >= 8
    assert found["betting"] > found["uniform"] * 0.95  # accuracy hardly gains; precision several times


@given(SEED, RATIO, st.integers(0, 30))
@FEW
def test_labels_may_come_one_by_one_and_their_order_changes_only_the_peak(seed: int, metric: str, cut: int) -> None:
    rng = np.random.default_rng(seed)
    q, h, y = window(rng, 100)
    design = shared_design(q, h)
    sample = draw(design, 30, rng)
    drawn, labels = round_of(metric, q, h, design, sample), y[sample.rows]
    start = Betting(metric, 0.5, 0.05)
    whole = start.update_drawn(drawn, labels)
    parts = start.update_drawn(drawn.between(0, cut), labels[:cut]).update_drawn(drawn.between(cut, 30), labels[cut:])
    assert parts.logs == pytest.approx(whole.logs)
    assert parts.labels == 30
    assert parts.peak == pytest.approx(whole.peak)
    order = rng.permutation(30)
    shuffled = Round(metric, drawn.no[order], drawn.yes[order], drawn.top, drawn.bottom)
    assert start.update_drawn(shuffled, labels[order]).logs == pytest.approx(whole.logs)


def test_windows_continue_as_one_product() -> None:
    rng, start, total = np.random.default_rng(21), Betting("f1", 0.5, 0.05), np.zeros(len(STAKES))
    bet = start
    for _ in range(4):
        q, h, y = window(rng, 80)
        design = betting_design(q, h, "f1", 0.5)
        sample = draw(design, 10, rng)
        drawn = round_of("f1", q, h, design, sample)
        bet = bet.update_drawn(drawn, y[sample.rows])
        total += start.update_drawn(drawn, y[sample.rows]).logs
    assert bet.logs == pytest.approx(total)
    assert bet.labels == 40


@given(SEED, RATIO, LIMIT)
@FEW
def test_a_missing_label_never_adds_evidence(seed: int, metric: str, limit: float) -> None:
    rng = np.random.default_rng(seed)
    q, h, y = window(rng, 100)
    design = betting_design(q, h, metric, limit)
    sample = draw(design, 20, rng)
    drawn, start = round_of(metric, q, h, design, sample), Betting(metric, limit, 0.05)
    missing = np.where(rng.random(20) < 0.4, np.nan, y[sample.rows])
    known = start.update_drawn(drawn, y[sample.rows])
    fewer = start.update_drawn(drawn, missing)
    assert (np.array(fewer.logs) <= np.array(known.logs) + 1e-9).all()
    assert fewer.peak <= known.peak + 1e-9


def test_a_census_is_the_stream_of_all_labels() -> None:
    q, h, y = window(np.random.default_rng(22), 90)
    design = shared_design(q, h)
    sample = draw(design, 90, np.random.default_rng(0))
    for metric in RATIOS:
        drawn = Betting(metric, 0.6, 0.05).update_drawn(round_of(metric, q, h, design, sample), y)
        assert drawn.logs == pytest.approx(Betting(metric, 0.6, 0.05).update(h, y).logs)


def test_a_window_without_predicted_positive_says_nothing_about_precision() -> None:
    q, h = np.full(40, 0.2), np.zeros(40, dtype=bool)
    design = betting_design(q, h, "precision", 0.7)
    drawn = round_of("precision", q, h, design, draw(design, 10, np.random.default_rng(1)))
    bet = Betting("precision", 0.7, 0.05).update_drawn(drawn, np.ones(10))
    assert bet.e == pytest.approx(1)
    assert bet.labels == 10


@given(SEED, RATIO)
@FEW
def test_a_round_and_a_bet_survive_being_stored(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    q, h, y = window(rng, 50)
    design = shared_design(q, h)
    sample = draw(design, 12, rng)
    drawn = round_of(metric, q, h, design, sample)
    read = Round.from_json(json.loads(json.dumps(drawn.to_json())))
    bet = Betting(metric, 0.5, 0.05).update_drawn(read, y[sample.rows])
    assert bet == Betting(metric, 0.5, 0.05).update_drawn(drawn, y[sample.rows])
    assert msgspec.json.decode(msgspec.json.encode(bet), type=Betting) == bet


@pytest.mark.parametrize("change", [{"version": 2}, {"no": []}, {"no": [[1]]}, {"top": []}, {"yes": "x"}, {"bottom": None}])
def test_a_broken_round_is_refused(change: dict[str, Json]) -> None:
    good: dict[str, Json] = {"version": 1, "metric": "f1", "no": [[0, 1]], "yes": [[1, 1]], "top": [[1, 1]], "bottom": [[0, 1]]}
    assert Round.from_json(good).metric == "f1"
    with pytest.raises(InvalidInput, match="stored round"):
        Round.from_json(good | change)


def test_what_does_not_belong_together_is_refused() -> None:
    q, h, y = window(np.random.default_rng(23), 50)
    design = shared_design(q, h)
    sample = draw(design, 5, np.random.default_rng(1))
    drawn = round_of("recall", q, h, design, sample)
    with pytest.raises(InvalidInput, match="cannot use a round of recall"):
        Betting("f1", 0.5, 0.05).update_drawn(drawn, y[sample.rows])
    for labels in (y[sample.rows][1:], y[sample.rows] + 1):
        with pytest.raises(InvalidInput, match="needs as many labels"):
            Betting("recall", 0.5, 0.05).update_drawn(drawn, labels)
    with pytest.raises(InvalidInput, match="design is of 50 predictions, the window of 49"):
        round_of("recall", q[1:], h[1:], design, sample)
    other = shared_design(q[1:], h[1:])
    with pytest.raises(InvalidInput, match="do not belong together"):
        round_of("recall", q[1:], h[1:], other, sample)
