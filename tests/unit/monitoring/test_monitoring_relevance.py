"""How well training data covers live traffic: weights, effective rows, thin regions, slices that lack rows."""

from math import exp

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import beta, norm

from custody.core.errors import InvalidInput
from custody.core.measures.spec import Kind, Values
from custody.monitoring.relevance import importance_weights, relevance
from custody.monitoring.shift.encoding import encoding_of
from custody.monitoring.shift.grid import grid_of
from custody.monitoring.shift.logistic import curvature, fit, objective, refit
from custody.monitoring.shift.pool import FOLDS, Side, pool_of
from custody.monitoring.shift.ratio import line_of, ratio_of
from custody.monitoring.shift.slices import bounds, slices_lacking

Columns = dict[str, Values]


def rows(seed: int, n: int, shift: float = 0, columns: int = 3) -> Columns:
    rng = np.random.default_rng(seed)
    found: Columns = {f"x{i}": rng.normal(shift if i == 0 else 0, 1, n) for i in range(columns)}
    return {**found, "plan": rng.choice(["basic", "gold", "trial"], n, p=[0.5, 0.4, 0.1]), "eu": rng.random(n) < 0.5}


def gap(seed: int, n: int, kept: float) -> Columns:
    """Draw rows of which only this share of gold plans in the north is kept."""
    rng = np.random.default_rng(seed)
    plan, region = rng.choice(["basic", "gold"], n, p=[0.7, 0.3]), rng.choice(["north", "south", "east"], n, p=[0.4, 0.3, 0.3])
    stays = (plan != "gold") | (region != "north") | (rng.random(n) < kept)
    columns: Columns = {"plan": plan, "region": region, "age": rng.normal(40, 10, n), "cost": rng.lognormal(size=n)}
    return {name: np.asarray(values)[stays] for name, values in columns.items()}


def shuffled(columns: Columns, order: np.ndarray) -> Columns:
    return {name: np.asarray(values)[order] for name, values in reversed(columns.items())}


# logistic regression


def problem(seed: int, n: int = 400, d: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    design = np.column_stack([np.ones(n), rng.normal(size=(n, d - 1))])
    labels = (rng.random(n) < 1 / (1 + np.exp(-design @ rng.normal(size=d)))).astype(np.float64)
    return design, labels, rng.uniform(0.2, 2, n), np.array([1e-6, *rng.uniform(0.1, 20, d - 1)])


@pytest.mark.parametrize("seed", range(3))
def test_newtons_method_finds_what_a_general_optimiser_finds(seed: int) -> None:
    design, labels, weights, ridge = problem(seed)
    found = fit(design, labels, weights, ridge)
    other = minimize(lambda beta: objective(design, labels, weights, ridge, beta), np.zeros(len(ridge)), tol=1e-10)
    assert found == pytest.approx(other.x, abs=2e-4)
    assert objective(design, labels, weights, ridge, found) <= other.fun + 1e-9


def test_it_agrees_with_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is the oracle: pip install 'custody-ml[sklearn]'")
    design, labels, weights, _ = problem(4)
    model = linear.LogisticRegression(C=1 / 7, tol=1e-10, max_iter=10_000).fit(design[:, 1:], labels, sample_weight=weights)
    found = fit(design, labels, weights, np.array([1e-9, *np.full(design.shape[1] - 1, 7.0)]))
    assert found == pytest.approx(np.append(model.intercept_, model.coef_[0]), abs=1e-5)


def test_rows_that_can_be_told_apart_completely_still_have_a_fit() -> None:
    design = np.column_stack([np.ones(40), np.repeat([-1.0, 1.0], 20)])
    found = fit(design, np.repeat([0.0, 1.0], 20), np.ones(40), np.array([1e-6, 0.01]), start=np.array([50.0, -50.0]))
    assert np.isfinite(found).all()
    assert found[1] > 3


def test_a_refit_in_two_chord_steps_is_close_to_a_new_fit() -> None:
    design, labels, weights, ridge = problem(5, n=2000)
    first = fit(design, labels, weights, ridge)
    again = weights[:, None] * np.random.default_rng(6).poisson(1, (2000, 4)).astype(np.float64)
    found = refit(design, labels, again, ridge, start=first, factor=curvature(design, weights, ridge, first))
    exact = np.column_stack([fit(design, labels, again[:, b], ridge) for b in range(4)])
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact - first[:, None]).max()


