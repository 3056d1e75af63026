"""Canary: labels of the same days decide whether a candidate takes over or is taken away."""

from dataclasses import replace
from datetime import datetime
from math import log2

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.errors import CustodyError
from custody.core.evidence import Check, Estimate, Outcome
from custody.core.manifest import Mode, Target
from custody.core.measures.performance import measure
from custody.deployment.revision import Revision
from custody.lifecycle.captured import even, rows_between, with_labels
from custody.lifecycle.release import advance
from custody.lifecycle.retrain import WORKER
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.windows import answers_of, window_labels
from custody.monitoring.alert import Alert, AlertKind, AlertState, moved
from custody.monitoring.evaluation import degraded
from custody.monitoring.policy import MonitorPolicy, OnDegradation

CANARY_DROP = 0.05  # a canary that looks worse than live by more than this is taken away, proven or not


def judge_canary(ports: Ports, head: Revision, now: datetime) -> None:
    """Promote a canary that is not worse than the live version on labels of the same days, take away one that is.

    A canary that a person staged is only taken away, never promoted, unless the deployment's policy retrains by itself.
    """
    candidate = head.service.candidate
    policy = ports.stores.of(head.key.tenant).monitors.policy(head.key) or MonitorPolicy()
    if candidate is None or candidate.mode is not Mode.CANARY:
        return
    judgement = _compare(ports, head, candidate.target, policy, now)
    if judgement is None:
        return
    check, worse = judgement
    if not worse and policy.on_degradation is not OnDegradation.RETRAIN:
        return
    reason = f"canary is {'worse' if worse else 'not shown to be worse'}: {check.sentence}"
    try:
        advance(
            ports,
            Caller(head.owner, WORKER, now),
            head.key,
            "reject" if worse else "promote",
            reason=reason,
            expected=head.number,
        )
    except CustodyError as error:
        _note_canary(ports, head, replace(check, sentence=f"{candidate.target.model} cannot be promoted: {error.what}"), now)
        return
    if not worse:
        _resolve(ports, head, str(candidate.target.model), now)


def _compare(ports: Ports, head: Revision, canary: Target, policy: MonitorPolicy, now: datetime) -> tuple[Check, bool] | None:
    """Compare a canary with the live version on labels of the same days; None if it is too early to say.

    Without the minimum of labels on both sides nothing is said, however long it takes; after that it is judged again each
    time its labels have doubled, each judgement one look.
    """
    shelf = ports.stores.of(head.key.tenant)
    rows = rows_between(ports, head.key, since=head.at)
    if rows is None or not (theirs := answers_of(rows, canary)).num_rows:
        return None
    ours = answers_of(rows, head.service.live)
    ours = ours.filter(pc.greater_equal(ours.column("event"), pc.min(theirs.column("event"))))
    labels, positive = window_labels(shelf, head.key), canary.signature.classes[1]
    live, new = (_metric(policy.metric, *with_labels(even(side), labels, positive)) for side in (ours, theirs))
    least = policy.canary_min_labels
    if live is None or new is None or new.n < least or live.n < min(policy.min_labels, least):
        return None
    name = f"canary:{head.number}"
    if new.n < 2 * int(shelf.monitors.state(head.key, name) or 0):
        return None
    common = {"tolerance": policy.tolerance, "alpha": policy.alpha, "look": int(log2(new.n / least)) + 1}
    check = degraded(
        policy.metric,
        live,
        new,
        reference=f"{head.service.live.model}, same days",
        min_labels=least,
        **common,  # type: ignore[arg-type]  # one value per name
    )
    with ports.stores.change(head.key.tenant, WORKER, now) as change:
        change.monitors.set_state(head.key, name, str(new.n))
    return check, check.outcome is Outcome.FAIL or live.value - new.value > max(policy.tolerance, CANARY_DROP)


def _metric(name: str, rows: pa.Table, actual: np.ndarray) -> Estimate | None:
    decided = rows.column("decision").to_numpy(zero_copy_only=False).astype(bool)
    return next((one for one in measure(rows.column("score").to_numpy(), decided, actual) if one.metric == name), None)


def _note_canary(ports: Ports, head: Revision, check: Check, now: datetime) -> None:
    with ports.stores.change(head.key.tenant, WORKER, now) as change:
        if any(alert.kind is AlertKind.CANARY for alert in change.monitors.open_alerts(head.key)):
            return
        alert = Alert(ports.new_id(now), head.key, AlertKind.CANARY, check, now)
        change.monitors.save_alert(alert)
        change.record("alert.raised", str(head.key), {"alert": alert.id, "kind": alert.kind.value, "check": check.sentence})


def _resolve(ports: Ports, head: Revision, by: str, now: datetime) -> None:
    with ports.stores.change(head.key.tenant, WORKER, now) as change:
        for alert in change.monitors.open_alerts(head.key):
            change.monitors.save_alert(moved(alert, AlertState.RESOLVED, now))
            change.record("alert.resolved", str(head.key), {"alert": alert.id, "because": f"{by} was promoted"})
