"""A folder as a server: the same app, called in this process."""

import asyncio
import os
from pathlib import Path
from typing import Any

import httpx

from custody.bootstrap.control import LOCAL, clock, wire
from custody.bootstrap.settings import load
from custody.web.app import create_app


class LocalTransport(httpx.BaseTransport):
    """Sends httpx requests to an ASGI app in this process; whoever can open the folder is its admin."""

    def __init__(self, folder: Path) -> None:
        self._ports = wire(load(folder, os.environ))
        self._app = httpx.ASGITransport(create_app(self._ports, clock, local=LOCAL), raise_app_exceptions=True)
        self._loop = asyncio.new_event_loop()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        return self._loop.run_until_complete(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        inner = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await self._app.handle_async_request(inner)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content, request=request)

    def close(self) -> None:
        """Close the database and the loop."""
        stores: Any = self._ports.stores
        stores.close()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def transport(folder: Path) -> httpx.BaseTransport:
    """Open a project folder; see the entry point `custody.transports`."""
    return LocalTransport(folder)
