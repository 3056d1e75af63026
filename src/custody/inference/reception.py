"""Who may call what: from a path and a key to the route that answers, or the refusal."""

from dataclasses import dataclass, field

from custody.core.tenancy import TenantId
from custody.inference.exchange import Exchange, Refused
from custody.inference.models.library import State
from custody.inference.routes import PRODUCTION, Route

INVOCATIONS = b"/invocations"
_MOST_KNOWN, _LONGEST_KNOWN = 10_000, 256
Tenants = frozenset[TenantId | None]  # None among them: every tenant
_UNSUPPORTED = (b"/v2/trace/", b"/trace/setting", b"/v2/logging", b"/v2/systemsharedmemory/", b"/v2/cudasharedmemory/")


_NO_KEY = (
    "This needs a key of the tenant that this server knows: send it as 'Authorization: Bearer KEY'. "
    "Make one with: custody key add (it is known within a second)"
)


def is_mlflow(path: bytes) -> bool:
    """Tell whether a path is one of MLflow's protocol, whose shape of errors it has, whatever is there and for whom."""
    return path == INVOCATIONS or b"/deployments/" in path


@dataclass(frozen=True, slots=True)
class View:
    """A state and its routes; requests read it once, so that each finishes on what it began with.

    alone: the route of the only deployment that a key of these tenants may call, once it was looked up.
    known: the tenants of each `Authorization` header that was granted some, so that its key is hashed once.
    """

    state: State
    routes: dict[bytes, Route]
    alone: dict[Tenants, Route | None] = field(default_factory=dict)
    known: dict[bytes, Tenants] = field(default_factory=dict)

    def only(self, exchange: Exchange) -> Route | None:
        """Return the route of the only `prod` deployment that this caller may call; None if there is none, or more than one."""
        tenants = self.tenants_of(exchange)
        if tenants is None:
            return None
        if tenants not in self.alone:
            self.alone[tenants] = self._only(tenants)
        return self.alone[tenants]

    def _only(self, tenants: Tenants) -> Route | None:
        known = {key for key in (*self.state.served, *self.state.failures) if key.environment == PRODUCTION}
        found = [key for key in known if None in tenants or key.tenant in tenants]
        path = f"/tenants/{found[0].tenant}/deployments/{found[0].name}/invocations" if len(found) == 1 else ""
        return self.routes.get(path.encode())

    def tenants_of(self, exchange: Exchange) -> Tenants | None:
        """Return the tenants that the caller's key may call; None if it has no known key."""
        header = exchange.headers.get(b"authorization", b"")
        tenants = self.known.get(header)
        if tenants is None:
            key = exchange.key()
            tenants = self.state.grants.get(key) if key else None
            if tenants is not None and header[:7].lower() == b"bearer " and len(header) <= _LONGEST_KNOWN:
                if len(self.known) >= _MOST_KNOWN:  # one key can be written with any number of spaces
                    self.known.clear()
                self.known[header] = tenants
        return tenants

    def admit(self, tenants: Tenants | None, route: Route | None, method: str, path: bytes) -> Route:
        """Return the route if this caller may use it: 401 without a known key, 404 for what is not there or not theirs."""
        if self.state.sequence < 0:
            raise Refused(503, "No manifest is served yet; try again in a moment.")
        if tenants is None:
            raise Refused(401, _NO_KEY)
        if route is None or route.key is None or not (None in tenants or route.key.tenant in tenants):
            raise _missing(path)
        if method != route.method:
            raise Refused(405, f"Use {route.method} for this path.", ((b"allow", route.method.encode()),))
        return route


def _missing(path: bytes) -> Refused:
    if any(part in path for part in _UNSUPPORTED):
        return Refused(501, "Trace, logging and shared memory are not supported by this server.")
    if path == INVOCATIONS:
        return Refused(
            404, "This key may call none or several deployments: use /tenants/TENANT/deployments/NAME/invocations instead."
        )
    return Refused(
        404,
        f"There is no '{path.decode('ascii', 'replace')[:200]}' for this key. A tenant's paths begin with /tenants/TENANT; "
        "POST /tenants/TENANT/v2/repository/index lists its models.",
    )
