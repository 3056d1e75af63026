"""What models owe after an erasure: listed, answered with evidence, and reminded of while a version still serves past due."""

from collections.abc import Sequence
from datetime import datetime

from custody.core.digest import Digest
from custody.core.errors import Conflict, InvalidInput
from custody.core.evidence import Check, Outcome
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role, TenantId
from custody.deployment.revision import Revision
from custody.lifecycle.forget import SYSTEM
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.reach import deployments_of, models_in
from custody.lifecycle.stores import Caller, Change, Ports
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.privacy.erasure.obligation import Answer, Obligation, ObligationState, answered
from custody.registry.run import Run, RunStatus

NAME = "obligation:"


def owed(ports: Ports, caller: Caller, *, only_open: bool = False) -> Sequence[Obligation]:
    """List a tenant's obligations, those due first at the front."""
    caller.may(Role.VIEWER)
    return ports.stores.of(caller.tenant).subjects.obligations(state=ObligationState.OPEN if only_open else None)


def answer_obligation(
    ports: Ports,
    caller: Caller,
    id: str,  # noqa: A002 - the field's word
    how: Answer,
    *,
    evidence: str = "",
    approver: str = "",
    dry_run: bool = False,
) -> tuple[Obligation, int | None]:
    """Close an obligation with its evidence: the run that trained without the rows, a ground with its approver, or none to exclude.

    What is excluded loses its artifact, unless another version has the same.

    Raises: Conflict if the version still serves though it shall go, or if the run could have seen the rows.
    """
    caller.may(Role.APPROVER)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        old = change.subjects.obligation(id)
        if how is Answer.RETRAIN and old.state is ObligationState.OPEN:
            _check_run(change, old, evidence)
        heads = deployments_of(ports, caller.tenant, [old.model])
        serves = [str(head.key) for head in heads]
        made = answered(old, how, caller.now, evidence=evidence, approver=approver, serves=serves)
        if made is old or dry_run:
            return made, None
        change.subjects.save_obligation(made)
        facts = {
            "obligation": id,
            "answer": how.value,
            "evidence": evidence if how is Answer.RETRAIN else "",
            "approver": approver,
        }
        drops = how is Answer.EXCLUDE and not _used_elsewhere(change, made)
        if drops:
            change.subjects.redirect(change.models.get(made.model).artifact, Digest(""))
        entry = change.record("obligation.met", str(made.model), {**facts, "artifact_deleted": drops})
    if drops:  # a process killed here leaves the bytes to the next erasure, which deletes what is redirected
        ports.stores.objects.of(caller.tenant).discard(ports.stores.of(caller.tenant).models.get(made.model).artifact)
    return made, entry.seq


def _used_elsewhere(change: Change, obligation: Obligation) -> bool:
    """Tell whether another version has the same artifact, which then may not be deleted."""
    artifact = change.models.get(obligation.model).artifact
    return any(one != obligation.model for one in change.models.of_artifact(artifact))


def _check_run(change: Change, obligation: Obligation, run_id: str) -> None:
    """Refuse a run that does not prove that a version was trained without the rows."""
    if not run_id:
        raise InvalidInput("Retraining is proven by a run.", fix="custody obligation answer ID --retrain RUN")
    run = change.runs.get(run_id)
    erased_at = next(one.asked_at for one in change.subjects.erasures() if one.id == obligation.erasure)
    made = [version for version in change.models.of_run(run_id) if version.ref.name == obligation.model.name]
    if why := _unproven(change, run, erased_at, made=bool(made), name=obligation.model.name):
        raise Conflict(
            f"Run '{run_id}' is no evidence.",
            why=why,
            fix="Train again on the version that replaced the erased one, register the model, then answer with that run.",
            facts={"run": run_id, "obligation": obligation.id},
        )


def _unproven(change: Change, run: Run, erased_at: datetime, *, made: bool, name: str) -> str:
    if run.status is not RunStatus.FINISHED:
        return f"It is {run.status}."
    if run.started_at < erased_at:
        return "It started before the erasure."
    if not run.datasets or any(change.datasets.get(use.ref).closed_at is not None for use in run.datasets):
        return "It read nothing, or a version whose rows were erased since."
    return "" if made else f"It made no version of '{name}'."


def remind(ports: Ports, now: datetime) -> int:
    """Open an alert on each deployment whose version's obligation is overdue, resolve those that were met; return how many moved."""
    found = 0
    for tenant in tenants_of(ports.stores):
        obligations = ports.stores.of(tenant).subjects.obligations()
        late = [one for one in obligations if one.overdue(now)]
        for head in deployments_of(ports, tenant, [one.model for one in obligations]) if obligations else []:
            found += _remind(ports, head, [one for one in late if one.model in models_in(head)], now)
    return found


def _remind(ports: Ports, head: Revision, late: Sequence[Obligation], now: datetime) -> int:
    key, names = head.key, {NAME + one.id: one for one in late}
    opened = {one.check.name: one for one in _open(ports, key.tenant, key)}
    fresh = [one for name, one in names.items() if name not in opened]
    over = [alert for name, alert in opened.items() if name not in names]
    if not fresh and not over:
        return 0
    with ports.stores.change(key.tenant, SYSTEM, now) as change:
        for one in fresh:
            alert = Alert(ports.new_id(now), key, AlertKind.OBLIGATION, _check(one), now)
            change.monitors.save_alert(alert)
            change.record("alert.raised", str(key), {"alert": alert.id, "kind": alert.kind.value, "obligation": one.id})
        for alert in over:
            change.monitors.save_alert(moved(alert, AlertState.RESOLVED, now))
            change.record("alert.resolved", str(key), {"alert": alert.id, "because": "the obligation was met"})
    return len(fresh) + len(over)


def _open(ports: Ports, tenant: TenantId, key: DeploymentKey) -> list[Alert]:
    return [one for one in ports.stores.of(tenant).monitors.open_alerts(key) if one.check.name.startswith(NAME)]


def _check(one: Obligation) -> Check:
    sentence = (
        f"{one.model} still serves, though it was trained on an erased person's data and had to go by {one.due_at:%Y-%m-%d}."
    )
    return Check(NAME + one.id, Outcome.FAIL, sentence, {"obligation": one.id, "owner": one.owner})
