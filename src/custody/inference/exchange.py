"""One HTTP exchange: headers, a bounded body, an answer in exactly two messages."""

import asyncio
import hashlib
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from custody.core.digest import Digest
from custody.core.errors import CustodyError, InvalidInput
from custody.inference.models.library import Arm
from custody.inference.packing import GZIP_AND_DEFLATE

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Grown = Callable[[int], None]
Headers = Sequence[tuple[bytes, bytes]]
JSON_TYPE = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
LATER = (b"retry-after", b"1")
PLAIN: Headers = (JSON_TYPE,)
_log = logging.getLogger("custody.inference")
_SMALL = 64 * 1024  # an unread body up to this size is worth keeping the connection for
INLINE_BYTES = 128 * 1024  # above this size a body is decoded, or written, off the event loop


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests may take.

    body_bytes: one body, after decompression too. body_seconds: until the whole body is there. tenant_requests,
    server_requests: admitted and not answered, of one tenant and of all. tenant_bytes, server_bytes: of their bodies, as
    announced until they are there (as they come, where nothing was), then as they are, decompressed ones beside what came; and
    of long answers, until the client took them.
    """

    body_bytes: int = 16 * 1024 * 1024
    body_seconds: float = 10.0
    tenant_requests: int = 512
    server_requests: int = 2048
    tenant_bytes: int = 256 * 1024 * 1024
    server_bytes: int = 1024 * 1024 * 1024


def address(host: str, port: int) -> str:
    """Return host and port as URLs hold them: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Refused(Exception):
    """End a request with a status, one sentence, and the headers that go with the status."""

    def __init__(self, status: int, sentence: str, headers: Headers = ()) -> None:
        self.status, self.sentence, self.headers = status, sentence, headers
        super().__init__(sentence)


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


@dataclass(slots=True)
class Answer:
    """Status, body and headers; arm: what answered or failed to, if the request came to one."""

    status: int
    body: bytes
    headers: Headers = PLAIN
    arm: Arm | None = None

    def closes(self) -> bool:
        """Tell whether the connection ends with this answer."""
        return CLOSE in self.headers

    def is_long(self) -> bool:
        """Tell whether it takes memory worth counting while a client reads it."""
        return len(self.body) > INLINE_BYTES


def error_answer(status: int, sentence: str, headers: Headers = ()) -> Answer:
    """Say an error in the protocol's shape."""
    return Answer(status, orjson.dumps({"error": sentence[:4000]}), (JSON_TYPE, *headers))


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer as two messages, a long one as three: the server takes the last one when the client has read."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.is_long():
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": answer.body})


