"""HTTP in front of the inference server: uvicorn's protocol, and a short way for requests that need not wait."""

import asyncio
import types
from collections.abc import Awaitable, Coroutine, Generator, Sized
from functools import partial
from heapq import nsmallest
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from custody.inference.app import InferenceApp
from custody.inference.exchange import CLOSE, LATER, PLAIN, Answer, Receive, Send, error_answer, refusal

_LENGTH = b"content-length: %d\r\n\r\n"
_PLAIN = STATUS_LINE[200] + b"".join(b"%s: %s\r\n" % header for header in PLAIN) + _LENGTH
_MOST_HEAD = 64 * 1024  # bytes of a request's URL and headers
_LARGE = f"The URL and the headers take more than {_MOST_HEAD} bytes together. Send values in the body."
_NOT_HTTP = "This cannot be read as a request of HTTP/1.1. Call http://, not https://, without a proxy and without HTTP/2."
_CUT = "The connection ended before the body of this request was complete."
_FULL = "The server holds as many connections as it may, and all are at work. Try again in a moment."


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


class _Wire:
    """The transport as uvicorn knows it: what it closes ends without cutting off a client that still sends, see `Front.part`."""

    def __init__(self, transport: asyncio.Transport, front: "Front") -> None:
        self._transport, self._front = transport, front

    def is_closing(self) -> bool:
        """Tell whether nothing more may be written."""
        return self._front.is_parting or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Write, if anybody is to be written to: the application may still answer what was refused."""
        if not self.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close when the client has sent what it began to send."""
        self._front.part()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Front(HttpToolsProtocol):
    """uvicorn's HTTP over httptools, with that flow; a request that came whole is answered at once if its answer need not wait.

    Such an answer costs no task, no scope and no timer of its own. Everything else goes through uvicorn's cycle: bodies that
    come in parts, answers that wait for a thread or for their turn, errors, connections that end, clients that do not read.

    Nobody needs a key to connect, so that what comes before a request is there is bounded here: heads in bytes and in time,
    and connections in number: a new one takes the place of those that wait longest for their clients.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin, and make room if there are too many connections."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._transport, self.is_parting = transport, False
        self.transport = _Wire(transport, self)  # type: ignore[assignment]  # all of a transport that uvicorn uses
        self._inference: InferenceApp = self.config.loaded_app
        self.url = b""  # nothing came yet
        self._parts: list[bytes] | None = None
        self._came = self._unplaced = 0  # bytes that came last, and those that came since the last head or part of a body
        self._is_head_open = False
        self.waits_since, self._unread = self.loop.time(), 0
        self._look = self.loop.call_later(self.timeout_keep_alive, self._end_if_idle)
        self.limit_concurrency = None  # uvicorn would refuse everybody, in its own words
        self._is_too_many = self._overflows()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and let go of the requests: they hold the connection, and it holds them, so that their bodies would stay."""
        self._look.cancel()
        super().connection_lost(exc)
        self.pipeline.clear()
        self.cycle = None  # type: ignore[assignment]  # as before the first request
        self.transport = self._transport  # and not what holds this

    def data_received(self, data: bytes) -> None:
        """Take what came; a request that is not whole by now goes uvicorn's way."""
        if self.is_parting:
            return
        self._came = len(data)
        self._unplaced += self._came
        rest: bytes | memoryview = data
        try:
            while rest:
                try:
                    self.parser.feed_data(rest)
                    break
                except httptools.HttpParserUpgrade as asked:
                    rest = memoryview(rest)[asked.args[0] :]
                    self._stay()
        except httptools.HttpParserError:
            self._refuse(error_answer(400, _NOT_HTTP, (CLOSE,)))
        else:
            if self._unplaced > _MOST_HEAD:
                self._refuse(_too_large(self.url))
        if self._parts is not None:
            parts, self._parts = self._parts, None
            if self.transport.is_closing():  # what came is not HTTP after all
                return
            self._begin(self._inference)
            for part in parts:
                super().on_body(part)

    def on_message_begin(self) -> None:
        """Begin a request, without the scope that only uvicorn's cycle needs."""
        self.url, self.headers, self.expect_100_continue, self._is_head_open = b"", [], False, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, as uvicorn does; a field behind a body is none: a proxy may not have looked at it.

        Source: RFC 9110, section 6.5.1.
        """
        if self._is_head_open:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hold the request until it is whole, if it may be answered at once."""
        if self.parser.should_upgrade():
            return  # the parser would drop the body: see _stay
        came = max(self._unplaced, self._came)  # a head behind another one came with it
        self._unplaced, self._is_head_open = 0, False
        if came > _MOST_HEAD and _size(self.url, self.headers) > _MOST_HEAD:
            answer = _too_large(self.url)
            self.url, self.headers = b"/", []
            self._begin(self._saying(self._counted(answer)))
        elif self._is_too_many and self._overflows():
            self._begin(self._saying(self._counted(error_answer(503, _FULL, (CLOSE, LATER)))))
        elif self._may_be_held():
            self._parts = []
        else:
            self._begin(self._inference)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._parts is not None:
            self._parts.append(body)
        else:
            self._unplaced, self.waits_since = 0, self.loop.time()
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer a request that was held."""
        if self._parts is None:
            if not self.parser.should_upgrade():
                self._unplaced = 0
                super().on_message_complete()
            return
        parts, self._parts = self._parts, None
        answering = self._inference.respond(self._inference.exchange("POST", self.url, self.headers, b"".join(parts)))
        try:
            waits_for = answering.send(None)
        except StopIteration as done:
            answer: Answer = done.value
            if answer.status == 200 and not (answer.closes() or answer.is_long() or self.flow.write_paused):
                self._write(answer)
            else:
                self._finish(answer)
        except Exception as error:  # noqa: BLE001 - the parser would take it for a fault of the client's
            refused = refusal(error)
            self._finish(error_answer(refused.status, refused.sentence, refused.headers))
        else:
            self._finish(resumed(answering, waits_for))

    def _may_be_held(self) -> bool:
        parser = self.parser
        route = self._inference.view.routes.get(self.url)
        return (
            route is not None
            and route.predictor is not None  # these take turns, so that one read does not hold up everybody
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not self.expect_100_continue
            and not self._is_busy()
        )

    def _is_busy(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until uvicorn makes the first
        return cycle is not None and not cycle.response_complete

    def _stay(self) -> None:
        """Begin a request again without its wish for another protocol: for that, the parser would drop the body."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise httptools.HttpParserError
        headers = (b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade")
        head = b"".join((b"%s %s HTTP/%s\r\n" % (method, self.url, version), *headers, b"\r\n"))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(head)

    def _write(self, answer: Answer) -> None:
        self._inference.outbox.post(self.loop, self._leave, _written(answer))
        self.server_state.total_requests += 1
        self.waits_since = self.loop.time()

    def _leave(self, answer: bytes) -> None:
        if not (self.is_parting or self._transport.is_closing()):
            self._transport.write(answer)

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Answer what came whole before the client ended its side of the connection, and close then; tell whether it stays open."""
        self._inference.outbox.deliver()
        if self.is_parting or not self._is_busy() or (self.cycle.more_body and not self.pipeline):
            return False
        if self.cycle.more_body:
            self._refuse(error_answer(400, _CUT, (CLOSE,)))
        self.cycle.keep_alive = False
        return True

    def _refuse(self, answer: Answer) -> None:
        """End the connection and say why, unless that would be taken for the answer to a request that came whole before."""
        if self._is_busy() and (self.pipeline or not self.cycle.more_body):
            if self.cycle.more_body:  # it stands behind such a request, and so does what is said of it
                self.pipeline[0] = self.cycle, self._saying(self._counted(answer))
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            self._inference.outbox.deliver()
            self._leave(_written(self._counted(answer)))
            self.part(is_owed=True)

    def part(self, *, is_owed: bool = False) -> None:
        """End the connection; while the client is still sending, say so and let it, for as long as an idle connection may stay.

        A connection that is closed with unread bytes is reset, and the answer may be lost with it: many clients send all of a
        body before they read (RFC 9112, section 9.6). is_owed: more may come; else if a request's body is not complete.
        """
        transport = self._transport
        if self.is_parting or transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if self._inference.draining or not (is_owed or (cycle is not None and cycle.more_body)):
            transport.close()
            return
        self.is_parting, self.waits_since = True, self.loop.time()
        if cycle is not None and not cycle.response_complete:  # its application waits for a body that nobody reads any more
            cycle.disconnected = True
            cycle.message_event.set()
        self._look.cancel()
        self._look = self.loop.call_later(self.timeout_keep_alive, transport.abort)
        transport.write_eof()
        if self.flow.read_paused:
            transport.resume_reading()

    def _counted(self, answer: Answer) -> Answer:
        """Count a refusal of what was not a whole request yet."""
        self._inference.metrics.meter(None).answered(answer.status, 0.0)
        return answer

    def pause_writing(self) -> None:
        """Wait for a client that does not read."""
        super().pause_writing()
        self.waits_since = self.loop.time()

    def on_response_complete(self) -> None:
        """Wait for the next request, without uvicorn's timer: that one ends with the first byte that comes."""
        super().on_response_complete()
        self._unset_keepalive_if_required()
        self.waits_since = self.loop.time()

    def shutdown(self) -> None:
        """End when what was asked is answered."""
        self._inference.outbox.deliver()
        if self.is_parting:
            self._transport.close()
        super().shutdown()

    def _end_if_idle(self) -> None:
        """Close a connection that is waited for too long, for all of a request's headers; one timer looks after many requests.

        One whose client takes nothing of what it was told is cut off: closing would wait for it, and keep the answer in memory.
        """
        seconds, unread = self.timeout_keep_alive, self._transport.get_write_buffer_size()
        if unread != self._unread:  # it reads, however slowly, or has just been told something
            self.waits_since = self.loop.time()
        self._unread = unread
        left = self.waits_since + seconds - self.loop.time() if unread or not self._is_busy() else seconds
        if left > 0:
            self._look = self.loop.call_later(left, self._end_if_idle)
        elif unread or self.transport.is_closing():
            self._transport.abort()
        elif self._is_head_open:
            self._refuse(error_answer(408, f"The headers of a request were not complete after {seconds} seconds.", (CLOSE,)))
        else:
            self.transport.close()

    def _overflows(self) -> bool:
        """Tell whether there are too many connections, and none of the others can go."""
        most = self.config.limit_concurrency
        return most is not None and len(self.connections) > most and not self._make_room()

    def _make_room(self) -> bool:
        """Close an eighth of the connections that wait for their clients, the longest first; False if there is none.

        One look at all of them serves for many that come.
        """
        waiting = [one for one in self.connections if isinstance(one, Front) and one is not self and one.waits()]
        for one in nsmallest(len(waiting) // 8 + 1, waiting, key=lambda one: one.waits_since):
            self.connections.discard(one)  # as when it is lost, in a moment
            one.transport.abort()
            self._inference.metrics.counts["connections_evicted"] += 1
        return bool(waiting)

    def waits(self) -> bool:
        """Tell whether it is the client that is waited for: to ask, to send all of it, to read, or to stop sending."""
        return self.is_parting or self.flow.write_paused or not self._is_busy() or (self.cycle.more_body and not self.pipeline)

    def _finish(self, rest: Answer | Awaitable[Answer]) -> None:
        self._begin(self._saying(rest))
        super().on_message_complete()

    def _saying(self, rest: Answer | Awaitable[Answer]) -> Any:
        async def app(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's shape
            await self._inference.send(send, rest if isinstance(rest, Answer) else await rest)

        return app

    def _begin(self, app: Any) -> None:
        """Begin uvicorn's cycle of a request whose headers are there."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        self.app = app
        super().on_headers_complete()
        self.app = self._inference


def _written(answer: Answer) -> bytes:
    body, headers = answer.body, answer.headers
    if headers is PLAIN and answer.status == 200:
        return _PLAIN % len(body) + body
    return b"".join((STATUS_LINE[answer.status], *(b"%s: %s\r\n" % header for header in headers), _LENGTH % len(body), body))


def _size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def _too_large(url: bytes) -> Answer:
    return error_answer(414 if len(url) > _MOST_HEAD // 2 else 431, _LARGE, (CLOSE,))


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
