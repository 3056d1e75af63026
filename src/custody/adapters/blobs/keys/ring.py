"""The ring of data keys: small documents in a place of their own, apart from what they seal, each key wrapped by the master.

`ring/<tenant>/index` makes names and tokens; `ring/<tenant>/data-00001`, ... seal, the highest number being current;
`ring/<tenant>/destroyed` stays when a ring was destroyed. Keep the ring out of the backups of the objects: a backup that
holds both can still be read after a destruction.
"""

import binascii
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from custody.adapters.blobs.keys.envelope import DataKey
from custody.adapters.blobs.keys.master import Master
from custody.core.errors import Conflict, CustodyError, Denied, IntegrityBroken, NotFound
from custody.core.keys import KeyInfo
from custody.core.objects import Objects
from custody.core.tenancy import HOUSE, TenantId

VERSION = 1
_FRESH_S = 5.0  # so long another process may go on with keys that were destroyed meanwhile


@dataclass(slots=True)
class _Held:
    """A tenant's unwrapped keys, as read a moment ago. data: by number; documents: what they were unwrapped from."""

    read_at: float
    index: DataKey | None = None
    data: dict[int, DataKey] = field(default_factory=dict)
    documents: dict[str, bytes] = field(default_factory=dict)
    destroyed: datetime | None = None