def test_calibration_undoes_a_slope_and_a_constant() -> None:
    rng = np.random.default_rng(7)
    scores = rng.normal(0, 2, (20_000, 1))
    labels = (rng.random((20_000, 1)) < 1 / (1 + np.exp(-scores))).astype(np.float64)
    constant, slope = line_of(scores / 4 - 1, labels, np.ones_like(scores))[:, 0]
    assert (constant, slope) == (pytest.approx(4, abs=0.15), pytest.approx(4, abs=0.15))


# the pool and the grid


def test_a_row_is_read_as_a_number_or_a_level_and_rows_keep_together() -> None:
    first: Columns = {"age": [1, None, 3.5, "x"], "plan": ["a", None, True, "b"], "at": np.array(["2020", "NaT"] * 2, "M8[s]")}
    second: Columns = {"age": [9], "plan": ["z"], "at": np.array(["2021"], "M8[s]")}
    with pytest.raises(InvalidInput):
        pool_of(Side({**first, "age": [1]}), Side(second))
    pool = pool_of(Side({**first, "age": [1, None, 3.5, float("nan")]}), Side(second))
    age, plan = (
        pool.values[[spec.column for spec in pool.specs].index(name)][np.argsort(pool.origin)] for name in ("age", "plan")
    )
    names = pool.levels[[spec.column for spec in pool.specs].index("plan")]
    assert age.tolist()[:1] + age.tolist()[2:3] + age.tolist()[4:] == [1, 3.5, 9]
    assert np.isnan(age[[1, 3]]).all()
    assert [None if place < 0 else names[int(place)] for place in plan] == ["a", None, "true", "b", "z"]
    assert pool.live[np.argsort(pool.origin)].tolist() == [False] * 4 + [True]


def test_arrow_columns_are_read_like_lists() -> None:
    columns = rows(1, 50)
    as_arrow = {name: pa.chunked_array([pa.array(list(np.asarray(values).tolist()))]) for name, values in columns.items()}
    one, two = pool_of(Side(columns), Side(columns)), pool_of(Side(as_arrow), Side(as_arrow))
    assert all(np.array_equal(a, b) for a, b in zip(one.values, two.values, strict=True))


def test_free_text_becomes_its_length_and_words() -> None:
    texts = [f"row {i} " + "word " * (i % 9) for i in range(300)]
    pool = pool_of(Side({"note": texts}), Side({"note": ["two words", None]}))
    assert [spec.column for spec in pool.specs] == ["note.length", "note.words"]
    assert min(pool.values[1][pool.live].tolist()) == 2
    assert np.isnan(pool.values[1]).sum() == 1


