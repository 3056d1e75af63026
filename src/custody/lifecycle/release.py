"""Deploy: a judged version serves a tenant; candidates are staged, promoted, rejected or rolled back."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, Denied
from custody.core.evidence import Outcome
from custody.core.manifest import Handling, Mode, Service, Target
from custody.core.page import MOST
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE, Actor, Role, TenantId
from custody.deployment.revision import Revision, check_threshold, deploy, handled, live_since, reject, rollback, stage
from custody.deployment.revision import promote as promoted
from custody.ledger.entry import Entry
from custody.lifecycle.promote import CHAMPION
from custody.lifecycle.publish import publish, tenants_of
from custody.lifecycle.reasons import kept_reason
from custody.lifecycle.stores import Caller, Change, Ports, Shelf
from custody.privacy.erasure.obligation import barred

SYSTEM = Actor("custody", Role.ADMIN)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to deploy where: mode None is live at once, canary takes `share` of the requests (0..1).

    expected: the revision the caller looked at; a different one by now is a Conflict. None: whatever is there.
    capture_share, max_batch, max_wait_us: how the deployment is handled (see `Handling`); None leaves it as it is.
    """

    key: DeploymentKey
    model: ModelRef
    threshold: float | None = None
    mode: Mode | None = None
    share: float = 0.0
    expected: int | None = None
    reason: str = ""
    owner: TenantId = HOUSE
    capture_share: float | None = None
    max_batch: int | None = None
    max_wait_us: int | None = None


def release(ports: Ports, caller: Caller, plan: Plan, *, dry_run: bool = False) -> tuple[Revision, int | None]:
    """Deploy a version, live or as a candidate; Denied unless a passing, unexpired verdict covers exactly this.

    The verdict must be on the same artifact, golden set, policy and threshold as of now.
    """
    caller.may(Role.CONTRIBUTOR).within(plan.key.tenant)
    ports.stores.tenants.get(plan.key.tenant)
    target = _target(ports, caller, plan)

    def step(head: Revision | None) -> tuple[Service, str]:
        handling = handled(head, capture_share=plan.capture_share, max_batch=plan.max_batch, max_wait_us=plan.max_wait_us)
        if plan.mode is None:
            return deploy(plan.key, head, target, handling), "deploy"
        return stage(head, plan.key, target, plan.mode, plan.share, handling=handling), plan.mode.value

    return _step(ports, caller, plan.key, lambda head, _: step(head), plan, dry_run=dry_run)


def advance(
    ports: Ports,
    caller: Caller,
    key: DeploymentKey,
    action: str,
    *,
    reason: str = "",
    expected: int | None = None,
    dry_run: bool = False,
) -> tuple[Revision, int | None]:
    """Promote or reject the candidate, or roll back to what was live before; one compare-and-swap."""
    caller.may(Role.CONTRIBUTOR)

    def step(head: Revision | None, change: Change) -> tuple[Service, str]:
        if head is None:
            raise Conflict(f"{key} serves nothing.", fix="List what serves: custody deployment ls")
        match action:
            case "promote":
                service = promoted(head)
                _require_verdict(ports, caller, service.live, head.owner)
                return service, action
            case "reject":
                return reject(head), action
            case _:
                return rollback(change.deployments.history(key, limit=1000).items), "rollback"

    head = ports.stores.of(key.tenant).deployments.head(key)
    owner = head.owner if head else HOUSE
    plan = Plan(key, ModelRef("none", 1), expected=expected, reason=reason, owner=owner)
    return _step(ports, caller, key, step, plan, dry_run=dry_run)


def _step(
    ports: Ports,
    caller: Caller,
    key: DeploymentKey,
    step: Callable[[Revision | None, Change], tuple[Service, str]],
    plan: Plan,
    *,
    dry_run: bool,
) -> tuple[Revision, int | None]:
    inside = caller.within(key.tenant)
    with ports.stores.change(key.tenant, inside.actor, caller.now) as change:
        head = change.deployments.head(key)
        if plan.expected is not None and plan.expected != (head.number if head else 0):
            raise Conflict(
                f"{key} is at revision {head.number if head else 0}, not {plan.expected}.",
                why=f"{head.actor} made it by '{head.action}' at {head.at:%Y-%m-%d %H:%M:%S}." if head else "It serves nothing.",
                fix=f"Look again: custody deployment show {key}",
                facts={"revision": head.number if head else 0, "expected": plan.expected},
            )
        service, action = step(head, change)
        if action != "reject":
            _check_in_change(ports, change, service, plan.owner, caller.now)
        if head is not None and action != "deploy" and plan.owner != head.owner:
            raise Conflict(
                f"{key} serves a model of '{head.owner}', and {plan.model} belongs to '{plan.owner}'.",
                why="A candidate is compared with a live version of the same registry.",
                fix=f"Deploy it live instead: custody deployment deploy {plan.model} --tenant {key.tenant}",
            )
        revision = Revision(service, action, caller.actor.name, caller.now, kept_reason(plan.reason), plan.owner)
        if dry_run:
            return revision, None
        entry = keep_step(change, revision)
    settle(ports, caller.now)
    return revision, entry.seq


