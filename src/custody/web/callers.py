"""Who calls: a key in a header or a session cookie becomes an actor, a header or the key names the tenant."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Path, Request

from custody.core.errors import Denied
from custody.core.tenancy import HOUSE, Actor, tenant_id
from custody.lifecycle.admit import actor_of
from custody.lifecycle.stores import Caller, Ports
from custody.web.wire import NoKey

COOKIE = "custody_session"
Clock = Callable[[], datetime]


def secret_of(request: Request) -> str | None:
    """Return the key that a request carries: `Authorization: Bearer`, `X-Custody-Key`, or the session cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("x-custody-key") or request.cookies.get(COOKIE)


def caller(request: Request) -> Caller:
    """Return who calls, for which tenant; NoKey without a valid key, NotFound for a tenant the key cannot enter."""
    ports: Ports = request.app.state.ports
    now: datetime = request.app.state.clock()
    actor: Actor | None = request.app.state.local
    if actor is None:
        secret = secret_of(request)
        actor = actor_of(ports.stores, secret, now) if secret else None
        if actor is None:
            raise NoKey.missing()
        _same_origin(request)
    asked = request.headers.get("x-custody-tenant") or actor.tenant or HOUSE
    tenant = ports.stores.tenants.get(actor.enter(tenant_id(asked))).id
    return Caller(tenant, actor, now)


def _same_origin(request: Request) -> None:
    """Refuse a change that a browser sends from another site with our cookie."""
    origin = request.headers.get("origin")
    changes = request.method not in {"GET", "HEAD"} and request.cookies.get(COOKIE)
    if changes and origin and origin.split("://")[-1] != request.headers.get("host"):
        raise Denied("This change came from another site.", why="The browser named another origin.")


def ports_of(request: Request) -> Ports:
    """Return the ports that the process was wired with."""
    ports: Ports = request.app.state.ports
    return ports


Version = Annotated[int, Path(ge=1, lt=2**31)]
Called = Annotated[Caller, Depends(caller)]
Wired = Annotated[Ports, Depends(ports_of)]
