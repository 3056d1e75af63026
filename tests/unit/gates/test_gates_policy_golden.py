"""Policies and golden sets: any JSON is one or InvalidInput, all faults at once; digests name the rules, not the version."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.gates.golden import GoldenSet, cases_of
from custody.gates.policy import Policy, policy_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
numbers = st.sampled_from([0, 1, 0.5, -1, 10**400, float("inf"), float("nan"), 1e308, True, None, "0.5"])
rules = st.dictionaries(
    st.sampled_from(["metric", "minimum", "max_drop", "threshold", "column", "measure", "tolerance", "alpha", "min_n"]),
    numbers | st.sampled_from(["auc", "recall", "region"]) | values,
)
settings = st.sampled_from(["metrics", "bias", "max_difference", "max_flips", "golden_required", "valid_days", "thresholds"])


def policy(values: dict[str, Json]) -> Policy:
    return policy_of("churn", values, version=1, now=NOW)


def faults(values: dict[str, Json]) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        policy(values)
    found = error.value.facts["faults"]
    assert isinstance(found, list)
    return found


@given(st.dictionaries(settings | st.text(max_size=5), values | numbers | st.lists(rules | numbers, max_size=3)))
def test_any_json_is_a_policy_or_invalid_input(given_values: dict[str, Json]) -> None:
    try:
        made = policy(given_values)
    except InvalidInput:
        return
    assert made.digest == policy(given_values).digest
    assert NOW + timedelta(days=made.valid_days) >= NOW


def test_an_empty_policy_has_the_strict_defaults() -> None:
    made = policy({})
    assert (made.max_difference, made.max_flips, made.golden_required, made.valid_days, made.thresholds) == (
        1e-4,
        0,
        True,
        30,
        (0.5,),
    )


def test_a_written_policy_is_read() -> None:
    made = policy(
        {
            "thresholds": [0.4, 0.5],
            "metrics": [{"metric": "auc", "minimum": 0.6}, {"metric": "recall", "max_drop": 0.02, "threshold": 0.4}],
            "bias": [{"column": "region", "measure": "recall", "tolerance": 0.1, "min_n": 50}],
        }
    )
    assert [(rule.metric, rule.minimum, rule.max_drop, rule.threshold) for rule in made.metrics] == [
        ("auc", 0.6, None, None),
        ("recall", None, 0.02, 0.4),
    ]
    assert [(rule.column, rule.measure, rule.tolerance, rule.alpha, rule.min_n) for rule in made.bias] == [
        ("region", "recall", 0.1, 0.05, 50)
    ]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"metricks": []}, "unknown setting 'metricks' (did you mean 'metrics'?)"),
        ({"metrics": {"auc": 0.6}}, "'metrics' must be a list of mappings"),
        ({"metrics": [{"metric": "f2", "minimum": 0.5}]}, "'f2' is not a metric"),
        ({"metrics": [{"metric": "auc"}]}, "the rule for 'auc' needs 'minimum' or 'max_drop'"),
        ({"metrics": [{"metric": "auc", "minimum": 60}]}, "'minimum' must be a number from 0 to 1"),
        (
            {"metrics": [{"metric": "auc", "minimum": 0.6, "max_dorp": 0.1}]},
            "unknown setting 'max_dorp' (did you mean 'max_drop'?)",
        ),
        ({"metrics": [{"metric": "auc", "minimum": 0.6, "threshold": 0.4}]}, "which is none of 'thresholds'"),
        ({"bias": [{"column": "region", "measure": "accuracy"}]}, "'accuracy' is not a bias measure"),
        ({"bias": [{"measure": "recall"}]}, "a bias rule needs a 'column'"),
        ({"bias": [{"column": "region", "measure": "recall", "alpha": 1}]}, "'alpha' must be between 0 and 1"),
        ({"bias": [{"column": "region", "measure": "recall", "alpha": 0}]}, "'alpha' must be between 0 and 1"),
        ({"bias": [{"column": "region", "measure": "recall", "min_n": 0}]}, "'min_n' must be a whole number"),
        ({"max_flips": float("inf")}, "'max_flips' must be a number from 0 to"),
        ({"max_difference": float("nan")}, "'max_difference' must be a number from 0 to 1"),
        ({"valid_days": 10**9}, "'valid_days' must be a number from 0 to 3650"),
        ({"thresholds": []}, "'thresholds' must be a list of numbers from 0 to 1"),
        ({"thresholds": [0.5, 2]}, "'thresholds' must be a list of numbers from 0 to 1"),
    ],
)
def test_a_fault_is_named(values: dict[str, Json], fault: str) -> None:
    assert any(fault in found for found in faults(values))


def test_all_faults_are_told_at_once() -> None:
    assert len(faults({"metrics": [{"metric": "f2"}], "bias": 1, "max_flips": -1, "thresholds": "x", "y": 0})) == 6


def test_the_digest_names_the_rules_and_not_the_version_or_the_day() -> None:
    made = policy({"thresholds": [0.4]})
    assert made.digest == replace(made, version=9, created_at=NOW + timedelta(days=9)).digest
    assert made.digest != policy({"thresholds": [0.4], "max_flips": 1}).digest


cases = st.dictionaries(st.sampled_from(["id", "inputs", "expect", "severity", "slice"]), values)


@given(st.lists(cases | values, max_size=4))
def test_any_json_is_a_golden_set_or_invalid_input(rows: list[Json]) -> None:
    try:
        made = cases_of(rows)
    except InvalidInput:
        return
    assert len({case.id for case in made}) == len(made) == len(rows)
    assert {case.severity for case in made} <= {"normal", "critical"}


def test_a_written_case_is_read_and_one_without_an_id_is_named_by_its_line() -> None:
    one, two = cases_of(
        [
            {"id": "a", "inputs": {"age": 18}, "expect": "Yes", "severity": "critical", "slice": "young"},
            {"inputs": {}, "expect": "No"},
        ]
    )
    assert (one.id, one.inputs, one.expect, one.severity, one.slice) == ("a", {"age": 18}, "Yes", "critical", "young")
    assert (two.id, two.severity) == ("case-2", "normal")


def test_faulty_cases_are_named_by_line() -> None:
    with pytest.raises(InvalidInput) as error:
        cases_of(
            [
                {"inputs": {}},
                {"id": "a", "inputs": {}, "expect": "x"},
                {"id": "a", "inputs": {}, "expect": "x", "severity": "high"},
            ]
        )
    assert [str(fault)[:7] for fault in error.value.facts["faults"] or ()] == ["line 1:", "line 3:", "line 3:"]  # type: ignore[union-attr] # a list of texts
    with pytest.raises(InvalidInput, match="it has no cases"):
        cases_of([])


def test_the_order_of_cases_does_not_count_but_their_content_does() -> None:
    one, two = cases_of([{"id": "a", "inputs": {"age": 1}, "expect": "Yes"}, {"id": "b", "inputs": {"age": 2}, "expect": "No"}])
    golden = GoldenSet("churn", 1, (one, two), NOW)
    assert golden.digest == GoldenSet("churn", 2, (two, one), NOW).digest
    assert golden.digest != GoldenSet("churn", 1, (one, replace(two, expect="Yes")), NOW).digest