def refusal(error: Exception) -> Refused:
    """Return what a failure is answered with; one that nobody expected is logged."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, InvalidInput):
        return Refused(400, str(error))
    _log.error("a request failed in an unexpected way", exc_info=error)
    return Refused(503 if isinstance(error, CustodyError) else 500, "The server failed on this request; its log says why.")


class Exchange:
    """A request on its way in; the body is read at most once, and only when asked for.

    since: when it came, a `time.perf_counter_ns()`. held: the bytes that are counted for its body.
    """

    __slots__ = ("_body", "_limits", "headers", "held", "method", "path", "since")

    def __init__(
        self, method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]], limits: Limits, body: bytes | Receive
    ) -> None:
        """Begin; body: the bytes if they are there already, else where they come from."""
        self.method, self.path, self.headers = method, path, dict(headers)
        self._limits, self._body = limits, body
        self.since, self.held = time.perf_counter_ns(), 0

    def key(self) -> Digest | None:
        """Return the sha-256 of the caller's key, from `Authorization: Bearer` or `X-Custody-Key`."""
        given = self.headers.get(b"authorization", b"")
        key = given[7:].strip() if given[:7].lower() == b"bearer " else self.headers.get(b"x-custody-key", b"")
        return Digest(hashlib.sha256(key).hexdigest()) if key else None

    def announced(self) -> int:
        """Return the bytes of the body as its headers announce them: at most what one request may take, 0 if they say nothing."""
        if isinstance(self._body, bytes):
            return len(self._body)
        return min(int(self.headers.get(b"content-length", b"0")), self._limits.body_bytes)

    def leaves_unread(self) -> bool:
        """Tell whether answering now leaves a body unread that is not worth waiting for, or that is only sent when asked for."""
        if isinstance(self._body, bytes):
            return False
        waits = b"transfer-encoding" in self.headers or b"expect" in self.headers
        return waits or int(self.headers.get(b"content-length", b"0")) > _SMALL

    def json_length(self, size: int) -> int | None:
        """Return the length of the JSON part when binary tensors follow it; 400 if the header is not in [2, size]."""
        given = self.headers.get(b"inference-header-content-length")
        if given is None:
            return None
        if not given.isdigit() or len(given) > 12 or not 2 <= int(given) <= size:
            raise Refused(
                400, f"Inference-Header-Content-Length must be a whole number from 2 to {size}, the length of the body."
            )
        return int(given)

    def at_hand(self) -> bytes | None:
        """Return the body if it came whole, is as it should be used, and is not too long; else None, and `body` must be asked."""
        body = self._body
        if not isinstance(body, bytes) or len(body) > self._limits.body_bytes or b"content-encoding" in self.headers:
            return None
        return body

    @property
    def most(self) -> int:
        """Return the bytes that a body may have, decompressed too."""
        return self._limits.body_bytes

    async def body(self, most: int) -> bytes:
        """Read and decompress a short body: as `packed`, and 413 if it is longer than `most` by then."""
        body = await self.packed(most)
        encoding = self.encoding()
        return body if encoding is None else whole_of(body, encoding, most)

    async def packed(self, most: int | None = None, grown: Grown = lambda _: None) -> bytes:
        """Read the body as it is sent: 413 if it is longer than `most` (or the limit), 408 if it is too slow.

        grown: told how many bytes are there, whenever more came.
        """
        most = self.most if most is None else most
        if int(self.headers.get(b"content-length", b"0")) > most:
            raise _too_long(most)
        body = self._body
        if not isinstance(body, bytes):
            body, self._body = await self._in_time(body, most, grown), b""  # read, and not kept
        if len(body) > most:
            raise _too_long(most)
        return body

    def encoding(self) -> bytes | None:
        """Return how the body is compressed, None if it is not; 415 if it is in an unknown way."""
        encoding = self.headers.get(b"content-encoding", b"identity").lower()
        if encoding != b"identity" and encoding not in GZIP_AND_DEFLATE:
            raise Refused(415, "Content-Encoding must be gzip, deflate or identity.")
        return None if encoding == b"identity" else encoding

    async def _in_time(self, receive: Receive, most: int, grown: Grown) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await _read(receive, most, grown)
        except TimeoutError:
            raise Refused(408, f"The body was not complete after {self._limits.body_seconds:g} seconds.") from None


async def _read(receive: Receive, most: int, grown: Grown) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more and size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        grown(size)
    return b"".join(parts)


def _too_long(most: int) -> Refused:
    return Refused(413, f"The body is longer than {most} bytes; send fewer rows per request.")


def whole_of(body: bytes, encoding: bytes, most: int) -> bytes:
    """Decompress a body: 413 if it becomes longer than `most` bytes, 400 if it is not one whole stream."""
    whole = inflated(body, encoding, most)
    if whole is None:
        raise _too_long(most)
    return whole


def inflated(body: bytes, encoding: bytes, most: int) -> bytes | None:
    """Decompress a body, None if it becomes longer than `most` bytes; 400 if it is not one whole stream."""
    unpacker = zlib.decompressobj(wbits=GZIP_AND_DEFLATE[encoding])
    try:
        whole = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused(400, f"The body is not valid {encoding.decode()}.") from error
    if len(whole) > most:
        return None
    if not unpacker.eof or unpacker.unused_data:
        raise Refused(400, f"The body is not one whole {encoding.decode()} stream.")
    return whole