@given(st.integers(0, 10**6), st.integers(12, 60))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_and_columns_decides_nothing(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    first: Columns = {"a": rng.integers(0, 3, n), "b": rng.choice(["x", "y"], n)}  # many equal rows
    second: Columns = {"a": rng.integers(0, 3, n + 5), "b": rng.choice(["x", "y"], n + 5)}
    one = pool_of(Side(first), Side(second), seed=seed)
    two = pool_of(Side(shuffled(first, rng.permutation(n))), Side(shuffled(second, rng.permutation(n + 5))), seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(one.values, two.values, strict=True))
    assert np.array_equal(one.live, two.live)
    sizes = np.bincount(one.folds[one.live], minlength=FOLDS)
    assert sizes.max() - sizes.min() <= 1


def test_another_seed_gives_other_folds() -> None:
    columns = rows(1, 200)
    one, two = (pool_of(Side(columns), Side(columns), seed=seed) for seed in (1, 2))
    assert not np.array_equal(one.origin, two.origin)
    assert sorted(one.origin) == sorted(two.origin) == list(range(400))


def test_a_part_of_a_pool_is_a_random_part_that_keeps_its_folds() -> None:
    pool = pool_of(Side(rows(1, 3000)), Side(rows(2, 3000)))
    part = pool.first(500)
    kept = np.isin(pool.origin, part.origin)
    assert [int(part.live.sum()), len(part.live)] == [500, 1000]
    assert np.array_equal(pool.folds[kept], part.folds)
    place = [spec.column for spec in pool.specs].index("x0")
    assert abs(part.values[place][~part.live].mean()) < 4 / np.sqrt(500)


def test_cells_are_cut_where_both_samples_have_rows_and_are_said_in_short_numbers() -> None:
    pool = pool_of(Side({"x": np.linspace(0, 1, 4000)}), Side({"x": np.linspace(2, 3, 4000)}))
    (axis,) = grid_of(pool, bins=8, levels=8)
    cells = axis.cells(pool.values[0])
    assert np.bincount(cells[pool.live], minlength=9)[4:8].min() > 400
    assert axis.words(0, 3) == f"x < {axis.cuts[3]:g}"
    assert 1 < axis.cuts[3] <= 2
    assert axis.words(4, 4) == f"{axis.cuts[3]:g} <= x < {axis.cuts[4]:g}"
    assert axis.words(6, 7) == f"x >= {axis.cuts[5]:g}"
    assert axis.words(8, 8) == "x is missing"
    assert max(len(f"{cut:g}") for cut in axis.cuts) <= 5


def test_the_encoding_has_room_for_128_columns_and_takes_those_that_differ() -> None:
    rng = np.random.default_rng(3)
    wide = {f"x{i:03}": rng.normal(size=400) for i in range(90)}
    moved = {name: values + 2 * (name == "x077") for name, values in wide.items()}
    encoding = encoding_of(pool_of(Side(wide), Side(moved)))
    assert len(encoding.smooth) <= 130
    assert encoding.left_out == 90 - len(encoding.axes)
    assert "x077" in {axis.spec.column for _, axis in encoding.axes}


# what it says


def test_without_drift_all_rows_count_and_nothing_is_said_to_have_moved() -> None:
    found = relevance(Side(rows(1, 1500)), Side(rows(2, 1500)))
    assert found.effective is not None
    assert found.thin is not None
    assert found.effective_rows > 0.98 * 1500
    assert found.effective.no_drift > 0.98
    assert (found.thin.value, found.thin.no_drift, found.slices) == (0, 0, ())
    assert found.thin.high > 0
    assert not found.moved
    assert found.sentence.startswith("The training data covers live traffic: its 1,500 rows count as 1,")


@pytest.mark.parametrize("shift", [0.7, 1.2])
def test_a_shift_reads_what_it_is(shift: float) -> None:
    found = relevance(Side(rows(3, 2000)), Side(rows(4, 2000, shift)))
    assert found.effective is not None
    assert found.thin is not None
    truth = exp(-(shift**2))  # 1 / E[w^2] for a normal mean that moved by `shift` standard deviations
    thin = float(norm.sf((np.log(10) + shift**2 / 2) / shift - shift))
    assert found.effective.low < truth < found.effective.high
    assert found.effective.value == pytest.approx(truth, abs=0.1)
    assert found.thin.low <= thin <= found.thin.high
    assert found.moved
    assert "moved away" in found.sentence


def test_live_rows_where_training_has_none_leave_no_row_that_counts() -> None:
    live = rows(6, 600, 30)
    found = relevance(Side(rows(5, 600)), Side(live))
    assert found.effective is not None
    assert found.thin is not None
    assert found.effective_rows < 1
    assert found.thin.value > 0.99
    assert found.slices[0].words.startswith("x0 >= ")
    assert found.slices[0].live_share > 0.9


def test_weights_average_one_and_grow_towards_live_traffic_in_the_order_given() -> None:
    columns = rows(7, 1500)
    weights = importance_weights(Side(columns), Side(rows(8, 1000, 1.0)))
    assert weights.shape == (1500,)
    assert weights.mean() == pytest.approx(1)
    x = np.asarray(columns["x0"])
    assert np.corrcoef(np.log(weights), x)[0, 1] > 0.9
    assert np.average(x, weights=weights) == pytest.approx(1, abs=0.2)
    order = np.random.default_rng(9).permutation(1500)
    again = importance_weights(Side(shuffled(columns, order)), Side(rows(8, 1000, 1.0)))
    assert again == pytest.approx(weights[order])


def test_rows_beyond_the_sample_get_weights_too() -> None:
    weights = importance_weights(Side(rows(7, 6500, columns=1)), Side(rows(8, 300, 1.0, columns=1)))
    assert weights.mean() == pytest.approx(1)
    assert weights.min() > 0


def test_a_planted_gap_is_found_and_named_and_nothing_else() -> None:
    training, live = gap(1, 4000, 0.03), gap(2, 2000, 1.0)
    found = relevance(Side(training), Side(live))
    assert [one.words for one in found.slices] == ["plan = gold and region = north"]
    held = (np.asarray(training["plan"]) == "gold") & (np.asarray(training["region"]) == "north")
    one = found.slices[0]
    assert (one.training_rows, one.columns) == (held.sum(), ("plan", "region"))
    assert one.training_share == pytest.approx(held.mean())
    assert one.live_share == pytest.approx(0.12, abs=0.02)
    assert one.missing_rows == pytest.approx((one.live_share - one.training_share) * len(held))
    assert one.at_least > 2
    assert found.moved
    assert f"it lacks most rows at {one}." in found.sentence
    assert str(one) == ("plan = gold and region = north: 12 % of live rows, 0.3 % of training rows (11 rows)")


def test_a_new_level_a_new_range_and_missing_values_are_named_once() -> None:
    training, live = gap(3, 1500, 1.0), gap(4, 1500, 1.0)
    half = np.arange(len(np.asarray(live["age"]))) % 4
    live["age"] = [None if part == 0 else value for part, value in zip(half, np.asarray(live["age"]).tolist(), strict=True)]
    live["plan"] = np.where(half == 1, "student", np.asarray(live["plan"]))
    live["cost"] = np.where(half == 2, 1000.0 + half, np.asarray(live["cost"]))
    words = {one.words for one in relevance(Side(training), Side(live)).slices}
    assert {"age is missing", "plan = student"} < words
    assert len(words) == 3
    assert any(word.startswith("cost >= ") for word in words)


@given(st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_a_listed_slice_is_really_lacking(seed: int) -> None:
    pool = pool_of(Side(gap(seed, 700, 1.0)), Side(gap(seed + 1, 700, 1.0)))
    assert slices_lacking(pool, alpha=0.05) == ()


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    low, high = bounds(np.array([0.0, 0.25, 1.0]), 40, 0.01)
    assert low.tolist() == [0, pytest.approx(beta.ppf(0.01, 10, 31)), pytest.approx(0.01 ** (1 / 40))]
    assert high.tolist() == [pytest.approx(1 - 0.01 ** (1 / 40)), pytest.approx(beta.ppf(0.99, 11, 30)), 1]


def test_the_same_rows_in_another_order_give_the_same_answer() -> None:
    training, live, rng = gap(1, 900, 0.03), gap(2, 800, 1.0), np.random.default_rng(1)
    first = relevance(Side(training), Side(live), seed=3)
    sizes = [len(np.asarray(side["plan"])) for side in (training, live)]
    again = relevance(
        *(Side(shuffled(side, rng.permutation(n))) for side, n in zip((training, live), sizes, strict=True)), seed=3
    )
    assert again == first


def test_weighted_training_rows_are_counted_by_their_weights() -> None:
    training, live = rows(1, 1200), rows(2, 1200, 0.8)
    x = np.asarray(training["x0"])
    ideal = np.exp(0.8 * x - 0.32)
    plain, mended = relevance(Side(training), Side(live)), relevance(Side(training, ideal), Side(live))
    assert plain.effective is not None
    assert mended.effective is not None
    assert plain.effective.value == pytest.approx(mended.effective.value, abs=0.15)  # what weights even out, weights cost
    weights = importance_weights(Side(training, ideal), Side(live))
    assert np.log(weights).std() < 0.35


def test_too_few_rows_say_so() -> None:
    found = relevance(Side(rows(1, 29)), Side(rows(2, 500)))
    assert (found.effective, found.thin, found.slices, found.moved, found.effective_rows) == (None, None, (), False, 0)
    assert found.sentence == "Nothing can be said: 30 rows of both are needed, and there are 29 training and 500 live rows."
    assert (importance_weights(Side(rows(1, 29)), Side(rows(2, 500))) == 1).all()
    heavy = Side(rows(1, 500), weights=[1.0] * 20 + [0.0] * 480)  # 500 rows that are worth 20
    assert relevance(heavy, Side(rows(2, 500))).sentence.endswith("there are 20 training and 500 live rows.")


@pytest.mark.parametrize(
    ("training", "live"),
    [
        (Side({}), Side({})),
        (Side({"a": [1]}), Side({"b": [1]})),
        (Side({"a": []}), Side({"a": [1]})),
        (Side({"a": [1], "b": [1, 2]}), Side({"a": [1], "b": [1]})),
        (Side({"a": [1, 2]}, weights=[1]), Side({"a": [1]})),
        (Side({"a": [1, 2]}, weights=[1, -1]), Side({"a": [1]})),
        (Side({"a": [1, 2]}, weights=[0, 0]), Side({"a": [1]})),
        (Side({"a": [1, 2]}, weights=[1, float("nan")]), Side({"a": [1]})),
    ],
)
def test_samples_that_do_not_fit_are_refused(training: Side, live: Side) -> None:
    with pytest.raises(InvalidInput):
        relevance(training, live)


CELL = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=3))


