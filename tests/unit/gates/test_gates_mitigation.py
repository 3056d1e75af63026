"""Before and after a treatment: the gaps are those of a plain count and of Fairlearn, the cost is that of the same rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_gates_bias_data import read

from custody.core.errors import InvalidInput
from custody.core.measures.performance import group_counts
from custody.data.reweigh import weights
from custody.gates.mitigation import MEASURES, compare, decided, equal_recall, largest_gap, paired

FLAGS = st.lists(st.booleans(), min_size=1, max_size=80)


def drawn(n: int = 4000, seed: int = 5) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return scores, truth and groups; group b has lower scores at the same truth."""
    rng = np.random.default_rng(seed)
    groups, actual = rng.choice(["a", "b"], n), rng.random(n) < 0.4
    scores = np.clip(rng.normal(0.35 + 0.3 * actual - 0.12 * (groups == "b"), 0.15), 0, 1)
    return scores, actual, groups.tolist()


def test_the_gaps_are_those_that_fairlearn_finds() -> None:
    metrics = pytest.importorskip("fairlearn.metrics", reason="pip install fairlearn")
    scores, actual, groups = drawn()
    names = {"selection_rate": metrics.selection_rate, "recall": metrics.true_positive_rate}
    names["false_positive_rate"] = metrics.false_positive_rate
    oracle = metrics.MetricFrame(metrics=names, y_true=actual, y_pred=scores >= 0.5, sensitive_features=groups).difference()
    counts = group_counts(scores >= 0.5, actual, {"g": groups})
    for name in MEASURES:
        found = largest_gap(name, counts)
        assert found is not None
        assert found.value == pytest.approx(oracle[name], abs=1e-12)
        assert found.low <= found.value <= found.high


def test_thresholds_by_group_close_the_recall_gap_on_rows_that_did_not_choose_them() -> None:
    scores, actual, groups = drawn()
    half = np.arange(len(scores)) % 2 == 0
    tuned = equal_recall(scores[half], actual[half], [g for g, one in zip(groups, half, strict=True) if one], 0.5)
    rest = [g for g, one in zip(groups, half, strict=True) if not one]
    after = decided(scores[~half], rest, tuned)
    found = compare("threshold", "g", rest, actual[~half], scores[~half] >= 0.5, after, thresholds=tuned)
    gaps = [{one.measure: one for one in side} for side in (found.before, found.after)]
    assert gaps[0]["recall"].low > 0.1
    assert gaps[1]["recall"].low == 0
    assert tuned["b"] < tuned["a"]
    assert found.cost.low <= found.accuracy_before.value - found.accuracy_after.value <= found.cost.high
    assert found.sentence.startswith("threshold by g on 2,000 held-out rows: selection rate gap")


@given(st.integers(0, 1000))
def test_a_chosen_threshold_is_as_near_to_the_goal_as_any(seed: int) -> None:
    scores, actual, groups = drawn(60, seed)
    found = equal_recall(scores, actual, groups, 0.5)
    goal = (scores[actual] >= 0.5).mean() if actual.any() else 0
    for group, threshold in found.items():
        mine = scores[actual & (np.array(groups) == group)]
        if len(mine):
            assert abs((mine >= threshold).mean() - goal) <= min(abs((mine >= one).mean() - goal) for one in mine) + 1e-12


@given(FLAGS, st.data())
def test_the_cost_is_the_difference_of_the_accuracies_and_lies_in_its_interval(before: list[bool], data: st.DataObject) -> None:
    after = data.draw(st.lists(st.booleans(), min_size=len(before), max_size=len(before)))
    found = paired(np.array(before), np.array(after))
    assert found.value == pytest.approx((sum(before) - sum(after)) / len(before))
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


def test_the_interval_of_the_cost_covers_it() -> None:
    rng, hit = np.random.default_rng(1), 0
    for _ in range(400):
        before = rng.random(300) < 0.8
        after = np.where(rng.random(300) < 0.1, rng.random(300) < 0.5, before)
        found = paired(before, after)
        hit += found.low <= 0.1 * 0.8 - 0.1 * 0.5 <= found.high
    assert hit / 400 >= 0.92


def test_groups_of_fewer_than_five_rows_are_not_shown() -> None:
    actual = np.array([True, False] * 20)
    groups = ["a"] * 20 + ["b"] * 17 + ["c"] * 3
    found = compare("other", "g", groups, actual, actual, ~actual)
    assert found.suppressed == 1
    assert all("c" not in one.between for one in (*found.before, *found.after))
    with pytest.raises(InvalidInput):
        compare("other", "g", ["a"] * 40, actual, actual, actual)
    assert largest_gap("recall", group_counts(actual[:4], actual[:4], {"g": ["a", "b", "a", "b"]})) is None


@pytest.mark.parametrize(
    ("name", "column", "target", "yes", "numbers"),
    [
        ("arrests.zip", "colour", "released", "Yes", ("age", "checks")),
        ("loanapp.csv.bz2", "black", "approve", "1", ("loanprc", "hrat", "obrat")),
    ],
)
def test_reweighing_narrows_the_gap_on_real_data(name: str, column: str, target: str, yes: str, numbers: tuple[str, ...]) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rows = read(name)
    groups, labels = [row[column] for row in rows], [row[target] for row in rows]
    words = [one for one in ("employed", "citizen", "sex", column) if one in rows[0]]
    values = np.array(
        [[float(row[n] or 0) for n in numbers] + [float(row[w] in {"Yes", "Male", "White", "1"}) for w in words] for row in rows]
    )
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    actual, train = np.array(labels) == yes, np.random.default_rng(0).random(len(rows)) < 0.6
    both = weights(groups, labels)
    alike = np.where(actual, 0.5 / actual.mean(), 0.5 / (1 - actual.mean()))  # both outcomes weigh the same, so that 0.5 decides
    models = [
        linear.LogisticRegression().fit(values[train], actual[train], sample_weight=w[train]) for w in (alike, both * alike)
    ]
    before, after = (model.predict_proba(values[~train])[:, 1] >= 0.5 for model in models)
    held = [group for group, one in zip(groups, train, strict=True) if not one]
    found = compare("reweigh", column, held, actual[~train], before, after)
    gap = [{one.measure: one.value for one in side}["selection_rate"] for side in (found.before, found.after)]
    assert gap[1] < gap[0] / 2
    assert 0 < found.cost.value < 0.15
