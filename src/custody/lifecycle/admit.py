"""Admit tenants and keys."""

import base64
from dataclasses import replace
from datetime import datetime, timedelta

from custody.core.digest import digest_of
from custody.core.errors import Denied, InvalidInput, NotFound
from custody.core.tenancy import HOUSE, Actor, Role, TenantId, tenant_id
from custody.lifecycle.publish import SESSION, good, publish
from custody.lifecycle.stores import Caller, Key, Ports, Stores, Tenant

LIFE = timedelta(hours=12)  # of a session, at most


def add_tenant(ports: Ports, caller: Caller, name: str, *, dry_run: bool = False) -> tuple[Tenant, int | None]:
    """Add a client of the team; Denied for a client's own admins, whatever the name."""
    caller.may(Role.ADMIN)
    if caller.actor.tenant is not None:
        raise Denied("Only the team's own keys add tenants.", why=f"This key belongs to the tenant '{caller.actor.tenant}'.")
    tenant = Tenant(tenant_id(name), caller.now)
    if dry_run:
        return tenant, None
    with ports.stores.change(tenant.id, caller.actor, caller.now) as change:
        change.tenants.add(tenant)
        entry = change.record("tenant.added", tenant.id, {})
    return tenant, entry.seq


def add_key(
    ports: Ports,
    caller: Caller,
    name: str,
    role: Role,
    tenant: TenantId | None,
    *,
    expires_at: datetime | None = None,
    rows: bool = True,
) -> tuple[Key, str, int]:
    """Make an API key and return it with its secret, which is shown once and stored as a hash only.

    rows False: the key may do all that its role may, but see aggregates only. Whoever may not see rows makes no key that may.
    """
    caller.may(Role.ADMIN)
    rows = rows and caller.actor.rows
    if tenant is not None:
        ports.stores.tenants.get(caller.actor.enter(tenant))
    if name.startswith(SESSION):
        raise InvalidInput(
            f"'{SESSION}' begins the names of sessions.", fix="Name the key for the person or program that holds it."
        )
    secret = "ck_" + base64.urlsafe_b64encode(ports.random(24)).decode()
    hashed = digest_of(secret.encode())
    bound = tenant if tenant is not None else caller.actor.tenant
    key = Key(ports.new_id(caller.now), hashed, name, role, bound, caller.now, expires_at, rows=rows)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.tenants.save_key(key)
        entry = change.record("key.added", key.id, {"name": name, "role": role.value, "tenant": bound, "rows": rows})
    publish(ports, caller.now)
    return key, secret, entry.seq


def revoke_key(ports: Ports, caller: Caller, id: str) -> tuple[Key, int]:  # noqa: A002 - the field's word
    """Revoke a key; the data plane forgets it within a second."""
    caller.may(Role.ADMIN)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        known = {key.id: key for key in change.tenants.keys() if caller.actor.tenant in (None, key.tenant)}  # noqa: SIM118 - not a dict
        if id not in known:
            raise NotFound.of("key", id, ls="custody key ls")
        key = replace(known[id], revoked_at=caller.now)
        change.tenants.save_key(key)
        entry = change.record("key.revoked", id, {})
    publish(ports, caller.now)
    return key, entry.seq


def actor_of(stores: Stores, secret: str, now: datetime) -> Actor | None:
    """Return who holds a key; None if it is unknown, revoked or expired. A session is as good as the key it came from."""
    key = stores.tenants.key(digest_of(secret.encode()))
    if key is None or not good(key, now):
        return None
    if key.name.startswith(SESSION):
        parent = next((one for one in stores.tenants.keys() if one.id == key.name.removeprefix(SESSION)), None)  # noqa: SIM118 - not a dict
        return _holder(parent) if parent and good(parent, now) else None
    return _holder(key)


def _holder(key: Key) -> Actor:
    return Actor(key.name, key.role, key.tenant, key.rows)


def open_session(ports: Ports, secret: str, now: datetime) -> str | None:
    """Turn a key into a session of at most twelve hours, and return its secret; None if the key is not good or a session."""
    parent = ports.stores.tenants.key(digest_of(secret.encode()))
    if parent is None or parent.name.startswith(SESSION) or not good(parent, now):
        return None
    session = "cs_" + base64.urlsafe_b64encode(ports.random(24)).decode()
    end = min(parent.expires_at or now + LIFE, now + LIFE)
    hashed = digest_of(session.encode())
    key = Key(ports.new_id(now), hashed, SESSION + parent.id, parent.role, parent.tenant, now, end, rows=parent.rows)
    with ports.stores.change(parent.tenant or HOUSE, Actor(parent.name, parent.role, parent.tenant), now) as change:
        change.tenants.save_key(key)
        change.record("session.opened", key.id, {"key": parent.id})
    return session


def end_session(ports: Ports, secret: str, now: datetime) -> None:
    """End a session; nothing happens for anything else."""
    key = ports.stores.tenants.key(digest_of(secret.encode()))
    if key is None or not key.name.startswith(SESSION) or not good(key, now):
        return
    with ports.stores.change(key.tenant or HOUSE, Actor(key.name, key.role, key.tenant), now) as change:
        change.tenants.save_key(replace(key, revoked_at=now))
        change.record("session.ended", key.id, {})
