"""What a person looks at, put together from the same ports as everything else; reads only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from custody.core.errors import NotFound
from custody.core.evidence import Estimate, Outcome
from custody.core.manifest import Target
from custody.core.page import MOST, PAGE, cursor_of, key_of
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role, TenantId
from custody.deployment.revision import Revision
from custody.ledger.entry import Entry
from custody.lifecycle.beside import last_comparison
from custody.lifecycle.explain import last_explained
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.stores import Caller, Ports, Stores
from custody.lifecycle.views import ChangeRow, DeploymentView, LineageNode, Overview, RevisionRow, ServiceRow
from custody.lifecycle.windows import registered
from custody.monitoring.alert import AlertState
from custody.monitoring.evaluation import Evaluation, Slice, slices
from custody.monitoring.health import Health, health
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Look

_WORST = {"failing": 0, "unknown": 1, "degraded": 2, "healthy": 3}
CHANGES = 12


def overview(ports: Ports, caller: Caller, *, after: str | None = None, limit: int = PAGE) -> Overview:
    """Show the deployments that a caller may see, worst first then by cost, and what changed last."""
    caller.actor.require(Role.VIEWER)
    stores = ports.stores
    tenants = [caller.actor.tenant] if caller.actor.tenant else tenants_of(stores)
    services = sorted(
        (_row(ports, head, caller.now) for tenant in tenants for head in stores.of(tenant).deployments.heads()), key=_order
    )
    start = int(key_of(after, 1)[0]) if after else 0
    shown = tuple(services[start : start + limit])
    states = [row.state for row in services]
    costs: dict[str, float] = {}
    for row in services:
        if row.cost is not None and row.currency:
            costs[row.currency] = costs.get(row.currency, 0.0) + row.cost
    return Overview(
        as_of=caller.now,
        services=shown,
        healthy=states.count("healthy"),
        degraded=states.count("degraded"),
        failing=states.count("failing"),
        unknown=states.count("unknown"),
        open_alerts=sum(len(stores.of(tenant).monitors.open_alerts()) for tenant in tenants),
        labelled=sum(min(stores.of(row.tenant).labels.count(_key(row)), row.predictions) for row in services),
        predictions=sum(row.predictions for row in services),
        cost=tuple(sorted(costs.items())),
        changes=_changes(stores, caller.actor.tenant, None),
        next=cursor_of(start + limit) if start + limit < len(services) else None,
    )


def _key(row: ServiceRow) -> DeploymentKey:
    return DeploymentKey(row.tenant, row.environment, row.name)


def _order(row: ServiceRow) -> tuple[int, float, str]:
    return _WORST[row.state], -(row.cost or 0.0), row.deployment


def describe(ports: Ports, caller: Caller, key: DeploymentKey) -> DeploymentView:
    """Show one deployment with its timeline, measurements, checks and lineage."""
    caller.within(key.tenant).actor.require(Role.VIEWER)
    shelf = ports.stores.of(key.tenant)
    head = shelf.deployments.head(key)
    if head is None:
        raise NotFound.of("deployment", str(key), ls="custody deployment ls")
    live = head.service.live
    verdict = ports.stores.of(head.owner).gates.verdict(live.model)
    looks, evaluations = shelf.monitors.looks(key), shelf.monitors.evaluations(key)
    nodes, edges = _lineage(ports, head)
    return DeploymentView(
        as_of=caller.now,
        row=_row(ports, head, caller.now),
        timeline=tuple(_revision(one) for one in reversed(shelf.deployments.history(key, limit=200).items)),
        evaluations=tuple(evaluations),
        looks=tuple(looks),
        drifting=tuple(look.sentence for look in _newest(looks) if look.level != "none"),
        alerts=tuple(shelf.monitors.alerts(key, limit=20).items),
        checks=verdict.checks if verdict else (),
        verdict_at=verdict.at if verdict else None,
        verdict_expires_at=verdict.expires_at if verdict else None,
        costs=shelf.monitors.cost(key),
        lineage=nodes,
        edges=edges,
        changes=_changes(ports.stores, key.tenant, str(key)),
        slices=_slices(shelf.monitors.policy(key), live, evaluations),
        explained=last_explained(shelf.monitors, key, live.model),
        beside=last_comparison(shelf.monitors, head),
    )


def _slices(policy: MonitorPolicy | None, live: Target, evaluations: Sequence[Evaluation]) -> tuple[Slice, ...]:
    """Measure the groups of the newest window of the live version."""
    mine = [one for one in evaluations if (one.model, one.threshold) == (live.model, live.threshold)]
    return slices(mine[-1], (policy or MonitorPolicy()).metric) if mine else ()


def _newest(looks: Sequence[Look]) -> list[Look]:
    return list({look.reference: look for look in looks}.values())


def _revision(revision: Revision) -> RevisionRow:
    service = revision.service
    return RevisionRow(
        service.revision,
        revision.at,
        revision.action,
        revision.actor,
        revision.reason,
        str(service.live.model),
        service.live.threshold,
        _candidate(revision),
    )


def _candidate(revision: Revision) -> str | None:
    candidate = revision.service.candidate
    if candidate is None:
        return None
    share = f" {candidate.share:.0%}" if candidate.share else ""
    return f"{candidate.mode.value}{share} {candidate.target.model}"


def _row(ports: Ports, head: Revision, now: datetime) -> ServiceRow:
    key, live = head.key, head.service.live
    shelf = ports.stores.of(key.tenant)
    policy = shelf.monitors.policy(key) or MonitorPolicy()
    mine = [one for one in shelf.monitors.evaluations(key) if (one.model, one.threshold) == (live.model, live.threshold)]
    newest: Evaluation | None = mine[-1] if mine else None
    looks = [look for look in shelf.monitors.looks(key) if look.model in ("", str(live.model))]
    last = shelf.captures.last(key)
    metric: Estimate | None = newest.metric(policy.metric) if newest else None
    alerts = [alert for alert in shelf.monitors.open_alerts(key) if alert.state is not AlertState.RESOLVED]
    found: Health = health(
        alerts, newest, looks, last.last_at if last else None, now, policy, last_event=last.last_event if last else None
    )
    shown = [look for look in looks if look.reference == "training"]
    matrix = shelf.monitors.cost(key)
    return ServiceRow(
        deployment=str(key),
        tenant=key.tenant,
        environment=key.environment,
        name=key.name,
        revision=head.number,
        model=str(live.model),
        threshold=live.threshold,
        candidate=_candidate(head),
        handling=head.service.handling,
        state=found.state.value,
        reason=found.reason,
        metric=metric,
        registered=registered(ports, head, live, policy.metric),
        coverage=newest.coverage if newest else None,
        drift=tuple(look.psi for look in shown[-30:]),
        drift_expected=shown[-1].psi_expected if shown else None,
        drift_level=max((look.level for look in _newest(looks)), key=("none", "notice", "alarm").index, default="none"),
        latency_p95_ms=shown[-1].latency_p95_us / 1000 if shown else None,
        predictions=shelf.captures.answered(key),
        cost=newest.cost if newest else None,
        currency=matrix.currency if matrix else None,
        last_prediction_at=last.last_at if last else None,
        deployed_at=head.at,
    )


def _changes(stores: Stores, tenant: TenantId | None, subject: str | None) -> tuple[ChangeRow, ...]:
    noise = {"dataset.read", "captures.sealed", "key.added", "run.started", "retrain.step", "alias.set"}
    page = stores.ledger.page(tenant, subject=subject, kind=None, after=None, limit=min(MOST, CHANGES * 8))
    kept = [entry for entry in page.items if entry.kind not in noise][:CHANGES]
    return tuple(
        ChangeRow(entry.seq, entry.at, entry.tenant, entry.actor, entry.kind, entry.subject, _sentence(entry)) for entry in kept
    )


def _sentence(entry: Entry) -> str:
    body = entry.body
    match entry.kind:
        case "rollout.step":
            model = body["candidate"][0] if body.get("candidate") and body["action"] != "promote" else body["model"]  # type: ignore[index]  # written by release
            return f"{body['action']} {model} at threshold {body['threshold']:g}" + (
                f": {body['reason']}" if body.get("reason") else ""
            )
        case "gate.refused" | "gate.passed":
            return _judged(body["checks"])
        case "alert.raised" | "alert.changed":
            return str(body.get("check", "a version serves past its due date"))  # those of obligations once had no sentence
        case "alert.resolved":
            return f"resolved: {body['because']}"
        case "labels.received":
            return f"{body['new']} new labels"
        case "dataset.ingested":
            return f"{body['rows']} rows"
        case "evaluation.done":
            return f"{body['labelled']} of {body['predictions']} predictions measured"
        case "retrain.decided":
            return f"because {body['cause']}"
        case "run.finished":
            return f"{body['status']}" + (f": {body['cause']}" if body.get("cause") else "")
        case _:
            return entry.kind.replace(".", " ")


def _judged(checks: Any) -> str:
    """Say how a gate's checks, pairs of name and outcome, came out."""
    failed = [str(name) for name, outcome in checks if outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE}]
    waived = [str(name) for name, outcome in checks if outcome == Outcome.WAIVED]
    if failed:
        return f"refused: {', '.join(failed)}"
    return f"passed, with {', '.join(waived)} waived" if waived else "every check passed"


