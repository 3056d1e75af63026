"""Gate: a model version is judged against its policy, and the verdict is kept with its evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, InvalidInput, NotFound
from custody.core.evidence import Evidence, GoldenResult, Verdict
from custody.core.refs import ModelRef
from custody.core.schema import Signature
from custody.core.tenancy import Role
from custody.data.dataset import DatasetVersion
from custody.gates.golden import GoldenCase, GoldenSet, cases_of
from custody.gates.judge import judge, waived
from custody.gates.policy import Policy, policy_of
from custody.lifecycle.access import access
from custody.lifecycle.convert import groups_of, measure_holdout, parity_of
from custody.lifecycle.reasons import kept_reason, says_something
from custody.lifecycle.rows import inputs_of
from custody.lifecycle.stores import Caller, Ports, Shelf
from custody.registry.model import ModelVersion
from custody.registry.ports import Scorer

CHAMPION = "champion"


def promote(
    ports: Ports,
    caller: Caller,
    ref: ModelRef,
    *,
    baseline: ModelRef | None = None,
    waive: Sequence[str] = (),
    reason: str = "",
    dry_run: bool = False,
) -> tuple[Verdict, int | None]:
    """Judge a model version against the gate of its name; the verdict is a value, passed or not.

    baseline: what to compare with; by default the champion. A pass against another baseline is not kept: it permits nothing. waive:
    checks of bias that are inconclusive, for which the caller, an approver, answers with a reason; it holds for this verdict alone.
    Raises: Conflict if the name has no policy; see `waived`.
    """
    caller.may(Role.APPROVER if waive else Role.CONTRIBUTOR)
    kept = kept_reason(reason)
    if waive and not says_something(kept):
        raise InvalidInput(
            "Why may these checks stay without an answer?", fix="Say it: --reason 'the group is new; looked at by hand'"
        )
    shelf = ports.stores.of(caller.tenant)
    version, policy = shelf.models.get(ref), shelf.gates.policy(ref.name)
    if policy is None:
        raise Conflict(
            f"'{ref.name}' has no gate policy, so nothing says what {ref} must show.",
            fix=f"Set one before the next run: custody gate set {ref.name} policy.yaml",
        )
    evidence = gather(ports, shelf, version, policy, baseline, at=caller.now)
    body = msgspec.json.encode(evidence, order="deterministic")
    digest = ports.stores.objects.of(caller.tenant).put(body)
    verdict = judge(policy, evidence, evidence_digest=digest, id=ports.new_id(caller.now), now=caller.now)
    verdict = waived(verdict, waive, by=caller.actor.name, reason=kept) if waive else verdict
    what_if = verdict.passed and evidence.baseline != _champion(shelf, ref)
    if dry_run or what_if:  # a pass against a chosen baseline is an answer, not a permission
        return verdict, None
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.gates.add(verdict)
        entry = change.record(
            "gate.passed" if verdict.passed else "gate.refused", str(ref), _facts(verdict) | ({"waiver": kept} if waive else {})
        )
    return verdict, entry.seq


def gather(
    ports: Ports, shelf: Shelf, version: ModelVersion, policy: Policy, baseline: ModelRef | None, *, at: datetime
) -> Evidence:
    """Collect all that the gate may look at, measuring candidate and baseline on the same rows, allowed as of a time."""
    model = ports.load(ports.stores.objects.get(version.artifact), version.signature)
    base = _baseline(shelf, version.ref, baseline)
    loaded = ports.load(ports.stores.objects.get(base.artifact), base.signature) if base else None
    groups, golden = groups_of(shelf, version.ref.name, version.datasets), shelf.gates.golden(version.ref.name)
    used = [shelf.datasets.get(use.ref) for use in version.datasets]
    return Evidence(
        candidate=version.ref,
        artifact=version.artifact,
        holdout=tuple(str(use.ref) for use in version.datasets),
        measured=measure_holdout(ports, shelf, version.datasets, model, version, groups, at=at),
        parity=parity_of(ports, model, version, policy.thresholds),
        golden=_golden(ports, shelf, golden, policy.thresholds[0], model, version, base, loaded),
        golden_digest=golden.digest if golden else None,
        run_started_at=shelf.runs.get(version.run_id).started_at,
        baseline=base.ref if base else None,
        baseline_artifact=base.artifact if base else None,
        baseline_measured=measure_holdout(ports, shelf, version.datasets, loaded, base, (), at=at) if base and loaded else (),
        dataset_blocks=tuple(
            f"{one.ref}: {block}"
            for one in used
            for block in (*one.card.blocks, *one.card.promotion_blocks(_looked_at(one, policy)))
        ),
    )


def _looked_at(data: DatasetVersion, policy: Policy) -> tuple[str, ...]:
    return (*data.schema.groups, *(rule.column for rule in policy.bias))


def _baseline(shelf: Shelf, ref: ModelRef, asked: ModelRef | None) -> ModelVersion | None:
    if asked is not None:
        return shelf.models.get(asked)
    champion = _champion(shelf, ref)
    return shelf.models.get(champion) if champion else None


def _champion(shelf: Shelf, ref: ModelRef) -> ModelRef | None:
    champion = shelf.models.alias(ref.name, CHAMPION)
    return champion if champion != ref else None


def _golden(
    ports: Ports,
    shelf: Shelf,
    golden: GoldenSet | None,
    threshold: float,
    model: Scorer,
    version: ModelVersion,
    base: ModelVersion | None,
    loaded: Scorer | None,
) -> tuple[GoldenResult, ...]:
    if golden is None:
        return ()
    before: dict[str, list[int]] = {}
    for verdict in shelf.gates.verdicts(version.ref.name):
        if verdict.passed and verdict.model != version.ref and verdict.golden == golden.digest:
            past = msgspec.json.decode(ports.stores.objects.get(verdict.evidence), type=Evidence)
            for result in past.golden:
                if result.passed:
                    before.setdefault(result.case, []).append(verdict.model.version)
    if base and loaded:
        for case, once in zip(golden.cases, decided(golden.cases, loaded, base.signature, threshold), strict=True):
            if once == case.expect and base.ref.version not in before.setdefault(case.id, []):
                before[case.id].append(base.ref.version)
    got = decided(golden.cases, model, version.signature, threshold)
    return tuple(
        GoldenResult(case.id, one == case.expect, tuple(before.get(case.id, ())), case.severity, case.expect, one)
        for case, one in zip(golden.cases, got, strict=True)
    )


def decided(cases: Sequence[GoldenCase], model: Scorer, signature: Signature, threshold: float) -> list[str]:
    """Return the class that a model decides for each case."""
    columns: Mapping[str, list[Any]] = {
        name: [case.inputs[name] for case in cases] for name in signature.features if all(name in case.inputs for case in cases)
    }
    negative, positive = signature.classes
    return [positive if score >= threshold else negative for score in model.scores(inputs_of(signature, columns))]


def set_policy(
    ports: Ports, caller: Caller, model: str, values: Mapping[str, Json], *, dry_run: bool = False
) -> tuple[Policy, int | None]:
    """Fix what a model name must show; the same rules again change nothing."""
    caller.may(Role.APPROVER)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        old = change.gates.policy(model)
        policy = policy_of(model, values, version=old.version + 1 if old else 1, now=caller.now)
        if old and old.digest == policy.digest:
            return old, None
        if dry_run:
            return policy, None
        change.gates.add_policy(policy)
        entry = change.record("gate.set", model, {"version": policy.version, "digest": policy.digest})
    return policy, entry.seq


def set_golden(
    ports: Ports, caller: Caller, model: str, rows: Sequence[Json], *, dry_run: bool = False
) -> tuple[GoldenSet, int | None]:
    """Set the golden cases of a model name; cases that do not fit the newest version's signature are refused by line."""
    caller.may(Role.CONTRIBUTOR)
    cases = cases_of(rows)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        if latest := change.models.latest(model):
            _check_cases(cases, latest.signature)
        old = change.gates.golden(model)
        golden = GoldenSet(model, old.version + 1 if old else 1, cases, caller.now)
        if old and old.digest == golden.digest:
            return old, None
        if dry_run:
            return golden, None
        change.gates.add_golden(golden)
        entry = change.record("golden.set", model, {"version": golden.version, "digest": golden.digest, "cases": len(cases)})
    return golden, entry.seq


