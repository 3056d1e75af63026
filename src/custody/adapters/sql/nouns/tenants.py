"""Tenants and the keys that enter them: of the whole project, so outside any tenant."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, insert, select, update

from custody.adapters.sql.body import maybe_time_of, text_of, time_of
from custody.adapters.sql.session import Access, first, paged
from custody.adapters.sql.tables import keys
from custody.adapters.sql.tables import tenants as table
from custody.core.digest import Digest
from custody.core.errors import Conflict, NotFound
from custody.core.page import Page
from custody.core.refs import near
from custody.core.tenancy import Role, TenantId
from custody.lifecycle.stores import Key, Tenant


class SqlTenants:
    """Tenants and the keys that enter them."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def get(self, tenant: TenantId) -> Tenant:
        """Return a tenant; NotFound names close ones."""
        row = first(self._access, select(table).where(table.c.id == tenant))
        if row is not None:
            return _tenant(row)
        known = [row.id for row in self._access.rows(select(table.c.id).limit(1000))]
        raise NotFound.of("tenant", tenant, ls="custody tenant ls", near=near(tenant, known))

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Tenant]:
        """List tenants by name."""
        return paged(self._access, select(table), [table.c.id], after=after, limit=limit, noun=_tenant, ascending=True)

    def add(self, tenant: Tenant) -> None:
        """Store a tenant; Conflict if it exists."""
        if first(self._access, select(table.c.id).where(table.c.id == tenant.id)) is not None:
            raise Conflict(f"Tenant '{tenant.id}' exists already.", fix="List them: custody tenant ls")
        self._access.write(insert(table).values(id=tenant.id, created_at=text_of(tenant.created_at)))

    def key(self, sha256: Digest) -> Key | None:
        """Return the key with this hash, revoked and expired ones too."""
        row = first(self._access, select(keys).where(keys.c.sha256 == sha256))
        return None if row is None else _key(row)

    def keys(self) -> Sequence[Key]:
        """Return all keys, oldest first."""
        return [_key(row) for row in self._access.rows(select(keys).order_by(keys.c.created_at, keys.c.id))]

    def save_key(self, key: Key) -> None:
        """Store a key, replacing the one with its id."""
        values = {
            "sha256": key.sha256,
            "name": key.name,
            "role": key.role.value,
            "tenant": key.tenant,
            "created_at": text_of(key.created_at),
            "expires_at": text_of(key.expires_at),
            "revoked_at": text_of(key.revoked_at),
            "rows": key.rows,
        }
        if not self._access.write(update(keys).where(keys.c.id == key.id).values(**values)):
            self._access.write(insert(keys).values(id=key.id, **values))


def _tenant(row: Row[Any]) -> Tenant:
    return Tenant(TenantId(row.id), time_of(row.created_at))


def _key(row: Row[Any]) -> Key:
    ends = maybe_time_of(row.expires_at), maybe_time_of(row.revoked_at)
    tenant = None if row.tenant is None else TenantId(row.tenant)
    return Key(row.id, Digest(row.sha256), row.name, Role(row.role), tenant, time_of(row.created_at), *ends, row.rows)