def keep_step(change: Change, revision: Revision) -> Entry:
    """Store a revision with its ledger entry; `settle` makes the rest true after the change."""
    change.deployments.add(revision)
    return change.record("rollout.step", str(revision.key), _facts(revision))


def _check_in_change(ports: Ports, change: Change, service: Service, owner: TenantId, now: datetime) -> None:
    """Look at what is owed once more, inside the transaction: an erasure may have come, or an answer been given, meanwhile."""
    shelf = change if owner == change.tenant else ports.stores.of(owner)
    candidate = [service.candidate.target.model] if service.candidate else []
    for model in (service.live.model, *candidate):
        check_not_barred(shelf, model, now)


def settle(ports: Ports, now: datetime) -> None:
    """Make what follows from the deployments true: the published manifest, and the alias `champion` of each model name.

    Both are derived from the revisions alone: a process killed right after its commit leaves them for the next call.
    champion: the version that was made live last, anywhere; the next candidate is compared with it.
    """
    publish(ports, now)
    newest: dict[tuple[TenantId, str], tuple[datetime, Revision]] = {}
    for tenant in tenants_of(ports.stores):
        deployments = ports.stores.of(tenant).deployments
        for head in deployments.heads():
            place, since = (head.owner, head.service.live.model.name), live_since(deployments.history(head.key, limit=MOST).items)
            if place not in newest or newest[place][0] < since:
                newest[place] = since, head
    for (owner, name), (_, head) in newest.items():
        ref = head.service.live.model
        if ports.stores.of(owner).models.alias(name, CHAMPION) != ref:
            with ports.stores.change(owner, SYSTEM, now) as change:
                change.models.set_alias(CHAMPION, ref)
                change.record("alias.set", str(ref), {"alias": CHAMPION, "because": str(head.key)})


def _target(ports: Ports, caller: Caller, plan: Plan) -> Target:
    version = ports.stores.of(caller.within(plan.owner).tenant).models.get(plan.model)
    policy = ports.stores.of(plan.owner).gates.policy(plan.model.name)
    threshold = plan.threshold if plan.threshold is not None else (policy.thresholds[0] if policy else 0.5)
    target = Target(plan.model, version.artifact, version.signature, check_threshold(threshold), version.fixture)
    _require_verdict(ports, caller, target, plan.owner)
    return target


def check_not_barred(shelf: Shelf, model: ModelRef, now: datetime) -> None:
    """Raise Denied for a version that an erasure has taken out of use, or whose obligation is overdue."""
    if reason := barred(shelf.subjects.obligations(model=model), now):
        raise Denied(
            f"{model} may not be deployed: {reason}",
            why="An obligation that is past due stops promotion and new deployments until it is met.",
            fix="See what is owed, and answer it: custody obligation ls",
            facts={"model": str(model)},
        )


def _require_verdict(ports: Ports, caller: Caller, target: Target, owner: TenantId) -> None:
    check_not_barred(ports.stores.of(owner), target.model, caller.now)
    if reason := missing_verdict(ports.stores.of(owner), target, caller):
        raise Denied(
            f"{target.model} may not be deployed: {reason}",
            why="Only a version whose gate passed, for exactly this artifact, golden set, policy and threshold, may serve.",
            fix=f"Judge it and read why: custody gate check {target.model}",
            facts={"model": str(target.model), "threshold": target.threshold},
        )


def missing_verdict(shelf: Shelf, target: Target, caller: Caller) -> str:
    """Return why no verdict lets this target be deployed; empty when one does."""
    policy, golden, verdict = (
        shelf.gates.policy(target.model.name),
        shelf.gates.golden(target.model.name),
        shelf.gates.verdict(target.model),
    )
    digest: Digest | None = golden.digest if golden else None
    if policy is None:
        return f"'{target.model.name}' has no gate policy."
    if verdict is None:
        return "its gate was never checked."
    if not verdict.passed:
        names = ", ".join(check.name for check in verdict.checks if check.outcome in {Outcome.FAIL, Outcome.INCONCLUSIVE})
        return f"its gate did not pass ({names})."
    if target.threshold not in verdict.thresholds:
        judged = ", ".join(f"{threshold:g}" for threshold in verdict.thresholds)
        return f"it was judged at threshold {judged}, not at {target.threshold:g}; add the threshold to the policy, then train and judge again."
    if verdict.policy != policy.digest:
        return "its gate passed under an older policy."
    if verdict.golden != digest:
        return "its gate passed with another golden set."
    if caller.now >= verdict.expires_at:
        return f"its verdict expired at {verdict.expires_at:%Y-%m-%d}."
    return "" if verdict.covers(target.artifact, policy.digest, digest, caller.now) else "its verdict is on another artifact."


def _facts(revision: Revision) -> dict[str, Json]:
    service = revision.service
    candidate = service.candidate
    handling: dict[str, Json] = {} if service.handling == Handling() else {"handling": asdict(service.handling)}
    return {
        **handling,
        "revision": revision.number,
        "action": revision.action,
        "model": str(service.live.model),
        "artifact": service.live.artifact,
        "threshold": service.live.threshold,
        "candidate": [str(candidate.target.model), candidate.mode.value, candidate.share] if candidate else None,
        "reason": revision.reason,
    }
