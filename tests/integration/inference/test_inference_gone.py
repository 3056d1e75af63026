"""A connection that is gone keeps nothing: neither itself nor the requests that waited in it."""

import asyncio
import gc
import socket
import struct
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from custody.bootstrap.front import Front

ASKED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


class Held:
    """An application that answers nothing until it is told to; no path of its is one that may be answered at once."""

    def __init__(self) -> None:
        self.begun, self.gone = asyncio.Event(), asyncio.Event()
        self.view = SimpleNamespace(routes={})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI's shape
        self.begun.set()
        await self.gone.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is the absence of a reference that is waited for
            await asyncio.sleep(0)


def waiting_in(protocol: weakref.ref[Any]) -> list[weakref.ref[Any]]:
    """Return the requests that wait in a connection."""
    alive = protocol()
    return [weakref.ref(cycle) for cycle, _ in alive.pipeline] if alive else []


async def lose_a_connection(kept: list[weakref.ref[Any]]) -> None:
    """Hold three requests of one connection, lose it, and answer the first."""
    app = Held()

    def made() -> Front:
        protocol = Front(config, ServerState(), {})
        kept.append(weakref.ref(protocol))
        return protocol

    config = uvicorn.Config(app, http=Front, log_config=None, lifespan="off", proxy_headers=False)
    config.load()
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(ASKED * 3)
    await app.begun.wait()
    await until(lambda: len(waiting_in(kept[0])) == 2)
    kept.extend(waiting_in(kept[0]))
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    await until(lambda: writer.transport.get_extra_info("socket").fileno() == -1)
    app.gone.set()
    try:
        await until(lambda: not any(one() for one in kept))
    finally:
        server.close()


def test_requests_that_waited_in_a_lost_connection_go_with_it() -> None:
    kept: list[weakref.ref[Any]] = []
    gc.collect()
    gc.disable()  # what only the collector finds stays for minutes in a server that makes few objects
    try:
        asyncio.run(lose_a_connection(kept))
    finally:
        gc.enable()
    assert len(kept) == 3