def golden_of(ports: Ports, caller: Caller, model: str) -> tuple[GoldenSet, Digest]:
    """Return the newest golden set of a model name with its digest; NotFound without one.

    Inputs are rows, perhaps of people: who may see rows gets them, and the ledger says so; for others they are empty.
    """
    caller.may(Role.VIEWER)
    golden = ports.stores.of(caller.tenant).gates.golden(model)
    if golden is None:
        raise NotFound.of("golden set", model, ls="custody golden add MODEL cases.jsonl")
    if not caller.actor.sees_rows:
        return replace(golden, cases=tuple(replace(case, inputs={}) for case in golden.cases)), golden.digest
    access(ports, caller, model, {"golden": golden.digest}, rows=len(golden.cases), purpose="golden cases")
    return golden, golden.digest


def _check_cases(cases: Sequence[GoldenCase], signature: Signature) -> None:
    faults = []
    for line, case in enumerate(cases, 1):
        missing = [name for name in signature.features if name not in case.inputs]
        unknown = [name for name in case.inputs if name not in signature.features]
        faults += [f"line {line}: lacks the input '{name}'" for name in missing]
        faults += [f"line {line}: '{name}' is not an input" for name in unknown]
        if case.expect not in signature.classes:
            faults.append(f"line {line}: expects a class that is none of {', '.join(signature.classes)}")
    if faults:
        raise InvalidInput(
            "The golden set does not fit the model's signature: " + "; ".join(faults[:20]) + ".",
            why=f"The model takes {', '.join(signature.features)}.",
            fix="Correct the cases, or register the model that takes them first.",
            facts={"faults": faults[:20]},
        )


def _facts(verdict: Verdict) -> dict[str, Json]:
    golden: Digest | None = verdict.golden
    return {
        "verdict": verdict.id,
        "artifact": verdict.artifact,
        "policy": verdict.policy,
        "golden": golden,
        "evidence": verdict.evidence,
        "checks": [[check.name, check.outcome.value] for check in verdict.checks],
        "expires_at": verdict.expires_at.isoformat(),
    }
