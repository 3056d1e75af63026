"""The judge: each check passes, fails or is inconclusive for its own reason, and one is enough to refuse."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from gates_world import (
    ARTIFACT,
    AUC,
    BEFORE,
    FAIR,
    GOLDEN,
    GOOD,
    MEASURED,
    NOW,
    OTHER,
    PASSED,
    POLICY,
    PRECISION,
    check_of,
    counts,
    judged,
)

from custody.core.digest import Digest, digest_of
from custody.core.evidence import Estimate, GoldenResult, Measured, Outcome, Parity
from custody.gates.policy import MetricRule


def parity(**changed: Any) -> tuple[Parity, ...]:
    return (replace(GOOD.parity[0], **changed),)


def test_a_good_candidate_passes_every_check() -> None:
    verdict = judged()
    assert verdict.passed
    assert [check.name for check in verdict.checks] == [
        "provenance",
        "identity",
        "policy",
        "parity@0.5",
        "golden",
        "metric:auc@0.5",
        "metric:precision@0.5",
        "bias:selection_rate:region@0.5",
    ]
    assert (verdict.thresholds, verdict.at, verdict.expires_at) == ((0.5,), NOW, NOW + timedelta(days=30))


def test_the_same_evidence_is_judged_the_same_again() -> None:
    assert judged() == judged()


def test_data_that_may_not_be_used_fails() -> None:
    check = check_of("provenance", replace(GOOD, dataset_blocks=("tickets@1: its source is unknown",)))
    assert (check.outcome, "its source is unknown" in check.sentence) == (Outcome.FAIL, True)
    assert check_of("provenance", replace(GOOD, holdout=())).outcome is Outcome.FAIL


def test_a_candidate_that_is_its_own_baseline_is_refused() -> None:
    check = check_of("identity", replace(GOOD, baseline_artifact=ARTIFACT))
    assert (check.outcome, "cannot be its own baseline" in check.sentence) == (Outcome.FAIL, True)


def test_the_first_model_of_a_name_needs_no_baseline() -> None:
    first = replace(GOOD, baseline=None, baseline_artifact=None, baseline_measured=())
    assert judged(first).passed
    assert "this is the first" in check_of("identity", first).sentence
    assert "no earlier version to compare with" in check_of("metric:precision@0.5", first).sentence


@pytest.mark.parametrize(
    ("started", "outcome"),
    [(BEFORE, Outcome.PASS), (NOW, Outcome.PASS), (BEFORE - timedelta(microseconds=1), Outcome.FAIL), (None, Outcome.FAIL)],
)
def test_the_rules_must_have_been_fixed_before_the_run(started: Any, outcome: Outcome) -> None:
    assert check_of("policy", replace(GOOD, run_started_at=started)).outcome is outcome


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"largest_difference": 1e-4}, Outcome.PASS),
        ({"largest_difference": 1.1e-4}, Outcome.FAIL),
        ({"flips": 1}, Outcome.FAIL),
        ({"rows": 0}, Outcome.INCONCLUSIVE),
    ],
)
def test_the_converted_model_must_decide_like_its_original(changed: dict[str, Any], outcome: Outcome) -> None:
    assert check_of("parity@0.5", replace(GOOD, parity=parity(**changed))).outcome is outcome


def test_flips_may_be_allowed_by_the_policy() -> None:
    assert check_of("parity@0.5", replace(GOOD, parity=parity(flips=2)), replace(POLICY, max_flips=2)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (GoldenResult("c", False, (), "normal"), Outcome.PASS),  # nobody ever passed it
        (GoldenResult("c", False, (6,), "normal"), Outcome.FAIL),
        (GoldenResult("c", False, (), "critical"), Outcome.FAIL),
        (GoldenResult("c", True, (6,), "critical"), Outcome.PASS),
    ],
)
def test_a_golden_case_must_not_get_worse_and_a_critical_one_must_pass(result: GoldenResult, outcome: Outcome) -> None:
    assert check_of("golden", replace(GOOD, golden=(PASSED, result))).outcome is outcome


def test_a_regressed_case_is_named_with_the_version_that_passed_it() -> None:
    check = check_of("golden", replace(GOOD, golden=(GoldenResult("young", False, (4, 6), "normal", "Yes", "No"),)))
    assert "'young' expects Yes, got No, passed by version 6" in check.sentence
    assert check.facts == {"regressed": ["young"]}


def test_a_golden_set_is_asked_for_unless_the_policy_says_otherwise() -> None:
    without = replace(GOOD, golden=(), golden_digest=None)
    assert check_of("golden", without).outcome is Outcome.FAIL
    assert check_of("golden", without, replace(POLICY, golden_required=False)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("auc", "outcome"),
    [
        (Estimate("auc", 0.65, 0.6, 0.7, 900), Outcome.PASS),
        (Estimate("auc", 0.65, 0.59, 0.7, 300), Outcome.INCONCLUSIVE),  # good enough, but not surely
        (Estimate("auc", 0.59, 0.55, 0.7, 900), Outcome.FAIL),
    ],
)
def test_the_lower_bound_of_a_metric_must_reach_its_minimum(auc: Estimate, outcome: Outcome) -> None:
    assert check_of("metric:auc@0.5", replace(GOOD, measured=(replace(MEASURED, metrics=(auc, PRECISION)),))).outcome is outcome


@pytest.mark.parametrize(("value", "outcome"), [(0.79, Outcome.PASS), (0.85, Outcome.PASS), (0.77, Outcome.FAIL)])
def test_a_metric_may_fall_behind_the_baseline_by_the_allowed_drop(value: float, outcome: Outcome) -> None:
    mine = replace(MEASURED, metrics=(AUC, replace(PRECISION, value=value)))
    assert check_of("metric:precision@0.5", replace(GOOD, measured=(mine,))).outcome is outcome


def test_a_metric_that_could_not_be_measured_is_inconclusive() -> None:
    assert (
        check_of("metric:precision@0.5", replace(GOOD, measured=(replace(MEASURED, metrics=(AUC,)),))).outcome
        is Outcome.INCONCLUSIVE
    )


def test_every_threshold_is_judged_and_a_rule_for_one_is_judged_there_only() -> None:
    two = replace(GOOD, measured=(MEASURED, Measured(0.7, (AUC, PRECISION), (counts("north", 900), counts("south", 100)))))
    policy = replace(POLICY, metrics=(MetricRule("auc", 0.6, threshold=0.7),), thresholds=(0.5, 0.7))
    verdict = judged(two, policy)
    failed = [check.name for check in verdict.checks if check.outcome is Outcome.FAIL]
    assert failed == ["bias:selection_rate:region@0.7"]
    assert [check.name for check in verdict.checks if check.name.startswith("metric")] == ["metric:auc@0.7"]
    assert verdict.thresholds == (0.5, 0.7)


def test_a_group_column_that_was_not_measured_is_inconclusive() -> None:
    blind = replace(GOOD, measured=(replace(MEASURED, groups=()),))
    assert check_of("bias:selection_rate:region@0.5", blind).outcome is Outcome.INCONCLUSIVE
    assert MEASURED.groups == FAIR


POLICY_DIGEST = POLICY.digest


@pytest.mark.parametrize(
    ("artifact", "policy", "golden", "later", "covered"),
    [
        (ARTIFACT, POLICY_DIGEST, GOLDEN, timedelta(0), True),
        (ARTIFACT, POLICY_DIGEST, GOLDEN, timedelta(days=30, microseconds=-1), True),
        (ARTIFACT, POLICY_DIGEST, GOLDEN, timedelta(days=30), False),
        (OTHER, POLICY_DIGEST, GOLDEN, timedelta(0), False),
        (ARTIFACT, digest_of(b"another policy"), GOLDEN, timedelta(0), False),
        (ARTIFACT, POLICY_DIGEST, OTHER, timedelta(0), False),
        (ARTIFACT, POLICY_DIGEST, None, timedelta(0), False),
    ],
)
def test_a_verdict_covers_exactly_what_was_judged_until_it_expires(
    artifact: Digest, policy: Digest, golden: Digest | None, later: timedelta, covered: bool
) -> None:
    assert judged().covers(artifact, policy, golden, NOW + later) is covered


def test_a_verdict_that_did_not_pass_covers_nothing() -> None:
    refused = judged(replace(GOOD, baseline_artifact=ARTIFACT))
    assert not refused.covers(ARTIFACT, POLICY_DIGEST, GOLDEN, NOW)