class KeyRing:
    """Keeps data keys in a store of documents; many threads and processes may share one.

    former: master keys used before, under which older keys may still be wrapped until `rewrap`.
    """

    def __init__(self, store: Objects, master: Master, *, former: Sequence[Master] = ()) -> None:
        self._store, self._master, self._former = store, master, former
        self._held: dict[TenantId, _Held] = {}

    @property
    def is_empty(self) -> bool:
        """Tell whether no key was ever made."""
        return next(self._store.names("ring/"), None) is None

    def index(self, tenant: TenantId) -> bytes:
        """Return the 32 bytes that make a tenant's names and tokens."""
        held = self._read(tenant)
        return (held.index or self._make(tenant, "index")).secret

    def has(self, tenant: TenantId) -> bool:
        """Tell whether a tenant has keys that are not destroyed, and make none."""
        try:
            return self._read(tenant).index is not None
        except Denied:
            return False

    def refuse_destroyed(self, tenant: TenantId) -> None:
        """Raise Denied if a tenant's keys were destroyed."""
        self._read(tenant)

    def current(self, tenant: TenantId) -> DataKey:
        """Return the key that seals; the first is made when it is first needed."""
        held = self._read(tenant)
        return held.data[max(held.data)] if held.data else self._make(tenant, "data-00001")

    def find(self, tenant: TenantId, id: bytes) -> DataKey:  # noqa: A002 - the field's word
        """Return the key with an id; NotFound, or Denied if the ring was destroyed."""
        for fresh in (True, False):
            found = next((key for key in self._read(tenant, fresh=not fresh).data.values() if key.id == id), None)
            if found is not None:
                return found
        raise NotFound(
            f"The data key {id.hex()[:8]} of '{tenant}' is missing.",
            why="The ring of keys is another one than the objects were sealed with, or lost a file.",
            fix="Restore the ring from its backup, or set the right one: keyring in custody.toml",
        )

    def tenants(self) -> Sequence[TenantId]:
        """Return the tenants that have or had keys, sorted."""
        return sorted({TenantId(name.split("/")[1]) for name in self._store.names("ring/")})

    def ls(self, tenant: TenantId) -> Sequence[KeyInfo]:
        """List a tenant's data keys, oldest first; those of a destroyed ring are told by one entry."""
        if (destroyed := self._destroyed(tenant)) is not None:
            return [KeyInfo(tenant, 0, "", "", destroyed, current=False, destroyed_at=destroyed)]
        names = [name for name in self._store.names(f"ring/{tenant}/") if "/data-" in name]
        return [self._info(tenant, name, current=name == names[-1]) for name in names]

    def rotate(self, tenant: TenantId, now: datetime) -> KeyInfo:
        """Make a new data key that seals from now on."""
        self.current(tenant)
        number = max(self._read(tenant, fresh=True).data) + 1
        name = f"data-{number:05}"
        self._make(tenant, name, now)
        return self._info(tenant, f"ring/{tenant}/{name}", current=True)

    def retire(self, tenant: TenantId, below: int) -> int:
        """Destroy a tenant's data keys of a lower number, and return how many there were; nothing may need them any more."""
        end = f"ring/{tenant}/data-{below:05}"
        names = [name for name in self._store.names(f"ring/{tenant}/") if "/data-" in name and name < end]
        for name in names:
            self._store.remove(name)
        self._store.purge(f"ring/{tenant}/")  # also what a killed call removed and left in the history
        self._held.pop(tenant, None)
        return len(names)

    def rewrap(self) -> int:
        """Wrap every key again under the current master, and return how many were not."""
        changed = 0
        for name in list(self._store.names("ring/")):
            body = None if name.endswith("/destroyed") else self._store.read(name)
            if body is None or (told := _parsed(body))["master"] == self._master.name:
                continue
            secret = self._unwrap(told, name)
            told |= {"wrapped": self._master.wrap(secret, _context(name)), "master": self._master.name}
            self._store.publish(name, json.dumps(told).encode())
            changed += 1
        self._held.clear()
        return changed

    def destroy(self, tenant: TenantId, now: datetime) -> int:
        """Destroy all keys of a tenant, the marker first, and return how many there were."""
        self.check_destroyable(tenant)
        names = [name for name in self._store.names(f"ring/{tenant}/") if not name.endswith("/destroyed")]
        self._store.create(f"ring/{tenant}/destroyed", json.dumps({"version": VERSION, "at": now.isoformat()}).encode())
        for name in names:
            self._store.remove(name)
        self._store.purge(f"ring/{tenant}/")
        self._held.pop(tenant, None)
        return sum("/data-" in name for name in names)

    def check_destroyable(self, tenant: TenantId) -> None:
        """Raise Conflict for the team's own keys."""
        if tenant == HOUSE:
            raise Conflict(
                "The team's own keys cannot be destroyed here.",
                why="The manifest that the data plane follows and the models of all tenants are sealed with them.",
                fix="To end a whole project, destroy its master key.",
            )

    def _info(self, tenant: TenantId, name: str, *, current: bool) -> KeyInfo:
        told = _parsed(self._store.read(name) or b"{}")
        number = int(name.rpartition("-")[2])
        return KeyInfo(tenant, number, told["id"][:8], told["master"], datetime.fromisoformat(told["made_at"]), current)

    def _destroyed(self, tenant: TenantId) -> datetime | None:
        body = self._store.read(f"ring/{tenant}/destroyed")
        return None if body is None else datetime.fromisoformat(json.loads(body)["at"])

    def _make(self, tenant: TenantId, name: str, now: datetime | None = None) -> DataKey:
        """Make a key; of several processes that do so at once, one wins and all use its key."""
        place, made_at = f"ring/{tenant}/{name}", now or datetime.now(UTC)
        id_, secret = os.urandom(16), os.urandom(32)
        wrapped = self._master.wrap(secret, _context(place))
        told = {"version": VERSION, "id": id_.hex(), "wrapped": wrapped, "master": self._master.name}
        self._store.create(place, json.dumps({**told, "made_at": made_at.isoformat()}).encode())
        held = self._read(tenant, fresh=True)
        made = held.index if name == "index" else held.data.get(int(name.removeprefix("data-")))
        if made is None:
            raise IntegrityBroken("A data key was made and is gone.", fix="Check the place of the ring: keyring in custody.toml")
        return made

    def _read(self, tenant: TenantId, *, fresh: bool = False) -> _Held:
        held = self._held.get(tenant)
        if held is None or fresh or time.monotonic() - held.read_at > _FRESH_S:
            held = self._held[tenant] = self._loaded(tenant, held)
        if held.destroyed is not None:
            raise destroyed(tenant, held.destroyed)
        return held

    def _loaded(self, tenant: TenantId, old: _Held | None) -> _Held:
        held = _Held(time.monotonic(), destroyed=self._destroyed(tenant))
        for name in [] if held.destroyed else self._store.names(f"ring/{tenant}/"):
            body = self._store.read(name)
            leaf = name.rpartition("/")[2]
            if body is None or leaf == "destroyed":
                continue
            known = old is not None and old.documents.get(name) == body
            key = self._known(old, leaf) if known else None
            if key is None:
                told = _parsed(body)
                key = DataKey(bytes.fromhex(told["id"]), self._unwrap(told, name))
            held.documents[name] = body
            if leaf == "index":
                held.index = key
            else:
                held.data[int(leaf.removeprefix("data-"))] = key
        return held

    @staticmethod
    def _known(old: _Held | None, leaf: str) -> DataKey | None:
        if old is None:
            return None
        return old.index if leaf == "index" else old.data.get(int(leaf.removeprefix("data-")))

    def _unwrap(self, told: dict[str, Any], name: str) -> bytes:
        masters = [self._master, *self._former]
        fitting = [one for one in masters if one.name == told["master"]] or masters[:1]
        return fitting[0].unwrap(told["wrapped"], _context(name))


def destroyed(tenant: TenantId, at: datetime) -> Denied:
    """Say that a tenant's keys are gone."""
    return Denied(
        f"What was sealed for '{tenant}' can never be read again.",
        why=f"Its data keys were destroyed on {at:%Y-%m-%d}.",
        fix="Nothing restores it; add a new tenant for new data.",
        facts={"tenant": tenant, "destroyed_at": at.isoformat()},
    )


def _context(name: str) -> bytes:
    return b"custody key v1\0" + name.encode()


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(body)
        if told["version"] != VERSION:
            raise Conflict("The ring of keys has an unknown version.", fix="pip install --upgrade custody-ml")
        bytes.fromhex(told["id"])
    except CustodyError:
        raise
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise IntegrityBroken(
            "A file of the ring of keys is damaged.", fix="Restore the ring from its backup: keyring in custody.toml"
        ) from error
    return told
