"""One candidate that passes everything, to be spoiled in one respect by each test."""

from datetime import UTC, datetime, timedelta

from custody.core.digest import digest_of
from custody.core.evidence import Check, Estimate, Evidence, GoldenResult, GroupCounts, Measured, Parity, Verdict
from custody.core.refs import ModelRef
from custody.gates.judge import judge
from custody.gates.policy import BiasRule, MetricRule, Policy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEFORE = NOW - timedelta(days=1)
ARTIFACT, OTHER, EVIDENCE, GOLDEN = (digest_of(text) for text in (b"artifact", b"other", b"evidence", b"golden"))
POLICY = Policy(
    "churn",
    2,
    BEFORE,
    metrics=(MetricRule("auc", minimum=0.6), MetricRule("precision", max_drop=0.02)),
    bias=(BiasRule("region", "selection_rate", 0.2),),
)


def counts(group: str, selected: int, n: int = 1000) -> GroupCounts:
    return GroupCounts("region", group, n - selected, selected, 0, 0)


FAIR = (counts("north", 500), counts("south", 490))
AUC, PRECISION = Estimate("auc", 0.75, 0.7, 0.8, 2000), Estimate("precision", 0.8, 0.77, 0.83, 900)
MEASURED = Measured(0.5, (AUC, PRECISION), FAIR)
PASSED = GoldenResult("case-1", True, (), "normal", "Yes", "Yes")
GOOD = Evidence(
    candidate=ModelRef("churn", 7),
    artifact=ARTIFACT,
    holdout=("tickets@1",),
    measured=(MEASURED,),
    parity=(Parity(500, 1e-7, 1e-8, 0.5, 0, 0.01),),
    golden=(PASSED,),
    golden_digest=GOLDEN,
    run_started_at=NOW - timedelta(hours=1),
    baseline=ModelRef("churn", 6),
    baseline_artifact=OTHER,
    baseline_measured=(Measured(0.5, (AUC, PRECISION)),),
)


def judged(evidence: Evidence = GOOD, policy: Policy = POLICY) -> Verdict:
    return judge(policy, evidence, evidence_digest=EVIDENCE, id="v1", now=NOW)


def check_of(name: str, evidence: Evidence = GOOD, policy: Policy = POLICY) -> Check:
    """Return one check of the verdict, and make sure that the verdict passes only if every check does."""
    verdict = judged(evidence, policy)
    assert verdict.passed == all(check.outcome == "pass" for check in verdict.checks)
    return next(check for check in verdict.checks if check.name == name)
