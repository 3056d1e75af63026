"""The tenants' keys for pseudonyms: one file each, outside of the data's store, readable by its owner only."""

import secrets
from pathlib import Path

from custody.adapters.blobs.keys.once import write_once
from custody.core.errors import Denied, Unavailable
from custody.core.tenancy import TenantId, tenant_id
from custody.privacy.pseudonym import PseudonymKey

FIRST = "1"  # id of a tenant's first key; rotation makes a new id


class PseudonymFiles:
    """Keeps each tenant's key in a file of 64 hex digits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, tenant: TenantId) -> PseudonymKey:
        """Return a tenant's key, made when it is first asked for; Unavailable if its file is damaged, Denied once destroyed."""
        path = self._path(tenant)
        if self._gone(tenant).exists():
            raise Denied(
                f"The pseudonyms of '{tenant}' link to nobody any more.",
                why="The tenant's keys were destroyed, the one for pseudonyms with them.",
                fix="Nothing restores it; add a new tenant for new data.",
                facts={"tenant": tenant},
            )
        write_once(path, secrets.token_bytes(32))
        try:
            return PseudonymKey(tenant, FIRST, bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"The key for pseudonyms of '{tenant}' cannot be read.",
                why=f"{path.name} is not readable, or not a key.",
                fix="Restore it from a backup: a new key gives other pseudonyms, and joins with old data end.",
            ) from error

    def has(self, tenant: TenantId) -> bool:
        """Tell whether a tenant has a key, and make none."""
        return self._path(tenant).exists()

    def destroy(self, tenant: TenantId) -> bool:
        """Destroy a tenant's key, the marker first, so that none is made in its place; tell whether there was one."""
        there = self.has(tenant)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._gone(tenant).touch(mode=0o600)
        self._path(tenant).unlink(missing_ok=True)
        return there

    def _path(self, tenant: TenantId) -> Path:
        return self._folder / f"{tenant_id(tenant)}.key"

    def _gone(self, tenant: TenantId) -> Path:
        return self._folder / f"{tenant_id(tenant)}.destroyed"
