"""The drift detector: bands, bets, looks, state."""

import json
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.measures.spec import Values, specs_of
from custody.core.measures.summary import Summary, empty, merge, summarise
from custody.monitoring.detector import State, drifting, global_log_e, later, log_e, look, needed, started
from custody.monitoring.reference import BETS, Reference, Tolerance, clopper_pearson, count_events, reference_of

RNG = np.random.default_rng(20)
ROWS: dict[str, Values] = {
    "age": np.round(RNG.normal(40, 10, 2000)),
    "plan": RNG.choice(["basic", "gold", "trial"], 2000, p=[0.6, 0.39, 0.01]),
}
SPECS = specs_of(ROWS)
REFERENCE = reference_of(summarise(ROWS, SPECS))
BATCHES = st.builds(
    lambda seed, n, shift: batch(np.random.default_rng(seed), n, shift),
    st.integers(0, 10**6),
    st.integers(1, 80),
    st.sampled_from([0, 5]),
)


def batch(rng: np.random.Generator, n: int, shift: float = 0) -> Summary:
    return summarise(
        {"age": np.round(rng.normal(40 + shift, 10, n)), "plan": rng.choice(["basic", "gold"], n, p=[0.6, 0.4])}, SPECS
    )


def after(batches: list[Summary], reference: Reference = REFERENCE) -> State:
    state = started(reference)
    for one in batches:
        state = look(reference, state, one)
    return state


def test_events_are_counted_as_the_rows_say() -> None:
    age, plan = np.asarray(ROWS["age"]), np.asarray(ROWS["plan"])
    found = dict(zip([event.words for event in REFERENCE.events], REFERENCE.hits.tolist(), strict=True))
    cuts = [words for words in found if words.startswith("age <=")]
    assert len(cuts) >= 10
    assert all(found[words] == (age <= float(words.removeprefix("age <= "))).sum() for words in cuts)
    assert found[f"age < {age.min():g}"] == 0
    assert found[f"age > {age.max():g}"] == 0
    assert found["plan = gold"] == (plan == "gold").sum()
    assert found["missing values in age"] == found["not-a-number values in age"] == found["infinite values in age"] == 0
    assert found["values of plan never seen before"] == 0


def test_special_values_are_counted_as_their_own_events() -> None:
    rows: dict[str, Values] = {
        "age": [None, float("nan"), float("inf"), float("-inf"), 40.0],
        "plan": ["gold", "new", None, "gold", "basic"],
    }
    found = dict(
        zip([e.words for e in REFERENCE.events], count_events(REFERENCE.events, summarise(rows, SPECS)).tolist(), strict=True)
    )
    assert found["missing values in age"] == 1
    assert found["not-a-number values in age"] == 1
    assert found["infinite values in age"] == 2
    assert found[f"age < {np.asarray(ROWS['age']).min():g}"] == 1  # minus infinity
    assert found[f"age > {np.asarray(ROWS['age']).max():g}"] == 1  # infinity; not the missing ones
    assert found["values of plan never seen before"] == found["missing values in plan"] == 1


@given(st.integers(0, 200), st.floats(0.001, 0.2))
def test_the_clopper_pearson_band_misses_each_side_with_at_most_its_chance(k: int, tail: float) -> None:
    low, high = (float(bound[0]) for bound in clopper_pearson(np.array([k]), 200, tail))
    assert low <= k / 200 <= high
    assert binom.sf(k - 1, 200, low) <= tail + 1e-9 or k == 0
    assert binom.cdf(k, 200, high) <= tail + 1e-9 or k == 200


def test_a_bet_has_mean_one_where_drift_begins_and_less_below() -> None:
    n, hits = 50, np.arange(51)
    event = next(i for i, e in enumerate(REFERENCE.events) if e.words == "plan = gold")
    limit = REFERENCE.high[event] + REFERENCE.tolerated[0, event]
    for gain, bet in zip(REFERENCE.gain[0, event, 0], BETS, strict=True):
        ratio = np.exp(hits * gain + (n - hits) * np.log1p(-bet))
        assert (binom.pmf(hits, n, limit) * ratio).sum() == pytest.approx(1)
        assert (binom.pmf(hits, n, limit - 0.05) * ratio).sum() < 1


