"""The gate: a pure function from policy and evidence to a verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from custody.core.digest import Digest
from custody.core.errors import Denied, InvalidInput
from custody.core.evidence import Check, Evidence, Measured, Outcome, Parity, Verdict
from custody.core.refs import near
from custody.gates.bias import BIAS, bias_check
from custody.gates.policy import MetricRule, Policy

_FINE = frozenset({Outcome.PASS, Outcome.WAIVED})


def judge(policy: Policy, evidence: Evidence, *, evidence_digest: Digest, id: str, now: datetime) -> Verdict:  # noqa: A002 - the field's word
    """Run every check of the policy; the verdict passes only if each check passes."""
    checks = (
        _data(evidence),
        _identity(evidence),
        _policy_first(policy, evidence),
        *(_parity(policy, parity) for parity in evidence.parity),
        _golden(policy, evidence),
        *(check for measured in evidence.measured for check in _at(policy, evidence, measured)),
    )
    return Verdict(
        id=id,
        model=evidence.candidate,
        artifact=evidence.artifact,
        policy=policy.digest,
        golden=evidence.golden_digest,
        evidence=evidence_digest,
        thresholds=tuple(measured.threshold for measured in evidence.measured),
        passed=all(check.outcome is Outcome.PASS for check in checks),
        checks=checks,
        at=now,
        expires_at=now + timedelta(days=policy.valid_days),
    )


def waived(verdict: Verdict, names: Sequence[str], *, by: str, reason: str) -> Verdict:
    """Return the verdict with these inconclusive checks of bias waived, for this version alone.

    by: the approver. Raises: InvalidInput for a check that is not there or has an answer already; Denied for one that failed, or
    that is not about bias.
    """
    for name in names:
        _check_waivable(verdict, name)
    said = {"waived_by": by, "reason": reason}
    kept = tuple(
        replace(
            check,
            outcome=Outcome.WAIVED,
            sentence=f"{check.sentence} Waived by {by}: {reason}",
            facts={**check.facts, **said},
        )
        if check.name in names and check.outcome is Outcome.INCONCLUSIVE
        else check
        for check in verdict.checks
    )
    return replace(verdict, checks=kept, passed=all(check.outcome in _FINE for check in kept))


def _check_waivable(verdict: Verdict, name: str) -> None:
    """Refuse a name unless checks of it are inconclusive and none failed: two rules about the same groups share one."""
    found = {check.outcome for check in verdict.checks if check.name == name}
    if not found:
        names = [check.name for check in verdict.checks]
        close = near(name, names)
        hint = f"Did you mean '{close[0]}'?" if close else f"There are {', '.join(names)}."
        raise InvalidInput(f"The gate of {verdict.model} has no check '{name[:80]}'.", why=hint)
    if found == {Outcome.PASS}:
        raise InvalidInput(f"'{name}' passed, so there is nothing to waive.")
    if Outcome.FAIL in found or not name.startswith(BIAS):
        raise Denied(
            f"'{name}' cannot be waived: it is {'fail' if Outcome.FAIL in found else 'inconclusive'}.",
            why="Only a check of bias that is inconclusive, for want of rows, may be answered for by a person.",
            fix="Train a better model, or judge it on more rows.",
            facts={"check": name},
        )


def _answer(name: str, passed: bool, sentence: str, **facts: float | str | None) -> Check:
    return Check(name, Outcome.PASS if passed else Outcome.FAIL, sentence, facts)


def _data(evidence: Evidence) -> Check:
    if evidence.dataset_blocks:
        return _answer("provenance", False, "The training data may not be used: " + "; ".join(evidence.dataset_blocks) + ".")
    names = ", ".join(evidence.holdout) or "none"
    return _answer(
        "provenance",
        bool(evidence.holdout),
        f"Every dataset behind this model has a known source, legal basis and purpose: {names}.",
    )


def _identity(evidence: Evidence) -> Check:
    if evidence.baseline is None:
        return _answer("identity", True, "No earlier version is live to compare with: this is the first.")
    if evidence.baseline_artifact == evidence.artifact:
        return _answer(
            "identity",
            False,
            f"{evidence.candidate} is the same artifact as {evidence.baseline}: a model cannot be its own baseline.",
        )
    return _answer("identity", True, f"{evidence.candidate} is compared with {evidence.baseline}, another artifact.")


def _policy_first(policy: Policy, evidence: Evidence) -> Check:
    started = evidence.run_started_at
    if started is not None and policy.created_at <= started:
        return _answer("policy", True, f"Policy version {policy.version} was fixed before the run started.")
    return _answer(
        "policy",
        False,
        f"Policy version {policy.version} was set after the run started: rules are fixed before the result is known.",
    )


def _parity(policy: Policy, parity: Parity) -> Check:
    name = f"parity@{parity.threshold:g}"
    if not parity.rows:
        return Check(name, Outcome.INCONCLUSIVE, "The converted model was never compared with its original.")
    close = parity.largest_difference <= policy.max_difference and parity.flips <= policy.max_flips
    return _answer(
        name,
        close,
        f"ONNX differs from the original by at most {parity.largest_difference:.1e} on {parity.rows} rows (allowed {policy.max_difference:.0e}) "
        f"and flips {parity.flips} decisions at threshold {parity.threshold:g} (allowed {policy.max_flips}).",
        largest_difference=parity.largest_difference,
        flips=parity.flips,
    )


def _golden(policy: Policy, evidence: Evidence) -> Check:
    if not evidence.golden:
        return _answer(
            "golden",
            not policy.golden_required,
            "There is no golden set." + (" The policy asks for one." if policy.golden_required else ""),
        )
    failed = [case for case in evidence.golden if not case.passed]
    regressed = [case for case in failed if case.passed_before or case.severity == "critical"]
    passed = len(evidence.golden) - len(failed)
    if not regressed:
        return _answer(
            "golden",
            True,
            f"{passed} of {len(evidence.golden)} golden cases pass, and none that an earlier version passed fails.",
        )
    told = "; ".join(
        f"'{case.case}' expects {case.expected}, got {case.got}"
        + (f", passed by version {case.passed_before[-1]}" if case.passed_before else ", critical")
        for case in regressed[:5]
    )
    return Check(
        "golden",
        Outcome.FAIL,
        f"{len(regressed)} of {len(evidence.golden)} golden cases regressed: {told}.",
        {"regressed": [case.case for case in regressed]},
    )


def _at(policy: Policy, evidence: Evidence, measured: Measured) -> Iterator[Check]:
    base = next((m for m in evidence.baseline_measured if m.threshold == measured.threshold), None)
    for rule in policy.metrics:
        if rule.threshold in (None, measured.threshold):
            yield _metric(rule, evidence, measured, base)
    for bias in policy.bias:
        yield bias_check(bias, [group for group in measured.groups if group.column == bias.column], measured.threshold)


def _metric(rule: MetricRule, evidence: Evidence, measured: Measured, base: Measured | None) -> Check:
    name = f"metric:{rule.metric}@{measured.threshold:g}"
    mine = measured.metric(rule.metric)
    if mine is None:
        return Check(name, Outcome.INCONCLUSIVE, f"{rule.metric} could not be measured on the holdout rows.")
    facts = {"value": mine.value, "low": mine.low, "high": mine.high, "n": mine.n}
    if rule.minimum is not None and mine.low < rule.minimum:
        outcome = Outcome.FAIL if mine.value < rule.minimum else Outcome.INCONCLUSIVE
        return Check(name, outcome, f"{mine}: its lower bound does not reach {rule.minimum}.", facts)
    before = base.metric(rule.metric) if base else None
    if rule.max_drop is not None and base is not None and before is None:
        return Check(
            name,
            Outcome.INCONCLUSIVE,
            f"{mine}, and {evidence.baseline} has no {rule.metric} on these rows to compare with.",
            facts,
        )
    if rule.max_drop is not None and before is not None:
        drop = before.value - mine.value
        said = f"a drop of {drop:.3f}" if drop > 0 else "no drop"
        sentence = f"{mine} against {before.value:.3f} of {evidence.baseline} on the same rows: {said} (allowed {rule.max_drop})."
        return Check(name, Outcome.PASS if drop <= rule.max_drop else Outcome.FAIL, sentence, {**facts, "baseline": before.value})
    floor = f", at least {rule.minimum}" if rule.minimum is not None else ", and no earlier version to compare with"
    return Check(name, Outcome.PASS, f"{mine}{floor}.", facts)
