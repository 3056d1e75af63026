"""The HTTP server of an inference process: says when it listens, and drains before it stops."""

import asyncio
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import uvicorn

from custody.bootstrap.front import Front
from custody.inference.app import InferenceApp
from custody.inference.exchange import address

_AT_ONCE = 64  # connections that are taken over from another process in one look
_CONNECTIONS = 8192  # above it, new ones take the place of those that wait; the limits on requests are far below


class Listener(uvicorn.Server):
    """Says when it listens, for a supervisor that waits for it; drains before it stops.

    others: listening sockets of the processes beside this one; what waits there too long is answered here, since its process
    is dead, starting or stuck. parent: the process without which this one stops.
    """

    def __init__(
        self,
        app: InferenceApp,
        host: str,
        port: int,
        *,
        drain_seconds: float,
        parent: int | None = None,
        others: Sequence[socket.socket] = (),
    ) -> None:
        super().__init__(_config(app, host, port, connections_within(resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
        self._app, self._drain_seconds, self._parent, self._end = app, drain_seconds, parent, 0.0
        self._others = others
        for one in others:
            one.setblocking(False)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # modules and models live on: the collector need not look at them again and again
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        doors = "".join(f"grpc ready on {address(host, door.port)}\n" for door in self._app.doors)
        sys.stdout.write(f"inference ready on http://{address(host, port)}\n{doors}")
        sys.stdout.flush()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the shape of a signal's handler
        """Drain at the first SIGTERM; stop at a second one, and at SIGINT; stop without waiting at a second SIGINT."""
        if sig == signal.SIGTERM and not self._app.draining:
            self._app.drain()
            self._end = time.monotonic() + self._drain_seconds
        elif sig == signal.SIGINT and self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Tell whether it is time to stop: the drain is over, or the process that started this one is gone."""
        if self._parent is not None and os.getppid() != self._parent:
            self.should_exit = True
        elif self._others:
            await self._help_out()
        return await super().on_tick(counter) or (self._app.draining and time.monotonic() >= self._end)

    async def _help_out(self) -> None:
        """Accept what waits at the others' sockets: a process that lives accepts within a tick."""
        for one in self._others:
            for _ in range(_AT_ONCE):
                try:
                    accepted, _ = one.accept()
                except OSError:  # nothing waits there, or it went away
                    break
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)

    def _protocol(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return protocol


def connections_within(most_files: int) -> int:
    """Allow this process all files that it may open, one for each connection; returns how many connections it may hold."""
    if most_files == resource.RLIM_INFINITY:
        return _CONNECTIONS
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    return min(_CONNECTIONS, most_files // 2)


def _config(app: InferenceApp, host: str, port: int, connections: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=Front,
        lifespan="on",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_config=None,
        log_level="warning",
        limit_concurrency=connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
