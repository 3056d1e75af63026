"""Who acts, for whom: tenants, roles and actors."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from custody.core.errors import Denied, InvalidInput, NotFound

TenantId = NewType("TenantId", str)
HOUSE = TenantId("default")  # the team itself: owns models that it deploys to its clients
_SLUG = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])")


def tenant_id(text: str) -> TenantId:
    """Parse a tenant's slug: 2 to 63 characters of a-z, 0-9 and inner dashes."""
    if not _SLUG.fullmatch(text):
        raise InvalidInput(
            f"'{text}' is not a tenant name.",
            why="A tenant name has 2 to 63 characters: a-z, 0-9 and dashes inside.",
            fix="Try: custody tenant add acme",
            facts={"tenant": text},
        )
    return TenantId(text)


class Role(StrEnum):
    """What a key may do; each role includes the ones before it."""

    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    APPROVER = "approver"
    ADMIN = "admin"


_RANK = {role: rank for rank, role in enumerate(Role)}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or key that acts; `tenant` None means every tenant (the team's own keys). rows False: aggregates only."""

    name: str
    role: Role
    tenant: TenantId | None = None
    rows: bool = True

    def holds(self, role: Role) -> bool:
        """Tell whether this actor holds `role` or a higher one."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role) -> None:
        """Raise Denied unless this actor holds `role` or a higher one."""
        if not self.holds(role):
            raise Denied(
                f"This needs the role '{role}', and '{self.name}' is '{self.role}'.",
                fix="Ask an admin for a key: custody key add NAME --role " + role,
                facts={"role": self.role, "needed": role},
            )

    @property
    def sees_rows(self) -> bool:
        """Tell whether this actor may see single rows: a contributor or above whose key was not made without them."""
        return self.rows and self.holds(Role.CONTRIBUTOR)

    def require_rows(self) -> None:
        """Raise Denied unless this actor may see single rows."""
        self.require(Role.CONTRIBUTOR)
        if not self.rows:
            raise Denied(
                f"'{self.name}' may see aggregates, not rows.",
                why="Its key was made with --no-rows.",
                fix="Ask an admin for a key that may: custody key add NAME --role contributor",
                facts={"role": self.role, "rows": False},
            )

    def enter(self, tenant: TenantId) -> TenantId:
        """Return the tenant if this actor may enter it; else it does not exist for them."""
        if self.tenant is not None and self.tenant != tenant:
            raise NotFound.of("tenant", tenant, ls="custody tenant ls")
        return tenant
