"""Why a metric is worse: what moved inputs and a changed relation account for, and what cannot be said."""

from collections.abc import Callable
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from custody.core.errors import InvalidInput
from custody.core.measures.spec import Values
from custody.monitoring.decompose import Cause, Decomposition, Part, decompose, labelled
from custody.monitoring.shift.pool import Side

Floats = NDArray[np.float64]


def inputs(rng: np.random.Generator, n: int, shift: float) -> dict[str, Values]:
    first, second = rng.normal(shift, 1, n), rng.normal(0, 1, n)
    return {"x": first, "z": second, "plan": rng.choice(["basic", "gold"], n)}


def chance_of_error(columns: dict[str, Values], harder: float) -> Floats:
    found: Floats = expit(-1.5 + np.asarray(columns["x"]) + harder)
    return found


def sample(seed: int, n: int, shift: float, harder: float) -> Side:
    rng = np.random.default_rng(seed)
    columns = inputs(rng, n, shift)
    return Side(columns, extra=((rng.random(n) < chance_of_error(columns, harder)).astype(np.float64),))


def truth(shift: float, harder: float) -> dict[str, float]:
    """Integrate the parts over x, whose density moves from N(0, 1) to N(shift, 1)."""
    x = np.linspace(-8, 8 + shift, 20_001)
    p, q = np.exp(-(x**2) / 2), np.exp(-((x - shift) ** 2) / 2)
    shared = p * q / (p + q)
    before, after = expit(-1.5 + x), expit(-1.5 + x + harder)
    means = [float(w @ y / w.sum()) for w, y in ((p, before), (shared, before), (shared, after), (q, after))]
    return dict(zip(("harder", "relation", "newer"), np.diff(means).tolist(), strict=True))


def covers(part: Part, value: float) -> bool:
    return part.low <= value <= part.high


def losses(side: Side) -> Floats:
    return np.asarray(side.extra[0], dtype=np.float64)


def explained(found: Decomposition) -> tuple[Part, Part, Part, Part, Part]:
    assert found.parts is not None
    assert found.difference is not None
    return found.parts.harder, found.parts.relation, found.parts.newer, found.parts.inputs, found.difference


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("shift", "harder"), [(0.8, 0.0), (0.0, 0.8), (0.8, 0.8)])
def test_the_parts_add_up_exactly_to_the_difference(seed: int, shift: float, harder: float) -> None:
    reference, live = sample(seed, 400, 0, 0), sample(100 + seed, 300, shift, harder)
    one, two, three, both, whole = explained(decompose(reference, live))
    assert one.value + two.value + three.value == pytest.approx(whole.value, abs=1e-12)
    assert both.value == pytest.approx(one.value + three.value, abs=1e-12)
    assert whole.value == pytest.approx(losses(live).mean() - losses(reference).mean(), abs=1e-12)


def test_moved_inputs_alone_are_said_to_be_moved_inputs() -> None:
    found = decompose(sample(1, 2000, 0, 0), sample(2, 2000, 1, 0), metric="error")
    harder, relation, newer, moved, _ = explained(found)
    assert found.cause is Cause.INPUTS
    assert covers(relation, 0)
    expected = truth(1, 0)
    assert covers(harder, expected["harder"])
    assert covers(newer, expected["newer"])
    assert moved.low > 0
    assert found.sentence.startswith("error went from 0.2")
    assert "Labels of the same kind help: collect and label rows that the reference has few of" in found.sentence


def test_a_changed_relation_alone_is_said_to_be_one() -> None:
    found = decompose(sample(3, 2000, 0, 0), sample(4, 2000, 0, 1), metric="error")
    harder, relation, newer, _, _ = explained(found)
    assert found.cause is Cause.RELATION
    assert covers(relation, truth(0, 1)["relation"])
    assert max(abs(harder.value), abs(newer.value)) < 0.01
    assert found.overlap == pytest.approx(1, abs=0.03)
    assert "Old labels mislead" in found.sentence


def test_both_are_said_to_be_both() -> None:
    found = decompose(sample(5, 2000, 0, 0), sample(6, 2000, 1, 1))
    expected = truth(1, 1)
    parts = explained(found)
    assert found.cause is Cause.BOTH
    assert all(covers(part, expected[name]) for part, name in zip(parts, ("harder", "relation", "newer"), strict=False))


def test_an_easier_relation_does_not_hide_harder_inputs() -> None:
    found = decompose(sample(7, 2000, 0, 0), sample(8, 2000, 1, -1))
    assert found.cause is Cause.INPUTS
    assert explained(found)[1].high < 0