@given(st.lists(BATCHES, min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_the_recursion_equals_the_mixture_over_starting_looks(batches: list[Summary]) -> None:
    event = next(i for i, e in enumerate(REFERENCE.events) if e.words == "plan = gold")
    logs = [
        (hits := int(count_events(REFERENCE.events, one)[event])) * REFERENCE.gain[0, event, 0, 2]
        + (one.rows - hits) * np.log1p(-BETS[2])
        for one in batches
    ]
    mixture = sum(np.exp(sum(logs[start:])) * (later(start) - later(start + 1)) for start in range(len(logs)))
    assert after(batches).logs[0, event, 0, 2] == pytest.approx(log(mixture), abs=1e-9)


@given(st.lists(BATCHES, min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_how_a_look_is_split_into_batches_changes_nothing(batches: list[Summary]) -> None:
    whole = batches[0]
    for one in batches[1:]:
        whole = merge(whole, one)
    mirrored = batches[-1]
    for one in reversed(batches[:-1]):
        mirrored = merge(mirrored, one)
    assert np.array_equal(after([whole]).logs, after([mirrored]).logs)


@given(st.lists(BATCHES, max_size=3))
@settings(max_examples=15, deadline=None)
def test_evidence_is_finite_and_never_below_what_is_still_to_come(batches: list[Summary]) -> None:
    state = after(batches)
    evidence = log_e(REFERENCE, state)
    assert np.isfinite(evidence).all()
    assert (evidence >= log(later(state.looks))).all()
    assert (global_log_e(REFERENCE, state) <= evidence.max(axis=1)).all()


def test_before_the_first_look_there_is_no_evidence() -> None:
    assert log_e(REFERENCE, started(REFERENCE)) == pytest.approx(0)


def test_a_batch_without_rows_is_no_look() -> None:
    state = after([batch(RNG, 50)])
    assert look(REFERENCE, state, empty(SPECS)) is state


def test_the_procedure_over_columns_is_e_bh() -> None:
    state = after([batch(RNG, 300, shift=8) for _ in range(4)])
    evidence = log_e(REFERENCE, state)[1]
    assert evidence[0] > needed(REFERENCE) + log(2) > evidence[1]
    assert drifting(REFERENCE, state, 1).tolist() == [True, False]
    assert global_log_e(REFERENCE, state)[1] >= needed(REFERENCE)


def test_both_of_two_columns_drift_with_less_evidence_than_one_alone_needs() -> None:
    state = started(REFERENCE)
    between = needed(REFERENCE) + log(2) / 2  # e_(2) >= 2 / (2 a) holds, e_(1) >= 2 / a does not
    flat = State(state.reference, 10**9, 1, np.full_like(state.logs, between), state.first)
    assert drifting(REFERENCE, flat, 1).all()
    one = flat.logs.copy()
    one[:, : REFERENCE.starts[1]] = -np.inf
    assert not drifting(REFERENCE, State(state.reference, 10**9, 1, one, state.first), 1).any()


def test_the_first_look_of_a_finding_stays_recorded() -> None:
    quiet, shifted = [batch(RNG, 300) for _ in range(3)], [batch(RNG, 300, shift=8) for _ in range(5)]
    state = after(quiet + shifted)
    assert 4 <= state.first[1, 0] <= 6
    assert state.first[1, 1] == 0
    assert look(REFERENCE, state, batch(RNG, 300)).first[1, 0] == state.first[1, 0]


@given(st.lists(BATCHES, max_size=4), BATCHES)
@settings(max_examples=20, deadline=None)
def test_a_stored_state_continues_with_no_more_evidence(batches: list[Summary], new: Summary) -> None:
    state = after(batches)
    text = json.dumps(state.to_json())
    read = State.from_json(json.loads(text), REFERENCE)
    assert json.dumps(read.to_json()) == text
    assert (read.looks, read.rows, read.first.tolist()) == (state.looks, state.rows, state.first.tolist())
    assert read.alarmed.tolist() == state.alarmed.tolist()
    kept, stored = look(REFERENCE, state, new).logs, look(REFERENCE, read, new).logs
    assert (stored <= kept + 1e-9).all()
    assert stored == pytest.approx(kept, abs=2e-4)


def test_a_state_of_another_reference_is_refused() -> None:
    other = reference_of(summarise(ROWS, SPECS), Tolerance(alpha=0.025))
    with pytest.raises(InvalidInput, match="another reference"):
        State.from_json(started(other).to_json(), REFERENCE)
    with pytest.raises(InvalidInput, match="belong together"):
        look(REFERENCE, started(other), batch(RNG, 5))
    with pytest.raises(InvalidInput, match="belong together"):
        look(REFERENCE, started(REFERENCE), empty(SPECS[:1]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("version", 1), ("logs", "x"), ("logs", None), ("first", None), ("first", [1]), ("alarmed", [1]), ("looks", "many")],
)
def test_an_edited_state_is_refused(field: str, value: Json) -> None:
    with pytest.raises(InvalidInput):
        State.from_json({**started(REFERENCE).to_json(), field: value}, REFERENCE)


def test_an_empty_reference_and_impossible_tolerances_are_refused() -> None:
    with pytest.raises(InvalidInput, match="without rows"):
        reference_of(empty(SPECS))
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        reference_of(summarise(ROWS, SPECS), Tolerance(notice=0))


def test_an_event_that_moves_by_itself_between_days_is_tolerated_to_move() -> None:
    days = [batch(np.random.default_rng(day), 5000, shift=2 * (day % 2)) for day in range(10)]
    calm = [batch(np.random.default_rng(day), 5000) for day in range(10)]
    summary = summarise(ROWS, SPECS)
    middle = next(i for i, e in enumerate(REFERENCE.events) if e.words == "age <= 40")
    assert reference_of(summary, days=days).tolerated[0, middle] > 0.08
    assert reference_of(summary, days=calm).tolerated[0, middle] == pytest.approx(0.02, abs=0.005)


def test_rare_levels_and_missing_values_are_watched_more_closely() -> None:
    tolerated = dict(zip([event.words for event in REFERENCE.events], REFERENCE.tolerated.T.tolist(), strict=True))
    assert tolerated["plan = gold"] == [0.02, 0.05]
    assert tolerated["plan = trial"] == [0.005, 0.05]
    assert tolerated["missing values in age"] == tolerated["values of plan never seen before"] == [0.005, 0.005]


def test_a_small_reference_says_what_it_cannot_see() -> None:
    assert "only 2,000 rows" in REFERENCE.warning
    large = summarise({"x": np.random.default_rng(1).normal(size=200_000)}, specs_of({"x": np.arange(10.0)}))
    assert reference_of(large).warning == ""


def test_levels_the_reference_held_once_widen_the_band_of_unseen_ones() -> None:
    rare = [f"l{i}" for i in range(200)] + ["common"] * 800
    common = ["common"] * 1000
    highs = []
    for values in (rare, common):
        reference = reference_of(summarise({"x": values}, specs_of({"x": values})))
        highs.append(next(high for event, high in zip(reference.events, reference.high, strict=True) if event.unseen))
    assert highs[0] > 0.2
    assert highs[1] < 0.02


@pytest.mark.parametrize(("value", "moved"), [(5.0, 4.0), (5.0, 6.0), (0.0, -1.0)])
def test_a_constant_column_that_changes_is_seen_at_once(value: float, moved: float) -> None:
    specs = specs_of({"x": np.full(2000, value)})
    reference = reference_of(summarise({"x": np.full(2000, value)}, specs))
    state = look(reference, started(reference), summarise({"x": np.full(300, moved)}, specs))
    assert drifting(reference, state, 1).all()
