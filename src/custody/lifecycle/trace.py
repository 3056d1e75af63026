"""Ask why: from one prediction back to the consent and the card behind its data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from custody.core.digest import Json
from custody.core.errors import NotFound
from custody.core.prediction import PredictionId
from custody.core.tenancy import TenantId
from custody.deployment.revision import Revision
from custody.lifecycle.access import access
from custody.lifecycle.captured import INPUT, row_of
from custody.lifecycle.scan import stands
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.consent import Admission
from custody.registry.run import DatasetUse


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One link of the chain: what it is, its name, its facts, and the ledger entry that recorded it (None: not recorded)."""

    kind: str
    name: str
    facts: Mapping[str, Json]
    ledger: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The chain from a decision to its data, in that order; `complete` is False if a link is missing, `gaps` says which."""

    prediction: str
    made_at: datetime
    steps: tuple[TraceStep, ...]
    complete: bool
    gaps: tuple[str, ...]


def trace(ports: Ports, caller: Caller, prediction: str) -> Trace:
    """Follow a prediction id back to decision, deployment, gate, model, run, data and card; reads only.

    Inputs, score, decision and label are a row, perhaps about a person: a viewer sees that it is there; who may see rows sees it,
    and the ledger says so.
    Raises InvalidInput for a text that is no prediction id, NotFound for another tenant's.
    """
    id = PredictionId.parse(prediction)  # noqa: A001 - the field's word
    key = id.deployment
    caller.within(key.tenant)
    shelf = ports.stores.of(key.tenant)
    revision = shelf.deployments.revision(key, id.revision)
    targets = [revision.service.live, *([revision.service.candidate.target] if revision.service.candidate else [])]
    if id.model not in [target.model for target in targets]:
        raise NotFound.of("prediction", str(id))
    gaps: list[str] = []
    sees = caller.actor.sees_rows
    decision = _decision(ports, id, gaps, rows=sees)
    if sees and decision:
        access(ports, caller.within(key.tenant), str(key), {"prediction": str(id)}, rows=1, purpose="trace")
    steps = [*decision, _deployment(ports, revision, id)]
    owner = ports.stores.of(revision.owner)
    model = owner.models.get(id.model)
    verdict = owner.gates.verdict(id.model)
    if verdict is None:
        gaps.append(f"{id.model} has no verdict")
    else:
        facts: dict[str, Json] = {
            "passed": verdict.passed,
            "at": verdict.at.isoformat(),
            "evidence": verdict.evidence,
            "checks": [f"{check.name}: {check.outcome}. {check.sentence}" for check in verdict.checks],
        }
        kind = "gate.passed" if verdict.passed else "gate.refused"
        steps.append(TraceStep("verdict", verdict.id, facts, _entry(ports, revision.owner, str(id.model), kind)))
    registered = {f"{e.metric}@{m.threshold:g}": str(e) for m in model.registered for e in m.metrics}
    model_facts: dict[str, Json] = {
        "artifact": model.artifact,
        "framework": model.framework,
        "registered_at": model.created_at.isoformat(),
        "parity": [
            f"threshold {p.threshold:g}: largest difference {p.largest_difference:.1e}, {p.flips} flips on {p.rows} rows"
            for p in model.parity
        ],
        "registered": dict(registered),
    }
    steps.append(
        TraceStep("model", str(model.ref), model_facts, _entry(ports, revision.owner, str(model.ref), "model.converted"))
    )
    outside = caller.actor.tenant not in (None, revision.owner)
    steps += _origin(ports, revision.owner, model.run_id, gaps, outside=outside)
    return Trace(str(id), id.at, tuple(steps), not gaps, tuple(gaps))


def _decision(ports: Ports, id: PredictionId, gaps: list[str], *, rows: bool) -> list[TraceStep]:  # noqa: A002 - the field's word
    row = row_of(ports, id)
    if row is None:
        gaps.append("the captured inputs are not sealed yet, or were not kept: shed, or left out of the sample")
        return []
    facts: dict[str, Json] = {"threshold": row["threshold"], "mode": row["mode"], "event": row["event"].isoformat()}
    if not rows:
        hidden: dict[str, Json] = dict.fromkeys(("score", "decision", "inputs", "label"), "hidden: it needs a key that sees rows")
        return [TraceStep("decision", str(id), {**facts, **hidden})]
    label = ports.stores.of(id.deployment.tenant).labels.value_of(id.deployment, [name for name in (str(id), row["key"]) if name])
    shown: dict[str, Json] = {
        "score": row["score"],
        "decision": row["decision"],
        **facts,
        "inputs": {name.removeprefix(INPUT): _plain(value) for name, value in row.items() if name.startswith(INPUT)},
        "label": label.value if label else None,
    }
    return [TraceStep("decision", str(id), shown)]


def _plain(value: Any) -> Json:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _deployment(ports: Ports, revision: Revision, id: PredictionId) -> TraceStep:  # noqa: A002 - the field's word
    service = revision.service
    facts: dict[str, Json] = {
        "tenant": service.key.tenant,
        "environment": service.key.environment,
        "revision": revision.number,
        "in_force_from": revision.at.isoformat(),
        "action": revision.action,
        "by": revision.actor,
        "reason": revision.reason,
        "live": str(service.live.model),
        "threshold": service.live.threshold,
        "candidate": str(service.candidate.target.model) if service.candidate else None,
        "answered_by": str(id.model),
    }
    page = ports.stores.ledger.page(revision.key.tenant, subject=str(revision.key), kind="rollout.step", after=None, limit=1000)
    seq = next((entry.seq for entry in page.items if entry.body.get("revision") == revision.number), None)
    return TraceStep("deployment", f"{service.key} revision {revision.number}", facts, seq)


def _origin(ports: Ports, owner: TenantId, run_id: str, gaps: list[str], *, outside: bool) -> list[TraceStep]:
    """Return run, data and cards; outside: the caller is another tenant, to whom what may name third tenants is not told."""
    shelf = ports.stores.of(owner)
    run = shelf.runs.get(run_id)
    facts: dict[str, Json] = {
        "name": run.name,
        "code_version": run.code_version,
        "command": " ".join(run.recipe.command) if run.recipe else "",
        "started_at": run.started_at.isoformat(),
        "params": dict(run.params),
        "environment": dict(run.environment),
        "cause": "" if outside else run.cause,
    }
    steps = [TraceStep("run", run.id, facts, _entry(ports, owner, run.id, "run.finished"))]
    if not run.datasets:
        gaps.append(f"run {run.id} read no dataset through custody")
    for use in run.datasets:
        version = shelf.datasets.get(use.ref)
        data: dict[str, Json] = {
            "digest": use.digest,
            "rows": version.rows,
            "split": use.split,
            "derived_from": [] if outside else list(version.derived_from),
        }
        data["scan"] = stands(ports.stores.of(owner), use.ref)[0].value
        seq = _entry(ports, owner, str(use.ref), "dataset.ingested")
        steps.append(TraceStep("dataset", str(use.ref), data, seq))
        if use.admission is not None:
            steps.append(
                TraceStep("consent", use.admission.purpose, _consent(use.admission), _read_entry(ports, owner, run_id, use))
            )
        card = version.card
        terms: dict[str, Json] = {
            "sources": [one for one in card.sources if not (outside and one.startswith("live traffic of "))],
            "legal_basis": card.legal_basis,
            "purposes": list(card.purposes),
            "license": card.license,
            "collection": f"{card.collection_method}, {card.collection_period}",
            "bias_treatment": card.bias_treatment,
            "limitations": card.limitations,
        }
        steps.append(TraceStep("card", card.title, terms, seq))
    return steps


def _consent(admission: Admission) -> dict[str, Json]:
    """Say on what ground the rows were used, as of when, and how many were left out."""
    return {
        "purpose": admission.purpose,
        "legal_basis": admission.basis,
        "as_of": admission.at.isoformat(),
        "snapshot": admission.snapshot,
        "rows_admitted": admission.admitted,
        "rows_refused": dict(admission.refused),
        "shares_changed": [
            f"{one.column} {one.group}: {one.before:.1%} to {one.after:.1%}"
            for one in admission.shifts
            if one.before != one.after
        ],
    }


def _read_entry(ports: Ports, tenant: TenantId, run: str, use: DatasetUse) -> int | None:
    """Return the entry of the read that decided this: the one with its run and its time."""
    page = ports.stores.ledger.page(tenant, subject=str(use.ref), kind="dataset.read", after=None, limit=1000)
    at = use.admission.at.isoformat() if use.admission else None
    return next((e.seq for e in page.items if e.body.get("run") == run and e.body.get("as_of") == at), None)


def _entry(ports: Ports, tenant: TenantId, subject: str, kind: str) -> int | None:
    found = ports.stores.ledger.page(tenant, subject=subject, kind=kind, after=None, limit=1).items
    return found[0].seq if found else None