def _lineage(ports: Ports, head: Revision) -> tuple[tuple[LineageNode, ...], tuple[tuple[str, str], ...]]:
    """Return the chain of the live version and of the candidate: datasets, runs, models, deployment."""
    owner = ports.stores.of(head.owner)
    targets = [head.service.live] + ([head.service.candidate.target] if head.service.candidate else [])
    nodes: dict[str, LineageNode] = {}
    edges: list[tuple[str, str]] = []
    for target in targets:
        model = owner.models.get(target.model)
        run = owner.runs.get(model.run_id)
        nodes[str(model.ref)] = LineageNode(str(model.ref), "model", str(model.ref), model.framework, 2)
        nodes[run.id] = LineageNode(run.id, "run", run.name, f"{run.started_at:%Y-%m-%d %H:%M}", 1, run.status.value)
        for use in model.datasets:
            version = owner.datasets.get(use.ref)
            nodes[str(use.ref)] = LineageNode(str(use.ref), "dataset", str(use.ref), f"{version.rows:,} rows", 0)
            edges.append((str(use.ref), run.id))
        edges += [(run.id, str(model.ref)), (str(model.ref), str(head.key))]
    share = f"revision {head.number} at {head.service.live.threshold:g}"
    nodes[str(head.key)] = LineageNode(str(head.key), "deployment", str(head.key), share, 3)
    return tuple(nodes.values()), tuple(dict.fromkeys(edges))
