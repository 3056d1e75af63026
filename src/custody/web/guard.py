"""Refuses what has no key, or is too large, before anything of the body is read."""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from custody.core.errors import InvalidInput
from custody.lifecycle.admit import actor_of
from custody.lifecycle.stores import Ports
from custody.web.callers import Clock, secret_of
from custody.web.wire import NoKey, problem

LARGEST = 8 * 1024**3  # bytes of one request


class Guard:
    """Wraps the app: requests to the API need a good key, and a body of a stated size below the largest."""

    def __init__(self, app: ASGIApp, ports: Ports, clock: Clock) -> None:
        self._app, self._ports, self._clock = app, ports, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http" and scope["path"].startswith("/api/") and scope["method"] not in {"GET", "HEAD"}:
            request = Request(scope)
            secret = secret_of(request)
            size = request.headers.get("content-length", "0")
            refused: Exception | None = None
            if not secret or actor_of(self._ports.stores, secret, self._clock()) is None:
                refused = NoKey.missing()
            elif not size.isdecimal() or int(size) > LARGEST:
                refused = InvalidInput("The request is too large.", why=f"A request has at most {LARGEST:,} bytes.")
            if refused is not None:
                await problem(request, refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)
