"""The tenants' keys for pseudonyms: one file each, outside of the data's store, readable by its owner only."""

import os
import secrets
from pathlib import Path

from custody.core.errors import Unavailable
from custody.core.tenancy import TenantId, tenant_id
from custody.privacy.pseudonym import PseudonymKey

FIRST = "1"  # id of a tenant's first key; rotation makes a new id


class PseudonymFiles:
    """Keeps each tenant's key in a file of 64 hex digits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, tenant: TenantId) -> PseudonymKey:
        """Return a tenant's key, made when it is first asked for; Unavailable if its file is damaged."""
        path = self._folder / f"{tenant_id(tenant)}.key"
        _make(path)
        try:
            return PseudonymKey(tenant, FIRST, bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"The key for pseudonyms of '{tenant}' cannot be read.",
                why=f"{path.name} is not readable, or not a key.",
                fix="Restore it from a backup: a new key gives other pseudonyms, and joins with old data end.",
            ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_bytes(32).hex() + "\n")