@given(st.lists(CELL, min_size=30, max_size=40), st.lists(CELL, min_size=30, max_size=40), st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_any_columns_have_an_answer(first: list[object], second: list[object], other: int) -> None:
    training: Columns = {"any": first, "of": [i % (other + 1) for i in range(len(first))]}
    live: Columns = {"any": second, "of": [i % 2 for i in range(len(second))]}
    found = relevance(Side(training), Side(live))
    assert found.effective is not None
    assert found.thin is not None
    assert 0 <= found.effective.low <= found.effective.value <= found.effective.high <= 1
    assert 0 <= found.thin.low <= found.thin.value <= found.thin.high <= 1
    weights = importance_weights(Side(training), Side(live))
    assert np.isfinite(weights).all()
    assert weights.mean() == pytest.approx(1)


def test_products_are_found_where_only_two_columns_together_moved() -> None:
    rng = np.random.default_rng(11)
    first, noise = rng.normal(size=(2, 1500)), rng.normal(size=(2, 1500))
    together = np.array([noise[0], 0.7 * noise[0] + np.sqrt(1 - 0.49) * noise[1]])
    sides = [Side({"a": one[0], "b": one[1]}) for one in (first, together)]
    ratio = ratio_of(pool_of(*sides))
    assert all(spec.kind is Kind.NUMBER for spec in ratio.pool.specs)
    assert ratio.encoding.pairs
    odds = np.exp(ratio.scores[~ratio.pool.live])
    assert odds.sum() ** 2 / (odds @ odds) / 1500 < 0.75  # without products all rows would count
