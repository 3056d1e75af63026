"""Alerts that a person answers, and the proof that an alarm was right: its evidence gives the same alarm again."""

from dataclasses import dataclass
from math import log

import msgspec

from custody.core.digest import Digest, Json, parse_digest
from custody.core.errors import NotFound
from custody.core.evidence import Outcome
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role
from custody.lifecycle.bets import bet_again
from custody.lifecycle.drift import DriftEvidence
from custody.lifecycle.feeds import StaleEvidence
from custody.lifecycle.reasons import kept_reason
from custody.lifecycle.references import read_summary, references
from custody.lifecycle.stores import Caller, Ports
from custody.monitoring.alert import Alert, AlertState, moved
from custody.monitoring.detector import global_log_e, replay
from custody.monitoring.evaluation import judged_again
from custody.monitoring.feed import stuck
from custody.monitoring.reference import ALARM


@dataclass(frozen=True, slots=True)
class Recomputed:
    """An alert beside what its stored evidence gives when it is computed again; agrees: both say the same.

    evidence: digest of the object that the ledger entry names. ledger: number of that entry.
    """

    alert: Alert
    evidence: Digest
    ledger: int
    recorded: str
    recomputed: str
    agrees: bool


def answer_alert(
    ports: Ports,
    caller: Caller,
    key: DeploymentKey,
    id: str,  # noqa: A002 - the field's word
    state: AlertState,
    *,
    reason: str = "",
    dry_run: bool = False,
) -> tuple[Alert, int | None]:
    """Move an alert to `acknowledged` or `resolved` and keep who did it and why; Conflict if it cannot go there.

    Neither forgets evidence: a detector goes on from where it is, and a new failure opens a new alert.
    """
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        alert = moved(change.monitors.alert(key, id), state, caller.now)
        if dry_run:
            return alert, None
        change.monitors.save_alert(alert)
        facts: dict[str, Json] = {"alert": id, "because": kept_reason(reason)}
        acknowledged = state is AlertState.ACKNOWLEDGED
        entry = change.record("alert.acknowledged" if acknowledged else "alert.resolved", str(key), facts)
    return alert, entry.seq


def explain_alert(ports: Ports, caller: Caller, key: DeploymentKey, id: str) -> Recomputed:  # noqa: A002 - the field's word
    """Compute an alarm again from the evidence that its ledger entry names; NotFound if it has none (a canary's)."""
    caller.within(key.tenant).may(Role.VIEWER)
    alert = ports.stores.of(key.tenant).monitors.alert(key, id)
    raised = ports.stores.ledger.page(key.tenant, subject=str(key), kind="alert.raised", after=None, limit=1000).items
    entry = next((one for one in raised if one.body["alert"] == id and one.body.get("evidence")), None)
    if entry is None:
        raise NotFound.of("evidence of the alert", id, ls=f"custody alert ls {key}")
    digest = parse_digest(str(entry.body["evidence"]))
    body = ports.stores.objects.of(key.tenant).get(digest)
    match alert.check.name.partition(":")[0]:
        case "performance":
            found, again = _performance(body)
        case "bet":
            found, again = bet_again(ports, body)
        case "stale":
            found, again = alert.check.sentence, msgspec.json.decode(body, type=StaleEvidence).check.sentence
        case "constant":
            found, again = alert.check.sentence, _constant(ports, body)
        case _:
            found, again = _drift(ports, body)
    return Recomputed(alert, digest, entry.seq, found, again, found == again)


def _performance(body: bytes) -> tuple[str, str]:
    facts = msgspec.json.decode(body)
    check = judged_again(facts)
    said = f"at least {check.facts['proven']:.6f} lost, {facts['tolerance']:g} tolerated"
    return (
        f"at least {facts['proven']:.6f} lost, {facts['tolerance']:g} tolerated",
        said if check.outcome is Outcome.FAIL else "no alarm",
    )


def _drift(ports: Ports, body: bytes) -> tuple[str, str]:
    proof, objects = msgspec.json.decode(body, type=DriftEvidence), ports.stores.objects
    on = references(objects, proof.compared)
    each = [on(day) for _, day in proof.looks]
    state = replay(each, [read_summary(objects, batch) for batch, _ in proof.looks])
    again = float(global_log_e(each[-1], state)[ALARM]) / log(10)
    looks = f"after {len(proof.looks)} looks"
    return f"log10 e {proof.log10_e:.6f} {looks}", f"log10 e {again:.6f} {looks}"


def _constant(ports: Ports, body: bytes) -> str:
    proof, objects = msgspec.json.decode(body, type=DriftEvidence), ports.stores.objects
    batch, day = proof.looks[-1]
    return stuck(references(objects, proof.compared)(day), read_summary(objects, batch), looks=len(proof.looks)).sentence
