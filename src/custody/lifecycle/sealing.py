"""Keys: listed, made anew, wrapped again, destroyed; each with its entry."""

from collections.abc import Sequence
from dataclasses import dataclass

from custody.core.digest import Json
from custody.core.errors import Denied
from custody.core.keys import KeyInfo
from custody.core.tenancy import HOUSE, Role, TenantId
from custody.lifecycle.reasons import kept_reason
from custody.lifecycle.stores import Caller, Ports


def list_keys(ports: Ports, caller: Caller) -> Sequence[KeyInfo]:
    """List data keys, never their secrets: of the tenant that the caller is in; the team in its own sees every tenant's."""
    caller.may(Role.ADMIN)
    tenants = ports.keys.tenants() if caller.tenant == HOUSE else [caller.tenant]
    return [key for tenant in tenants for key in ports.keys.ls(tenant)]


def rotate(ports: Ports, caller: Caller, *, dry_run: bool = False) -> tuple[Sequence[KeyInfo], int | None]:
    """Make a new data key for a tenant's new objects; what older keys sealed stays readable."""
    caller.may(Role.ADMIN)
    if dry_run:
        return ports.keys.ls(caller.tenant), None
    made = ports.keys.rotate(caller.tenant, caller.now)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        entry = change.record("encryption.rotated", caller.tenant, {"number": made.number, "key": made.id, "master": made.master})
    return ports.keys.ls(caller.tenant), entry.seq


def rewrap(ports: Ports, caller: Caller, *, dry_run: bool = False) -> tuple[int, int | None]:
    """Wrap all data keys again under the master key that is set now, and return how many were under a former one."""
    if caller.actor.tenant is not None:
        raise Denied("The master key is the team's, not a tenant's.", fix="Ask the team's admin.")
    caller.may(Role.ADMIN)
    if dry_run:
        return 0, None
    changed = ports.keys.rewrap()
    if not changed:
        return 0, None
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        entry = change.record("encryption.rewrapped", "master", {"keys": changed})
    return changed, entry.seq


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What a destruction reaches: how many data keys, and whether the key for pseudonyms was there."""

    tenant: TenantId
    destroyed: int
    pseudonyms: bool


def destroy(ports: Ports, caller: Caller, *, reason: str, dry_run: bool = False) -> tuple[Destroyed, int | None]:
    """Destroy all keys of a tenant, the one for pseudonyms with them: what they sealed can never be read or linked again.

    The entry comes first: a process killed in between leaves the entry and the keys, and the same call destroys them.
    """
    caller.may(Role.ADMIN)
    there = [key for key in ports.keys.ls(caller.tenant) if key.destroyed_at is None]
    found = Destroyed(caller.tenant, len(there), ports.pseudonyms.has(caller.tenant))
    ports.keys.check_destroyable(caller.tenant)
    if dry_run or not (there or found.pseudonyms or ports.keys.has(caller.tenant)):
        return found, None
    facts: dict[str, Json] = {"keys": found.destroyed, "pseudonyms": found.pseudonyms, "because": kept_reason(reason)}
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        entry = change.record("encryption.destroyed", caller.tenant, facts)
    ports.keys.destroy(caller.tenant, caller.now)
    ports.pseudonyms.destroy(caller.tenant)
    return found, entry.seq
