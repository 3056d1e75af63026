"""The bias check says how many rows would decide, and judges ratios by the same rule as differences."""

from dataclasses import replace

import numpy as np
import pytest
from gates_world import NOW, counts

from custody.core.errors import InvalidInput
from custody.core.evidence import Outcome
from custody.core.measures.performance import MISSING
from custody.gates.bias import bias_check, n_needed
from custody.gates.policy import BiasRule, Policy, policy_of
from custody.lifecycle.rows import group_columns

RULE = BiasRule("region", "selection_rate", 0.05)
FOUR_FIFTHS = replace(RULE, ratio=0.8)


def test_what_is_undecided_says_how_many_rows_would_decide_and_they_do() -> None:
    pair = [counts("north", 250, 500), counts("south", 247, 500)]
    check = bias_check(RULE, pair, 0.5)
    needed = check.facts["n_needed"]
    assert check.outcome is Outcome.INCONCLUSIVE
    assert isinstance(needed, int)
    assert f"About {needed:,} relevant rows in each group would decide" in check.sentence
    enough = [counts("north", needed // 2, needed), counts("south", round(needed * 0.494), needed)]
    assert bias_check(RULE, enough, 0.5).outcome is Outcome.PASS
    fewer = int(needed * 0.9)
    less = [counts("north", fewer // 2, fewer), counts("south", round(fewer * 0.494), fewer)]
    assert bias_check(RULE, less, 0.5).outcome is Outcome.INCONCLUSIVE


def test_a_gap_at_the_tolerance_is_never_decided() -> None:
    at = {"a": (550.0, 1000.0), "b": (500.0, 1000.0)}
    assert n_needed(RULE, at) is None
    assert n_needed(RULE, {"a": (5.0, 10.0), "b": (0.0, 0.0)}) is None
    check = bias_check(RULE, [counts("a", 550), counts("b", 500)], 0.5)
    assert "No number of rows would decide" in check.sentence


@pytest.mark.parametrize(
    ("one", "two", "n", "expected"),
    [
        (600, 300, 1000, Outcome.FAIL),
        (600, 590, 1000, Outcome.PASS),
        (600, 480, 1000, Outcome.INCONCLUSIVE),
        (6, 6, 100, Outcome.INCONCLUSIVE),
    ],
)
def test_the_four_fifths_rule_has_three_outcomes_too(one: int, two: int, n: int, expected: Outcome) -> None:
    for pair in ((one, two), (two, one)):
        check = bias_check(FOUR_FIFTHS, [counts("north", pair[0], n), counts("south", pair[1], n)], 0.5)
        assert check.outcome is expected
    if expected is Outcome.FAIL:
        assert "0.50 times the share of" in check.sentence


def test_a_ratio_at_the_limit_is_rarely_failed_or_passed() -> None:
    rng = np.random.default_rng(4)
    found = [
        bias_check(FOUR_FIFTHS, [counts("a", int(a), 2000), counts("b", int(b), 2000)], 0.5).outcome
        for a, b in zip(rng.binomial(2000, 0.5, 400), rng.binomial(2000, 0.4, 400), strict=True)
    ]
    assert found.count(Outcome.FAIL) <= 0.05 * 400
    assert found.count(Outcome.PASS) <= 0.06 * 400


def test_policies_without_a_ratio_keep_their_digest_and_three_columns_are_too_many() -> None:
    rules = {"bias": [{"column": "region", "measure": "selection_rate", "tolerance": 0.2}]}
    known = "f18c4bebe5b99668208af42b2b1409293b7f16f880dfea1e8dad64a606f0da31"  # as written before there were ratios
    policy = policy_of("loans", rules, version=1, now=NOW)  # type: ignore[arg-type]
    assert policy.digest == known
    ratio = policy_of("loans", {"bias": [{**rules["bias"][0], "ratio": 0.8}]}, version=1, now=NOW)
    assert ratio.digest != policy.digest
    assert isinstance(policy, Policy)
    with pytest.raises(InvalidInput, match="more than two columns"):
        policy_of("loans", {"bias": [{"column": "a*b*c", "measure": "recall"}]}, version=1, now=NOW)


def test_a_missing_value_is_a_group_in_intersections_too() -> None:
    columns = {"sex": ["f", None, "m"], "side": ["north", "south", None]}
    found = group_columns(columns, ["sex*side", "sex"])
    assert found["sex*side"] == ["f north", f"{MISSING} south", f"m {MISSING}"]
