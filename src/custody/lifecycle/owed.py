"""What models owe after an erasure: listed, answered with evidence, and followed up where a version serves past due."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, CustodyError, InvalidInput
from custody.core.evidence import Check, Outcome
from custody.core.page import MOST
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role
from custody.deployment.revision import Revision, withdraw
from custody.lifecycle.forget import SYSTEM
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.reach import deployments_of, models_in
from custody.lifecycle.reasons import kept_reason, says_something
from custody.lifecycle.release import keep_step, settle
from custody.lifecycle.stores import Caller, Change, Ports, Shelf
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.policy import MonitorPolicy, PastDue
from custody.privacy.erasure.obligation import Answer, Obligation, ObligationState, answered, barred
from custody.registry.run import Run, RunStatus

NAME = "obligation:"
log = logging.getLogger("custody.worker")


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

    What is excluded loses its artifact, unless another version has the same. Ground and approver are kept without what tells
    who somebody is beyond a name, such as an address.

    Raises: Conflict if the version still serves though it shall go, or if the run could have seen the rows.
    """
    caller.may(Role.APPROVER)
    if how is Answer.ACCEPT:
        evidence, approver = kept_reason(evidence), _named(approver)
    else:
        approver = kept_reason(approver)
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


def _named(approver: str) -> str:
    """Return who accepts as it is kept; InvalidInput if nothing but an address or a number was given."""
    kept = kept_reason(approver)
    if kept and not says_something(kept):
        raise InvalidInput(
            "Name who accepts by a name or a role.",
            why=f"Of what was given only {kept} would be kept: the ledger holds no addresses and no numbers of people.",
            fix="--approver 'the data protection officer'",
        )
    return kept


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
    """Open an alert on each deployment in which a version is past due, and resolve those that are over; return how many moved.

    Where the deployment's policy says so, the version is taken out of service in the same transaction: see `withdraw`.
    """
    tenants = tenants_of(ports.stores)
    open_ones = {tenant: ports.stores.of(tenant).subjects.obligations(state=ObligationState.OPEN) for tenant in tenants}
    late = {(tenant, one.model) for tenant, each in open_ones.items() for one in each if one.overdue(now)}
    found = 0
    for tenant in tenants:
        shelf = ports.stores.of(tenant)
        alarmed = {alert.deployment for alert in shelf.monitors.open_alerts() if alert.check.name.startswith(NAME)}
        for head in shelf.deployments.heads():
            if head.key in alarmed or any((head.owner, model) in late for model in models_in(head)):
                try:
                    found += _remind(ports, head.key, now)
                except CustodyError as error:  # one deployment holds no other up
                    log.warning("what is past due in %s cannot be followed up: %s", head.key, error)
    return found


@dataclass(frozen=True, slots=True)
class _Due:
    """What is to be done about one deployment; alerts have the state they get. because: why each of `over` ends."""

    fresh: tuple[Check, ...]
    changed: tuple[Alert, ...]
    over: tuple[tuple[Alert, str], ...]
    step: Revision | None

    def __len__(self) -> int:
        return len(self.fresh) + len(self.changed) + len(self.over) + (self.step is not None)


def _remind(ports: Ports, key: DeploymentKey, now: datetime) -> int:
    """Look without a transaction, and only if something is to be done look again inside one: others may have been faster.

    Both looks are needed: the first keeps idle rounds from waiting for the lock, the second decides.
    """
    if not _due(ports, ports.stores.of(key.tenant), key, now):
        return 0
    with ports.stores.change(key.tenant, SYSTEM, now) as change:
        due = _due(ports, change, key, now)
        for check in due.fresh:
            alert = Alert(ports.new_id(now), key, AlertKind.OBLIGATION, check, now)
            change.monitors.save_alert(alert)
            facts: dict[str, Json] = {"alert": alert.id, "kind": alert.kind.value, "check": check.sentence}
            change.record("alert.raised", str(key), {**facts, "obligation": check.facts["obligation"]})
        for alert in due.changed:
            change.monitors.save_alert(alert)
            change.record("alert.changed", str(key), {"alert": alert.id, "check": alert.check.sentence})
        for alert, because in due.over:
            change.monitors.save_alert(alert)
            change.record("alert.resolved", str(key), {"alert": alert.id, "because": because})
        if due.step is not None:
            keep_step(change, due.step)
    if due.step is not None:
        settle(ports, now)
    return len(due)


def _due(ports: Ports, shelf: Shelf, key: DeploymentKey, now: datetime) -> _Due:
    """Compare what is past due in a deployment with its open alerts; shelf: of the deployment's tenant, or an open change."""
    history = shelf.deployments.history(key, limit=MOST).items
    head = history[0]
    registry = shelf if head.owner == shelf.tenant else ports.stores.of(head.owner)
    owed_here = [one for model in models_in(head) for one in registry.subjects.obligations(model=model)]
    late = [one for one in owed_here if one.overdue(now)]
    rolls_back = (shelf.monitors.policy(key) or MonitorPolicy()).past_due is PastDue.ROLL_BACK
    step = _step(registry, history, late, now) if late and rolls_back else None
    checks = {check.name: check for check in (_check(one, head, step, rolls_back=rolls_back) for one in late)}
    opened = {one.check.name: one for one in shelf.monitors.open_alerts(key) if one.check.name.startswith(NAME)}
    met = {NAME + one.id for one in owed_here}
    return _Due(
        fresh=tuple(check for name, check in checks.items() if name not in opened),
        changed=tuple(
            replace(alert, check=checks[name], revision=alert.revision + 1)
            for name, alert in opened.items()
            if name in checks and checks[name].sentence != alert.check.sentence
        ),
        over=tuple(
            (
                moved(alert, AlertState.RESOLVED, now),
                "the obligation was met" if name in met else "its version serves here no more",
            )
            for name, alert in opened.items()
            if name not in checks
        ),
        step=step,
    )


def _step(registry: Shelf, history: Sequence[Revision], late: Sequence[Obligation], now: datetime) -> Revision | None:
    """Return the revision that takes what is past due out of service; None if no earlier version may serve."""
    made = withdraw(history, lambda model: not barred(registry.subjects.obligations(model=model), now))
    if made is None:
        return None
    after = Revision(*made, SYSTEM.name, now, owner=history[0].owner)
    gone = dict.fromkeys(str(one.model) for one in late if one.model not in models_in(after))
    return replace(after, reason=f"past due after an erasure: {', '.join(gone)}")


def _check(one: Obligation, head: Revision, step: Revision | None, *, rolls_back: bool) -> Check:
    by = f"{one.due_at:%Y-%m-%d}"
    sentence = f"{one.model} still serves, though it was trained on an erased person's data and had to go by {by}."
    if step is not None and one.model not in models_in(step):
        was_live = one.model == head.service.live.model
        done = f"the deployment was rolled back to {step.service.live.model}" if was_live else "it was taken away as a candidate"
        sentence = f"{one.model} was trained on an erased person's data and had to go by {by}: {done}."
    elif rolls_back:
        sentence += " It was not rolled back, since no earlier version of this deployment may serve: deploy another one."
    return Check(NAME + one.id, Outcome.FAIL, sentence, {"obligation": one.id, "owner": one.owner})
