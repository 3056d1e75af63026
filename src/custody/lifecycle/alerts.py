"""Alerts that a person answers: acknowledged when somebody looks at it, resolved when it is over."""

from custody.core.digest import Json
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Role
from custody.lifecycle.stores import Caller, Ports
from custody.monitoring.alert import Alert, AlertState, moved


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
        facts: dict[str, Json] = {"alert": id, "because": reason}
        acknowledged = state is AlertState.ACKNOWLEDGED
        entry = change.record("alert.acknowledged" if acknowledged else "alert.resolved", str(key), facts)
    return alert, entry.seq
