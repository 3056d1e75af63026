"""What the evidence promises: a mean of at most 1, replays, e-BH, a frozen list, and rows that hang together."""

import json
from itertools import product
from math import exp, inf, log
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from custody.core.errors import InvalidInput
from custody.core.measures.summary import Summary, merge
from custody.monitoring.detector import State, ebh, global_log_e, later, log_e, look, observe, replay, started, stored
from custody.monitoring.prior import label_spec, label_summary
from custody.monitoring.reference import Tolerance, count_events, reference_of
from custody.monitoring.report import drift_check, frozen, report

COUNTS = {"no": 700, "yes": 300}
SPEC = label_spec(COUNTS)
SUMMARY = label_summary(COUNTS, SPEC)
REFERENCE = reference_of(SUMMARY)
YES = next(i for i, event in enumerate(REFERENCE.events) if event.words == "label = yes")
EDGE = float(REFERENCE.limit[1, YES, 0])  # the largest share of yes that is no drift at the alarm's tolerance
FLOOR = 1 - float(REFERENCE.limit[1, YES, 1])
SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=20)


def batch(yes: int, rows: int) -> Summary:
    return label_summary({"no": rows - yes, "yes": yes}, SPEC)


def counted(yes: int, rows: int) -> np.ndarray:
    return count_events(REFERENCE.events, batch(yes, rows))


def e_of(state: State, level: int = 1) -> float:
    return exp(float(global_log_e(REFERENCE, state)[level]))


@pytest.mark.parametrize("share", [FLOOR, 0.3, EDGE])
def test_the_exact_mean_of_the_evidence_after_two_looks_is_at_most_one(share: float) -> None:
    n, mean = 12, 0.0
    chances = binom.pmf(np.arange(n + 1), n, share)
    for first, second in product(range(n + 1), repeat=2):
        state = observe(REFERENCE, observe(REFERENCE, started(REFERENCE), counted(first, n), n), counted(second, n), n)
        mean += chances[first] * chances[second] * e_of(state)
    assert mean <= 1 + 1e-9
    if share != 0.3:
        assert mean > 0.7, "at the edge of what is tolerated some bets are fair, so the guarantee is not empty"


def test_under_an_adversary_within_the_tolerance_the_mean_stays_at_most_one_and_alarms_stay_rare() -> None:
    rng, runs, ever = np.random.default_rng(31), 250, 0
    ends = []
    for _ in range(runs):
        state, share = started(REFERENCE), EDGE
        for _ in range(14):
            yes = int(rng.binomial(40, share))
            state = observe(REFERENCE, state, counted(yes, 40), 40)
            share = EDGE if yes > 40 * EDGE else FLOOR  # chosen from the past: what looks like drift is driven on
        ends.append(e_of(state))
        ever += bool(state.alarmed[1])
    error = np.std(ends) / np.sqrt(runs)
    assert np.mean(ends) <= 1 + 3 * error  # three Monte-Carlo errors: a chance of 0.1 %
    assert ever / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_share_within_the_tolerance_is_never_found_however_many_rows() -> None:
    rng, state = np.random.default_rng(32), started(REFERENCE)
    for _ in range(200):
        state = observe(
            REFERENCE, state, counted(int(rng.binomial(100_000, 0.34)), 100_000), 100_000
        )  # 4 points: tolerated are 5
    assert not state.first[1].any()
    assert not state.alarmed[1]


def test_the_weights_of_all_starts_add_up_to_one_and_later_ones_matter() -> None:
    weights = np.diff([-later(looks) for looks in range(5001)])
    assert weights.sum() + later(5000) == pytest.approx(1)
    assert (np.diff(weights) < 0).all()
    assert -log(weights[30]) < log(31 * 32) - 1, "a start at look 31 costs less than with weights 1 / (t (t + 1))"