def test_without_a_difference_no_loss_is_shown() -> None:
    found = decompose(sample(9, 800, 0, 0), sample(10, 800, 0, 0))
    assert found.cause is Cause.NOT_WORSE
    assert "no loss is shown" in found.sentence


def test_a_loss_that_few_labels_cannot_explain_asks_for_more() -> None:
    causes = [decompose(sample(20 + seed, 60, 0, 0), sample(50 + seed, 60, 0.5, 0.6)) for seed in range(8)]
    unclear = [found for found in causes if found.cause is Cause.UNCLEAR]
    assert unclear
    assert all("not shown why" in found.sentence and " labels of both would." in found.sentence for found in unclear)


@pytest.mark.parametrize(("shift", "harder"), [(0.8, 0.0), (0.8, 0.8)])
def test_intervals_cover_the_truth_as_often_as_they_say(shift: float, harder: float) -> None:
    runs, expected = 30, truth(shift, harder)
    held = dict.fromkeys(expected, 0)
    for seed in range(runs):
        parts = explained(decompose(sample(1000 + seed, 500, 0, 0), sample(5000 + seed, 500, shift, harder)))
        for part, name in zip(parts, expected, strict=False):
            held[name] += covers(part, expected[name])
    assert min(held.values()) >= 25  # of 30 at 95 %: fewer has a chance of 0.3 % each


METRICS: list[tuple[str, Callable[[Floats, Floats], float]]] = [
    ("accuracy", lambda h, y: float(np.mean(h == y))),
    ("precision", lambda h, y: float(np.mean(y[h > 0]))),
    ("recall", lambda h, y: float(np.mean(h[y > 0]))),
    ("f1", lambda h, y: float(2 * np.sum(h * y) / np.sum(h + y))),
]


def decisions(seed: int, n: int, shift: float, agree: float) -> tuple[dict[str, Values], Floats, Floats]:
    rng = np.random.default_rng(seed)
    columns = inputs(rng, n, shift)
    decided = (np.asarray(columns["x"]) > 0).astype(np.float64)
    actual = np.where(rng.random(n) < agree, decided, rng.random(n) < 0.5).astype(np.float64)
    return columns, decided, actual


@pytest.mark.parametrize(("metric", "measured"), METRICS)
def test_ratio_metrics_are_split_like_losses(metric: str, measured: Callable[[Floats, Floats], float]) -> None:
    before, after = decisions(1, 900, 0, 0.8), decisions(2, 900, 0.5, 0.5)
    found = decompose(
        labelled(before[0], metric, *before[1:]), labelled(after[0], metric, *after[1:]), metric=metric, higher_is_better=True
    )
    assert found.reference == pytest.approx(measured(*before[1:]))
    assert found.live == pytest.approx(measured(*after[1:]))
    one, relation, three, _, whole = explained(found)
    assert one.value + relation.value + three.value == pytest.approx(whole.value, abs=1e-12)
    assert relation.high < 0
    assert found.cause in {Cause.RELATION, Cause.BOTH}
    assert found.sentence.startswith(f"{metric} went from 0.")


def test_a_loss_and_its_complement_are_split_alike() -> None:
    reference, live = sample(11, 500, 0, 0), sample(12, 500, 0.7, 0.5)
    right = [Side(side.columns, extra=(1 - np.asarray(side.extra[0]),)) for side in (reference, live)]
    lost, gained = explained(decompose(reference, live)), explained(decompose(*right, higher_is_better=True))
    for loss, gain in zip(lost, gained, strict=True):
        assert gain.value == pytest.approx(-loss.value, abs=0.01)  # other folds: the hash of a row holds its loss
        assert gain.high - gain.low == pytest.approx(loss.high - loss.low, rel=0.1)


def test_squared_errors_scale_with_their_unit() -> None:
    rng = np.random.default_rng(13)
    sides = [Side(inputs(rng, 400, shift), extra=(rng.normal(1 + shift, 1, 400) ** 2,)) for shift in (0, 1)]
    large = [Side(side.columns, extra=(1e6 * np.asarray(side.extra[0]),)) for side in sides]
    for small, big in zip(explained(decompose(*sides)), explained(decompose(*large)), strict=True):
        assert big.value / 1e6 == pytest.approx(small.value, abs=0.2)
        assert (big.high - big.low) / 1e6 == pytest.approx(small.high - small.low, rel=0.3)


