"""An alert: a check that failed in production, until somebody acknowledges and resolves it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from custody.core.errors import Conflict
from custody.core.evidence import Check
from custody.core.refs import DeploymentKey


class AlertKind(StrEnum):
    """What an alert is about."""

    PERFORMANCE = "performance"
    DRIFT = "drift"
    DATA_QUALITY = "data_quality"
    CANARY = "canary"
    OBLIGATION = "obligation"
    BIAS = "bias"


class AlertState(StrEnum):
    """Where an alert stands; resolved is the end, a new failure opens a new alert."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of one deployment; the check carries the sentence and the numbers. revision grows with every move."""

    id: str
    deployment: DeploymentKey
    kind: AlertKind
    check: Check
    opened_at: datetime
    state: AlertState = AlertState.OPEN
    resolved_at: datetime | None = None
    revision: int = 1


_MOVES = {
    AlertState.OPEN: (AlertState.ACKNOWLEDGED, AlertState.RESOLVED),
    AlertState.ACKNOWLEDGED: (AlertState.RESOLVED,),
    AlertState.RESOLVED: (),
}


def moved(alert: Alert, state: AlertState, now: datetime) -> Alert:
    """Return the alert in its next state; Conflict if it cannot go there from where it is."""
    if state not in _MOVES[alert.state]:
        possible = " or ".join(_MOVES[alert.state]) or "nothing: a new failure opens a new alert"
        raise Conflict(
            f"The alert is {alert.state} and cannot become {state}.",
            why=f"From {alert.state} it can become {possible}.",
            facts={"alert": alert.id, "state": alert.state.value, "asked": state.value},
        )
    return replace(alert, state=state, resolved_at=now if state is AlertState.RESOLVED else None, revision=alert.revision + 1)
