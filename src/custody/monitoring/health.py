"""How a deployment is, in one word and one sentence; what is not known never looks healthy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from custody.monitoring.alert import Alert, AlertKind, AlertState
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Look

DRIFTED = ("alarm", "notice")


class HealthState(StrEnum):
    """The four words, best first; degraded is a warning or missing evidence, failing a promise that is broken."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Health:
    """A state and the sentence with the number behind it."""

    state: HealthState
    reason: str


def health(
    alerts: Sequence[Alert],
    evaluation: Evaluation | None,
    looks: Sequence[Look],
    last_capture: datetime | None,
    now: datetime,
    policy: MonitorPolicy,
    *,
    last_event: datetime | None = None,
) -> Health:
    """Judge a deployment from its alerts, newest evaluation, looks (oldest first) and newest prediction.

    failing: a performance or canary alert is not resolved. unknown: no prediction yet, or nothing measured yet.
    last_event: when the newest prediction's matter happened, if not now (a replay): labels are late against it.
    degraded: another alert, drift at any level in the newest look at a reference, or evidence that is missing, thin or old. Else healthy.
    """
    unresolved = [alert for alert in alerts if alert.state is not AlertState.RESOLVED]
    broken = [alert for alert in unresolved if alert.kind in {AlertKind.PERFORMANCE, AlertKind.CANARY}]
    if broken:
        return Health(HealthState.FAILING, broken[0].check.sentence)
    if last_capture is None:
        return Health(HealthState.UNKNOWN, "no prediction was captured yet")
    if evaluation is None and not looks:
        return Health(HealthState.UNKNOWN, "nothing was measured yet: no labels and no drift look")
    if unresolved:
        return Health(HealthState.DEGRADED, unresolved[0].check.sentence)
    newest = {look.reference: look for look in looks}.values()
    drifted = sorted((look for look in newest if look.level in DRIFTED), key=lambda look: DRIFTED.index(look.level))
    if drifted:
        return Health(HealthState.DEGRADED, drifted[0].sentence)
    gap = _missing(evaluation, looks, last_capture, now, policy, last_event or now)
    return Health(HealthState.DEGRADED, gap) if gap else Health(HealthState.HEALTHY, _well(evaluation, policy))


def _missing(
    evaluation: Evaluation | None,
    looks: Sequence[Look],
    last_capture: datetime,
    now: datetime,
    policy: MonitorPolicy,
    newest: datetime,
) -> str:
    """Say which evidence is missing, thin or old; empty if none."""
    if now - last_capture > timedelta(hours=policy.quiet_hours):
        return f"no prediction since {last_capture:%Y-%m-%d %H:%M}"
    if evaluation is None or not evaluation.labelled:
        return "no window of labels was judged yet, so nothing is known about quality"
    found = evaluation.metric(policy.metric)
    if found is None or found.n < policy.min_labels:
        have = found.n if found else 0
        return f"not enough labels: {policy.metric} rests on {have}, about {policy.min_labels - have} more are needed"
    if evaluation.coverage < policy.min_coverage:
        return f"{evaluation.coverage:.1%} of predictions have a label; {policy.min_coverage:.1%} are expected"
    age = newest - evaluation.end
    if age > timedelta(days=policy.max_age_days):
        return f"labels are late: the newest evaluation ends {age.days} days before the newest prediction"
    return "" if looks else "no drift look yet"


def _well(evaluation: Evaluation | None, policy: MonitorPolicy) -> str:
    found = evaluation.metric(policy.metric) if evaluation else None
    return f"{found}; no drift" if found else "no drift"