def test_inputs_that_never_meet_cannot_be_compared() -> None:
    found = decompose(sample(14, 300, 0, 0), sample(15, 300, 30, 0), metric="error")
    assert (found.cause, found.parts) == (Cause.NO_OVERLAP, None)
    assert found.difference is not None
    assert found.difference.low > 0
    assert found.overlap is not None
    assert found.overlap < 0.01
    assert "nothing can be compared: of the reference's and the live inputs only about 0 rows meet" in found.sentence


def test_too_few_labels_say_so() -> None:
    found = decompose(sample(16, 29, 0, 0), sample(17, 300, 0, 0), metric="error")
    assert (found.cause, found.difference, found.reference) == (Cause.TOO_FEW, None, None)
    assert found.sentence == "Nothing can be said: error rests on 29 reference and 300 live labels; 30 of both are needed."


def test_a_metric_rests_on_the_rows_of_its_denominator() -> None:
    columns, decided, _ = decisions(3, 300, 0, 0.8)
    nobody = np.zeros(300)
    found = decompose(labelled(columns, "recall", decided, nobody), labelled(columns, "recall", decided, nobody), metric="recall")
    assert found.sentence.startswith("Nothing can be said: recall rests on 0 reference and 0 live labels")


def test_a_constant_loss_is_no_difference_to_explain() -> None:
    columns = inputs(np.random.default_rng(18), 100, 0)
    side = Side(columns, extra=(np.full(100, 0.25),))
    assert decompose(side, side, metric="cost").sentence == "Nothing can be said: cost is 0.25 on every row of both."


def test_no_error_among_few_rows_is_not_taken_for_none_ever() -> None:
    columns = inputs(np.random.default_rng(19), 100, 0)
    reference, live = Side(columns, extra=(np.zeros(100),)), Side(columns, extra=((np.arange(100) < 2).astype(np.float64),))
    _, _, _, _, whole = explained(decompose(reference, live))
    assert whole.low < -0.02  # 3 of 100 are what 0 of 100 does not exclude


def test_rows_weigh_what_their_weights_say() -> None:
    reference, live = sample(21, 600, 0, 0), sample(22, 600, 0.5, 0)
    weights = np.where(np.asarray(live.extra[0]) > 0, 3.0, 1.0)
    found = decompose(reference, Side(live.columns, weights, live.extra))
    assert found.live == pytest.approx(np.average(losses(live), weights=weights))
    *_, whole = explained(found)
    *_, plain = explained(decompose(reference, live))
    assert whole.high - whole.low != pytest.approx(plain.high - plain.low, rel=0.01)


def test_the_same_rows_in_another_order_give_the_same_answer() -> None:
    reference, live = sample(23, 300, 0, 0), sample(24, 300, 0.5, 0.5)
    order = np.random.default_rng(25).permutation(300)
    mixed = Side(
        {name: np.asarray(values)[order] for name, values in live.columns.items()}, extra=(np.asarray(live.extra[0])[order],)
    )
    assert decompose(reference, mixed, seed=2) == decompose(reference, live, seed=2)
    assert decompose(reference, live, seed=3) != decompose(reference, live, seed=2)


@pytest.mark.parametrize(
    "extra",
    [(), (np.ones(40),) * 3, (np.full(40, np.nan),), (np.ones(40), -np.ones(40)), (np.ones(39),), (np.ones((40, 2)),)],
)
def test_rows_without_a_usable_loss_are_refused(extra: tuple[Floats, ...]) -> None:
    side = Side({"x": np.arange(40)}, extra=extra)
    with pytest.raises(InvalidInput):
        decompose(side, side)
    with pytest.raises(InvalidInput):
        decompose(Side({"x": np.arange(40)}, extra=(np.ones(40),)), side)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(InvalidInput, match="brier"):
        labelled({"x": [1]}, "brier", [True], [True])


@given(st.integers(0, 10**6), st.floats(0.0, 3.0), st.sampled_from([0.0, 1e-9, 1.0, 1e9]))
@settings(max_examples=12, deadline=None)
def test_any_losses_have_an_answer(seed: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    sides = [Side(inputs(rng, 40, move), extra=(scale * rng.standard_cauchy(40),)) for move in (0, shift)]
    found = decompose(*sides)
    assert found.sentence.endswith(".")
    if found.parts is not None and found.difference is not None:
        numbers = [found.parts.harder, found.parts.relation, found.parts.newer, found.parts.inputs, found.difference]
        assert all(part.low <= part.value <= part.high for part in numbers)
        total = sum(part.value for part in numbers[:3])
        assert total == pytest.approx(found.difference.value, abs=1e-9 * max(scale, 1) * log(1e9) * 100)
