"""Reseal: what older data keys sealed is sealed under the newest one, stretch by stretch, until the older ones can go."""

from dataclasses import dataclass, replace
from datetime import timedelta

from custody.core.errors import Conflict
from custody.core.keys import KeyInfo, Reseal, Resealed
from custody.core.tenancy import Role
from custody.lifecycle.forget import delete_bytes
from custody.lifecycle.publish import publish
from custody.lifecycle.stores import Caller, Ports

MANY = 200  # documents in one stretch
_SETTLED = timedelta(minutes=1)  # after so long no process seals with an older key


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of the work. key: the number of the data key that seals now. retired: how many older ones were destroyed."""

    key: int
    after: str
    looked: int
    changed: int
    total: int
    done: bool
    retired: int = 0


def reseal(
    ports: Ports, caller: Caller, after: str = "", *, limit: int = MANY, retire: bool = False, dry_run: bool = False
) -> tuple[Stretch, int | None]:
    """Seal a tenant's next documents under its newest key; call again with `after` until it is done.

    What is sealed so already is passed over, so that a work that was killed goes on wherever it is begun again. retire: at the
    end destroy the older data keys, if nothing needs them; Conflict less than a minute after a rotation.
    """
    caller.may(Role.ADMIN)
    key = _newest(ports, caller)
    if retire and not dry_run and caller.now - key.made_at < _SETTLED:
        raise Conflict(
            "The older data keys cannot go yet.",
            why="The newest one is less than a minute old, and other processes may still seal with the one before.",
            fix="Run it again in a minute.",
        )
    objects = ports.stores.objects.of(caller.tenant)
    if dry_run:
        found = objects.reseal(after, limit, dry_run=True)
        return _told(key, found), None
    begun = _begin(ports, caller, key) if not after else None
    found = objects.reseal(after, limit, alone=lambda: ports.stores.change(caller.tenant, caller.actor, caller.now))
    delete_bytes(ports, caller.tenant)  # what an erasure removed while it was being sealed anew is removed again
    if found.after:
        return _told(key, found), begun
    publish(ports, caller.now)
    return _end(ports, caller, key, found, retire=retire)


def _newest(ports: Ports, caller: Caller) -> KeyInfo:
    found = next((key for key in ports.keys.ls(caller.tenant) if key.current), None)
    if found is None:
        raise Conflict(
            f"'{caller.tenant}' has no data key that seals.",
            why="Nothing was sealed for it, or its keys were destroyed.",
            fix="Look at them: custody encryption ls",
        )
    return found


def _begin(ports: Ports, caller: Caller, key: KeyInfo) -> int | None:
    known = ports.stores.of(caller.tenant).reseals.get()
    if known is not None and known.number == key.number and known.done_at is None:
        return None
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.reseals.save(Reseal(key.number, key.id, caller.now))
        return change.record("encryption.resealing", caller.tenant, {"number": key.number, "key": key.id}).seq


def _end(ports: Ports, caller: Caller, key: KeyInfo, found: Resealed, *, retire: bool) -> tuple[Stretch, int | None]:
    """Record the end, and destroy the older keys if a last look finds nothing under them."""
    older = [one for one in ports.keys.ls(caller.tenant) if one.number < key.number]
    if retire and _stale(ports, caller):
        raise Conflict("Something was sealed with an older key meanwhile.", fix="Run it again: it seals only what is left.")
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        known = change.reseals.get() or Reseal(key.number, key.id, caller.now)
        change.reseals.save(replace(known, done_at=caller.now))
        entry = change.record(
            "encryption.resealed", caller.tenant, {"number": key.number, "retired": len(older) if retire else 0}
        )
    retired = ports.keys.retire(caller.tenant, key.number) if retire else 0
    return replace(_told(key, found), retired=retired), entry.seq


def _stale(ports: Ports, caller: Caller) -> bool:
    objects, after = ports.stores.objects.of(caller.tenant), ""
    while True:
        found = objects.reseal(after, MANY, dry_run=True)
        if found.changed or not found.after:
            return bool(found.changed)
        after = found.after


def _told(key: KeyInfo, found: Resealed) -> Stretch:
    return Stretch(key.number, found.after, found.looked, found.changed, found.total, not found.after)
