"""An interval that may be read after every label."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.monitoring.betting import RATIOS
from custody.monitoring.ratios import terms_of
from custody.monitoring.rounds import Round, round_of
from custody.monitoring.sampling import betting_design, draw, shared_design
from custody.monitoring.sequence import GRID, Sequence, sequence_of

Floats = NDArray[np.float64]
SEED = st.integers(0, 2**32)


def drawn_from(rng: np.random.Generator, metric: str, labels: int, n: int = 400, lift: float = 0) -> tuple[Round, Floats, float]:
    """Return a round of a calibrated model's window, its labels, and the window's metric."""
    odds = rng.normal(-1.0, 1.6, n)
    q = 1 / (1 + np.exp(-odds))
    h, y = q >= 0.5, (rng.random(n) < 1 / (1 + np.exp(-odds - lift * np.sign(odds)))).astype(float)
    design = shared_design(q, h)
    sample = draw(design, labels, rng)
    u, v = terms_of(metric, h).seen(y == 1)
    return round_of(metric, q, h, design, sample), y[sample.rows], float(u.sum() / v.sum())


@pytest.mark.parametrize("metric", RATIOS)
def test_the_interval_holds_the_metric_at_every_label_and_narrows(metric: str) -> None:
    rng, missed, widths = np.random.default_rng(31), 0, []
    for _ in range(10):
        drawn, labels, right = drawn_from(rng, metric, 200)
        found = sequence_of(metric).update(drawn, labels)
        low, high = found.interval  # a running intersection: it holds the metric now if it ever did
        missed += not low <= right <= high
        widths.append(high - low)
    assert missed <= 2
    assert np.mean(widths) < 0.6


@given(SEED, st.sampled_from(RATIOS))
@settings(max_examples=6)
def test_the_interval_only_shrinks_and_missing_labels_never_shrink_it(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    known = fewer = sequence_of(metric)
    for _ in range(3):
        drawn, labels, _ = drawn_from(rng, metric, 80, lift=1.0)
        after = known.update(drawn, labels)
        fewer = fewer.update(drawn, np.where(rng.random(80) < 0.3, np.nan, labels))
        assert known.interval[0] <= after.interval[0]
        assert after.interval[1] <= known.interval[1]
        known = after
        assert fewer.interval[0] <= known.interval[0]
        assert known.interval[1] <= fewer.interval[1]
    assert known.labels == fewer.labels == 240


@given(SEED)
@settings(max_examples=6)
def test_a_sequence_survives_being_stored_and_never_gains_by_it(seed: int) -> None:
    drawn, labels, _ = drawn_from(np.random.default_rng(seed), "recall", 100)
    found = sequence_of("recall", 0.1).update(drawn, labels)
    read = Sequence.from_json(json.loads(json.dumps(found.to_json())))
    assert (read.metric, read.alpha, read.labels, read.sums) == (found.metric, found.alpha, found.labels, found.sums)
    assert (read.logs <= found.logs + 1e-9).all()
    assert read.logs == pytest.approx(found.logs, abs=2e-4)
    assert Sequence.from_json(read.to_json()).to_json() == read.to_json()


def test_before_the_first_label_everything_is_possible() -> None:
    start = sequence_of("f1")
    assert start.interval == (0.0, 1.0)
    assert start.estimate is None
    assert len(GRID) == 199


def test_the_estimate_is_the_mean_of_the_parts_within_the_interval() -> None:
    drawn, labels, right = drawn_from(np.random.default_rng(32), "accuracy", 350, n=351)
    found = sequence_of("accuracy").update(drawn, labels).estimate
    assert found is not None
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(right, abs=0.08)
    assert (found.n, found.confidence) == (350, 0.95)


def test_a_metric_that_changed_empties_the_interval() -> None:
    rng, found = np.random.default_rng(33), sequence_of("accuracy")
    for lift in (4.0, -8.0):
        for _ in range(2):
            drawn, labels, _ = drawn_from(rng, "accuracy", 300, lift=lift)
            found = found.update(drawn, labels)
    assert found.interval[0] > found.interval[1]
    assert found.estimate is None


def test_a_window_that_says_nothing_changes_nothing() -> None:
    q, h = np.full(40, 0.2), np.zeros(40, dtype=bool)
    design = betting_design(q, h, "precision", 0.7)
    drawn = round_of("precision", q, h, design, draw(design, 10, np.random.default_rng(1)))
    found = sequence_of("precision").update(drawn, np.ones(10))
    assert found.interval == (0.0, 1.0)
    assert found.estimate is None


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"metric": "auc"}, {"logs": ""}, {"peaks": None}, {"sums": [1]}, {"alpha": "x"}]
)
def test_a_broken_state_is_refused(change: dict[str, Json]) -> None:
    with pytest.raises(InvalidInput, match=r"stored sequence|stored list"):
        Sequence.from_json(sequence_of("f1").to_json() | change)


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'auc'"):
        sequence_of("auc")
    with pytest.raises(InvalidInput, match="alpha 0"):
        sequence_of("f1", 0)
    drawn, labels, _ = drawn_from(np.random.default_rng(34), "recall", 5)
    with pytest.raises(InvalidInput, match="cannot use a round of recall"):
        sequence_of("f1").update(drawn, labels)
