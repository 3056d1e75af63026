"""Who may call what: from a path and a key to the route that answers, or the refusal."""

from dataclasses import dataclass, field

from custody.core.digest import Digest
from custody.core.tenancy import TenantId
from custody.inference.exchange import Refused
from custody.inference.models.library import State
from custody.inference.routes import PRODUCTION, Route

INVOCATIONS = b"/invocations"
_UNSUPPORTED = (b"/v2/trace/", b"/trace/setting", b"/v2/logging", b"/v2/systemsharedmemory/", b"/v2/cudasharedmemory/")


@dataclass(frozen=True, slots=True)
class View:
    """A state and its routes; requests read it once, so that each finishes on what it began with.

    alone: the route of the only deployment that a key of these tenants may call, once it was looked up.
    """

    state: State
    routes: dict[bytes, Route]
    alone: dict[frozenset[TenantId | None], Route | None] = field(default_factory=dict)

    def only(self, key: Digest | None) -> Route | None:
        """Return the route of the only `prod` deployment that this key may call; None if there is none, or more than one."""
        tenants = self.state.grants.get(key) if key else None
        if tenants is None:
            return None
        if tenants not in self.alone:
            self.alone[tenants] = self._only(tenants)
        return self.alone[tenants]

    def _only(self, tenants: frozenset[TenantId | None]) -> Route | None:
        known = {key for key in (*self.state.served, *self.state.failures) if key.environment == PRODUCTION}
        found = [key for key in known if None in tenants or key.tenant in tenants]
        path = f"/tenants/{found[0].tenant}/deployments/{found[0].name}/invocations" if len(found) == 1 else ""
        return self.routes.get(path.encode())

    def admit(self, key: Digest | None, route: Route | None, method: str, path: bytes) -> Route:
        """Return the route if this caller may use it: 401 without a known key, 404 for what is not there or not theirs."""
        if self.state.sequence < 0:
            raise Refused(503, "No manifest is served yet; try again in a moment.")
        tenants = self.state.grants.get(key) if key else None
        if tenants is None:
            raise Refused(401, "This needs a key of the tenant: send it as 'Authorization: Bearer KEY'.")
        if route is None or not (None in tenants or route.tenant in tenants):
            raise _missing(path)
        if method != route.method:
            raise Refused(405, f"Use {route.method} for this path.")
        return route


def _missing(path: bytes) -> Refused:
    if any(part in path for part in _UNSUPPORTED):
        return Refused(501, "Trace, logging and shared memory are not supported by this server.")
    if path == INVOCATIONS:
        return Refused(
            404, "This key may call none or several deployments: use /tenants/TENANT/deployments/NAME/invocations instead."
        )
    return Refused(404, f"There is no '{path.decode('ascii', 'replace')[:200]}' here. List models: POST v2/repository/index")
