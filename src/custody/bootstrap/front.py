"""HTTP in front of the inference server: uvicorn's protocol, and a short way for requests that need not wait."""

import asyncio
import types
from collections.abc import Awaitable, Coroutine, Generator, Sized
from functools import partial
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from custody.inference.app import InferenceApp
from custody.inference.exchange import PLAIN, Answer, Receive, Send, error_answer, failed

_OK, _LENGTH = b"HTTP/1.1 200 OK\r\n", b"content-length: %d\r\n\r\n"
_PLAIN = _OK + b"".join(b"%s: %s\r\n" % header for header in PLAIN) + _LENGTH


class _Flow(FlowControl):
    """Reads no more from a connection while requests that came ahead of their turn wait in its pipeline.

    uvicorn reads on with every answer, so that a client that sends and never reads fills the memory with its requests.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, unless requests wait."""
        if not self._pipeline:
            super().resume_reading()


class Front(HttpToolsProtocol):
    """uvicorn's HTTP over httptools, with that flow; a request that came whole is answered at once if its answer need not wait.

    Such an answer costs no task, no scope and no timer of its own. Everything else goes through uvicorn's cycle: bodies that
    come in parts, answers that wait for a thread or for their turn, errors, connections that end, clients that do not read.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._inference: InferenceApp = self.config.loaded_app
        self._parts: list[bytes] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._answered_at = 0.0

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and let go of the requests: they hold the connection, and it holds them, so that their bodies would stay."""
        if self._idle is not None:
            self._idle.cancel()
        super().connection_lost(exc)
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]  # as before the first request

    def data_received(self, data: bytes) -> None:
        """Take what came; a request that is not whole by now goes uvicorn's way."""
        super().data_received(data)
        if self._parts is not None:
            parts, self._parts = self._parts, None
            if self.transport.is_closing():  # what came is not HTTP after all
                return
            self._begin(self._inference)
            for part in parts:
                super().on_body(part)

    def on_message_begin(self) -> None:
        """Begin a request, without the scope that only uvicorn's cycle needs."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Hold the request until it is whole, if it may be answered at once."""
        if self._may_be_held():
            self._parts = []
        else:
            self._begin(self._inference)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._parts is not None:
            self._parts.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a request that was held."""
        if self._parts is None:
            super().on_message_complete()
            return
        parts, self._parts = self._parts, None
        answering = self._inference.respond(self._inference.exchange("POST", self.url, self.headers, b"".join(parts)))
        try:
            waits_for = answering.send(None)
        except StopIteration as done:
            answer: Answer = done.value
            if answer.status == 200 and not answer.closes() and not self.flow.write_paused:
                self._write(answer)
            else:
                self._finish(_ready(answer))
        except Exception as error:  # noqa: BLE001 - the parser would take it for a fault of the client's
            self._finish(_ready(error_answer(*failed(error))))
        else:
            self._finish(resumed(answering, waits_for))

    def _may_be_held(self) -> bool:
        parser, limit = self.parser, self.limit_concurrency
        route = self._inference.view.routes.get(self.url)
        return (
            route is not None
            and route.predictor is not None  # these take turns, so that one read does not hold up everybody
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            and not self._is_busy()
            and (limit is None or len(self.connections) < limit)
        )

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until uvicorn makes the first
        return cycle is not None and not cycle.response_complete

    def _write(self, answer: Answer) -> None:
        body, headers = answer.body, answer.headers
        if headers is PLAIN:
            head = _PLAIN % len(body)
        else:
            head = b"".join((_OK, *(b"%s: %s\r\n" % header for header in headers), _LENGTH % len(body)))
        self._inference.outbox.post(self._leave, head + body)
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._end_if_idle)

    def _leave(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, behind what was answered before it."""
        self._inference.outbox.deliver()
        super().send_400_response(msg)

    def shutdown(self) -> None:
        """End when what was asked is answered."""
        self._inference.outbox.deliver()
        super().shutdown()

    def _end_if_idle(self) -> None:
        """Close a connection on which nothing was asked for too long; one timer looks after many requests."""
        self._idle = None
        if self.transport.is_closing() or self.timeout_keep_alive_task or self._is_busy():
            return  # uvicorn has a timer of its own here, or will have
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle = self.loop.call_later(left, self._end_if_idle)
        else:
            self.transport.close()

    def _finish(self, rest: Awaitable[Answer]) -> None:
        async def app(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's shape
            await self._inference.send(send, await rest)

        self._begin(app)
        super().on_message_complete()

    def _begin(self, app: Any) -> None:
        """Begin uvicorn's cycle of a request whose headers are there."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        self.app = app
        super().on_headers_complete()
        self.app = self._inference


async def _ready(answer: Answer) -> Answer:
    return answer


@types.coroutine
def resumed(begun: Coroutine[Any, Any, Answer], waits_for: object) -> Generator[Any, Any, Answer]:
    """Go on with a coroutine that was begun by hand and waits for something."""
    while True:
        try:
            sent = yield waits_for
        except BaseException as error:  # noqa: BLE001 - what it waited for failed, or it is cancelled: its own to handle
            step = partial(begun.throw, error)
        else:
            step = partial(begun.send, sent)
        try:
            waits_for = step()
        except StopIteration as done:
            answer: Answer = done.value
            return answer
