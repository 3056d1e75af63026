"""The bias check: surely too large fails, surely small enough passes, anything else asks for more rows."""

from dataclasses import replace

import numpy as np
import pytest
from gates_world import counts
from hypothesis import given
from hypothesis import strategies as st

from custody.core.evidence import GroupCounts, Outcome
from custody.gates.bias import bias_check
from custody.gates.policy import BiasRule

RULE = BiasRule("region", "selection_rate", 0.05)


def outcome(*groups: GroupCounts, rule: BiasRule = RULE) -> Outcome:
    return bias_check(rule, groups, 0.5).outcome


@pytest.mark.parametrize(
    ("one", "two", "n", "expected"),
    [
        (500, 500, 5000, Outcome.PASS),
        (5, 5, 100, Outcome.INCONCLUSIVE),  # equal, but the gap may be larger than 5 %
        (50, 45, 100, Outcome.INCONCLUSIVE),
        (2500, 2000, 5000, Outcome.FAIL),
        (50, 10, 100, Outcome.FAIL),
    ],
)
def test_three_outcomes_of_two_groups(one: int, two: int, n: int, expected: Outcome) -> None:
    assert outcome(counts("north", one, n), counts("south", two, n)) is expected


def test_a_gap_beyond_doubt_for_one_pair_is_not_beyond_doubt_among_many() -> None:
    """Bonferroni: the more pairs are compared, the stronger one of them must speak."""
    pair = (counts("a", 630), counts("b", 530))
    assert outcome(*pair) is Outcome.FAIL
    between = [counts(name, 580) for name in "cdefgh"]
    assert outcome(*pair, *between) is Outcome.INCONCLUSIVE


def test_a_small_group_is_inconclusive_and_never_skipped() -> None:
    fair = (counts("north", 2500, 5000), counts("south", 2500, 5000))
    assert outcome(*fair) is Outcome.PASS
    check = bias_check(RULE, [*fair, counts("island", 50, 99)], 0.5)
    assert (check.outcome, "Too few rows of island" in check.sentence) == (Outcome.INCONCLUSIVE, True)
    assert outcome(*fair, counts("island", 0, 0)) is Outcome.INCONCLUSIVE
    assert outcome(*fair, counts("island", 0, 99)) is Outcome.FAIL, "a gap beyond doubt needs no hundred rows"


def test_what_counts_as_rows_depends_on_the_measure() -> None:
    groups = [
        GroupCounts("region", "north", tn=900, fp=100, fn=5, tp=50),
        GroupCounts("region", "south", tn=900, fp=100, fn=5, tp=50),
    ]
    assert outcome(*groups, rule=replace(RULE, measure="recall")) is Outcome.INCONCLUSIVE  # 55 positives each
    assert outcome(*groups, rule=replace(RULE, measure="false_positive_rate")) is Outcome.PASS
    facts = bias_check(replace(RULE, measure="recall"), groups, 0.5).facts
    assert facts["rate:north"] == pytest.approx(50 / 55)


@pytest.mark.parametrize("groups", [(), (counts("north", 500),)])
def test_one_group_cannot_be_compared(groups: tuple[GroupCounts, ...]) -> None:
    assert outcome(*groups) is Outcome.INCONCLUSIVE


cells = st.integers(0, 400)
tables = st.lists(st.tuples(cells, cells, cells, cells), min_size=2, max_size=5)


@given(
    tables,
    st.sampled_from(["selection_rate", "recall", "false_positive_rate"]),
    st.floats(0.01, 0.5),
    st.randoms(use_true_random=False),
)
def test_the_order_of_groups_does_not_count_and_a_pass_means_small_measured_gaps(
    table: list[tuple[int, int, int, int]], measure: str, tolerance: float, random: object
) -> None:
    rule = replace(RULE, measure=measure, tolerance=tolerance)
    groups = [GroupCounts("region", f"g{i}", *row) for i, row in enumerate(table)]
    check = bias_check(rule, groups, 0.5)
    random.shuffle(groups)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert bias_check(rule, groups, 0.5) == check
    rates = [float(str(value)) for name, value in check.facts.items() if name.startswith("rate:")]
    if check.outcome is Outcome.PASS:
        assert max(rates) - min(rates) <= tolerance
    if check.outcome is Outcome.FAIL:
        assert max(rates) - min(rates) > tolerance


@pytest.mark.parametrize(
    ("n", "gap", "least", "most"), [(100, 0.0, 0.0, 0.05), (300, 0.0, 0.0, 0.05), (1000, 0.05, 0.0, 0.05), (1000, 0.2, 0.95, 1.0)]
)
def test_equal_groups_and_a_gap_at_the_tolerance_are_rarely_failed_and_a_large_gap_is(
    n: int, gap: float, least: float, most: float
) -> None:
    """Eight groups, recall .70, tolerance .05, as in the simulation that a bootstrap of the largest gap fails."""
    rng = np.random.default_rng(7)
    rule = replace(RULE, measure="recall")
    trials, failed = 200, 0
    for _ in range(trials):
        found = rng.binomial(n, [0.7, *[0.7 - gap] * 7])
        groups = [GroupCounts("region", f"g{i}", 0, 0, n - int(tp), int(tp)) for i, tp in enumerate(found)]
        failed += outcome(*groups, rule=rule) is Outcome.FAIL
    assert least <= failed / trials <= most


def test_equal_groups_pass_once_there_are_enough_rows() -> None:
    rng = np.random.default_rng(8)
    passed = sum(
        outcome(*(counts(f"g{i}", int(k), 5000) for i, k in enumerate(rng.binomial(5000, [0.7] * 8)))) is Outcome.PASS
        for _ in range(100)
    )
    assert passed >= 95