@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=8))
@settings(max_examples=40)
def test_a_replay_gives_the_stored_state_to_the_last_step(days: list[tuple[int, float]]) -> None:
    batches = [batch(int(share * rows), rows) for rows, share in days]
    kept = started(REFERENCE)
    for one in batches:
        kept = State.from_json(json.loads(json.dumps(look(REFERENCE, kept, one).to_json())), REFERENCE)
    again = replay(REFERENCE, batches)
    assert again.to_json() == kept.to_json()
    assert np.array_equal(again.logs, kept.logs)
    assert report(REFERENCE, again, batches[-1]) == report(REFERENCE, kept, batches[-1])
    assert np.array_equal(stored(again).logs, again.logs), "to store twice changes nothing"


def test_a_replay_needs_one_reference_for_each_batch() -> None:
    with pytest.raises(InvalidInput, match="for each"):
        replay([REFERENCE, REFERENCE], [batch(3, 10)])
    with pytest.raises(InvalidInput, match="for each"):
        replay(REFERENCE, [])
    with pytest.raises(InvalidInput, match="for each"):
        replay(REFERENCE, [batch(3, 10)], entities=[[10], [10]])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=6), st.randoms())
@settings(max_examples=30)
def test_a_look_does_not_depend_on_how_its_rows_were_split_or_ordered(parts: list[tuple[int, int]], random: Random) -> None:
    batches = [label_summary({"no": no, "yes": yes}, SPEC) for no, yes in parts]
    shuffled = random.sample(batches, len(batches))
    whole, other = batches[0], shuffled[0]
    for one, two in zip(batches[1:], shuffled[1:], strict=True):
        whole, other = merge(whole, one), merge(other, two)
    first, second = (look(REFERENCE, started(REFERENCE), one) for one in (whole, other))
    assert first.to_json() == second.to_json()


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=30), st.floats(0.001, 0.3))
def test_e_bh_rejects_by_its_definition(evidence: list[float], alpha: float) -> None:
    k, ranked = len(evidence), sorted(evidence, reverse=True)
    star = max((i for i in range(1, k + 1) if ranked[i - 1] >= log(k / i) - log(alpha)), default=0)
    rejected = ebh(evidence, alpha)
    assert rejected.sum() >= star
    assert (rejected == (np.array(evidence) >= (ranked[star - 1] if star else inf))).all()
    if rejected.any():
        assert np.logaddexp.reduce(evidence) - log(k) >= -log(alpha) - 1e-9


def test_e_bh_over_deployments_finds_the_one_that_drifts_and_refuses_nonsense() -> None:
    quiet, loud = started(REFERENCE), started(REFERENCE)
    for _ in range(5):
        quiet, loud = look(REFERENCE, quiet, batch(60, 200)), look(REFERENCE, loud, batch(160, 200))
    evidence = [float(global_log_e(REFERENCE, state)[1]) for state in (quiet, loud, quiet)]
    assert ebh(evidence, 0.05).tolist() == [False, True, False]
    for wrong, alpha in (([], 0.05), ([float("nan")], 0.05), ([1.0], 0.0)):
        with pytest.raises(InvalidInput, match="e-BH"):
            ebh(wrong, alpha)


def test_the_list_of_the_first_alarm_is_frozen() -> None:
    state = started(REFERENCE)
    assert frozen(REFERENCE, state) == (0, ())
    for yes in (60, 60, 160, 160, 160, 160):
        state = look(REFERENCE, state, batch(yes, 200))
    first = int(state.alarmed[1])
    assert first in {3, 4}
    assert frozen(REFERENCE, state) == (first, ("label",))
    for _ in range(30):
        state = look(REFERENCE, state, batch(60, 200))
    found = report(REFERENCE, state, batch(60, 200))
    assert (found.frozen, found.first_alarm, found.alarmed) == (("label",), first, first)
    facts = drift_check(found, "training").facts
    assert (facts["frozen"], facts["first_alarm"]) == (["label"], first)
    assert facts["eps_ref"] == found.columns[0].eps_ref == pytest.approx(REFERENCE.eps_ref[YES], rel=0.2)
    assert facts["delta"] == found.columns[0].delta == 0.02


def test_counts_that_are_not_of_the_events_are_refused() -> None:
    for counts in (counted(3, 10)[:-1], counted(3, 10) - 1, counted(3, 10) + 8):
        with pytest.raises(InvalidInput, match="one count for each"):
            observe(REFERENCE, started(REFERENCE), counts, 10)


