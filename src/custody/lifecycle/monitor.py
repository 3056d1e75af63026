"""What is watched on a deployment, and what its decisions cost."""

from collections.abc import Mapping

import msgspec

from custody.core.digest import Json
from custody.core.errors import InvalidInput, NotFound
from custody.core.measures.value import CostMatrix
from custody.core.refs import DeploymentKey, near
from custody.core.tenancy import Role
from custody.lifecycle.stores import Caller, Ports
from custody.monitoring.policy import MonitorPolicy, OnDegradation


def set_monitor(
    ports: Ports, caller: Caller, key: DeploymentKey, values: Mapping[str, Json], *, dry_run: bool = False
) -> tuple[MonitorPolicy, int | None]:
    """Set what is watched on a deployment; unknown fields are refused with the nearest known one."""
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    policy = monitor_policy_of(values)
    if policy.on_degradation is OnDegradation.RETRAIN:
        caller.actor.require(Role.APPROVER)  # it lets the worker run code
    if policy.embedding:
        ports.embed(policy.embedding)  # an unknown one is refused here, not by the worker at night
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        if change.deployments.head(key) is None:
            raise NotFound.of("deployment", str(key), ls="custody deployment ls")
        old = change.monitors.policy(key)
        if dry_run or (old and old.digest == policy.digest):
            return policy, None
        change.monitors.add_policy(key, policy)
        entry = change.record("monitor.set", str(key), {"digest": policy.digest, "metric": policy.metric})
    return policy, entry.seq


def monitor_policy_of(values: Mapping[str, Json]) -> MonitorPolicy:
    """Read a policy; an unknown field is InvalidInput with the nearest known one."""
    known = [name for name in MonitorPolicy.__dataclass_fields__ if name != "version"]
    if unknown := [name for name in values if name not in known]:
        close = near(unknown[0], known)
        hint = f"Did you mean '{close[0]}'?" if close else f"The settings are: {', '.join(known)}."
        raise InvalidInput(f"'{unknown[0]}' is not a monitor setting.", why=hint)
    try:
        return msgspec.convert(dict(values), MonitorPolicy)
    except msgspec.ValidationError as error:
        raise InvalidInput("The monitor policy cannot be used.", why=str(error)) from error


def set_cost(
    ports: Ports, caller: Caller, key: DeploymentKey, values: Mapping[str, Json], *, dry_run: bool = False
) -> tuple[CostMatrix, int | None]:
    """Set what each outcome of a decision costs, per decision; negative is earned."""
    caller.within(key.tenant).may(Role.CONTRIBUTOR)
    try:
        matrix = msgspec.convert(dict(values), CostMatrix)
    except msgspec.ValidationError as error:
        raise InvalidInput("The costs cannot be used.", why=str(error), fix="Give tp, fp, tn, fn and currency.") from error
    with ports.stores.change(key.tenant, caller.actor, caller.now) as change:
        if change.deployments.head(key) is None:
            raise NotFound.of("deployment", str(key), ls="custody deployment ls")
        if dry_run:
            return matrix, None
        change.monitors.set_cost(key, matrix)
        entry = change.record("value.set", str(key), {"currency": matrix.currency})
    return matrix, entry.seq