def test_entities_of_one_row_each_change_nothing() -> None:
    plain = look(REFERENCE, started(REFERENCE), batch(33, 90))
    assert look(REFERENCE, started(REFERENCE), batch(33, 90), entities=[1] * 90).to_json() == plain.to_json()
    free = reference_of(SUMMARY, entities=[1] * 1000)
    assert free.digest == REFERENCE.digest
    assert np.array_equal(free.low, REFERENCE.low)
    assert np.array_equal(REFERENCE.effect, np.ones(len(REFERENCE.events)))


@given(SIZES, st.sampled_from([FLOOR, 0.3, EDGE]), st.integers(0, 2**32))
@settings(max_examples=20)
def test_with_entities_the_exact_mean_of_every_bet_is_at_most_one_if_their_rows_are_all_alike(
    sizes: list[int], share: float, seed: int
) -> None:
    rows = sum(sizes)
    chances = np.ones(1)  # of 0, 1, 2 ... rows of yes: each entity brings all of its rows or none
    for size in sizes:
        grown = np.zeros(len(chances) + size)
        grown[: len(chances)] += chances * (1 - share)
        grown[size:] += chances * share
        chances = grown
    states = [observe(REFERENCE, started(REFERENCE), counted(yes, rows), rows, entities=sizes) for yes in range(rows + 1)]
    start = log(later(0) - later(1))
    ratios = np.array([np.exp(state.logs[1, YES] - start) for state in states])
    assert (np.tensordot(chances, ratios, axes=1) <= 1 + 1e-9).all()
    mixed = np.random.default_rng(seed).permutation(sizes)
    assert observe(REFERENCE, started(REFERENCE), counted(rows // 2, rows), rows, entities=mixed).logs == pytest.approx(
        states[rows // 2].logs
    )


def test_rows_that_hang_together_are_weaker_evidence() -> None:
    apart = look(REFERENCE, started(REFERENCE), batch(120, 200))
    alike = look(REFERENCE, started(REFERENCE), batch(120, 200), entities=[20] * 10)
    assert log_e(REFERENCE, alike)[1, 0] < log_e(REFERENCE, apart)[1, 0] / 5
    with pytest.raises(InvalidInput, match="hold 190 rows, the look 200"):
        look(REFERENCE, started(REFERENCE), batch(120, 200), entities=[19] * 10)


def test_a_cap_limits_what_one_batch_can_say() -> None:
    capped = reference_of(SUMMARY, cap=100)
    states = {rows: look(capped, started(capped), batch(rows // 2, rows)) for rows in (100, 100_000)}
    free = look(REFERENCE, started(REFERENCE), batch(50, 100))
    assert np.array_equal(states[100].logs, free.logs)
    assert states[100_000].logs == pytest.approx(states[100].logs)
    with pytest.raises(InvalidInput, match="capped at 0"):
        reference_of(SUMMARY, cap=0)


def test_entities_of_the_reference_widen_its_bands_as_fewer_rows_would() -> None:
    clustered = reference_of(SUMMARY, entities=[10] * 100)
    small = reference_of(label_summary({"no": 70, "yes": 30}, SPEC))
    assert clustered.low == pytest.approx(small.low)
    assert clustered.high == pytest.approx(small.high)
    assert (clustered.eps_ref >= REFERENCE.eps_ref).all()


def test_bets_that_can_never_win_take_no_share_of_the_wealth() -> None:
    placed = np.isfinite(REFERENCE.prior)
    assert np.array_equal(placed, REFERENCE.gain > 0)
    assert np.exp(REFERENCE.prior).sum(axis=(1, 2, 3)) == pytest.approx(1)


def test_a_tolerance_of_everything_leaves_no_bet_and_no_evidence() -> None:
    blind = reference_of(SUMMARY, Tolerance(notice=0.999, alarm=0.999, quality=0.999))
    state = look(blind, started(blind), batch(200, 200))
    assert np.isfinite(log_e(blind, state)).all()
    assert not state.first.any()
