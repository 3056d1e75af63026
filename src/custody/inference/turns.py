"""Whose turn it is: how much of this process one tenant may take, so that none starves the others."""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from custody.core.tenancy import TenantId
from custody.inference.exchange import Limits, Refused

_BURST = 64  # requests of one tenant that are answered before the others are looked at again
_LOOK = _BURST // 4
_CORES = os.cpu_count() or 1
_THREADS = 4 * _CORES  # as many tenants have long work under way at once
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Turn:
    """What one tenant has of this process now.

    inside: its requests that are admitted and not answered; body_bytes: what their bodies take, and long answers until they are
    read. since: its requests begun since the event loop last looked at everybody. queue: those that wait for the next look.
    away: how much work of it is under way off the event loop; line: the work that waits for a thread.
    """

    inside: int = 0
    body_bytes: int = 0
    since: int = 0
    queue: "deque[asyncio.Future[None]]" = field(default_factory=deque)
    away: int = 0
    line: "dict[asyncio.Future[Any], Callable[[], Any]]" = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Return how many of its requests wait for a turn."""
        return len(self.queue) + len(self.line)


class Turns:
    """Admits requests: 429 when their tenant has too many, 503 when all tenants together have.

    A tenant that sends more at once than can be answered in a moment waits in a line of its own, and the event loop takes a
    few from every line in turn. So do the threads for long work, from lines of their own. On the event loop's thread only.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of: dict[TenantId, Turn] = {}
        self._lines: list[Turn] = []
        self._pool = ThreadPoolExecutor(_THREADS, "predict")
        self._away, self._lines_away = 0, dict[Turn, None]()  # in the order in which they came or were last served
        self.inside, self.body_bytes = 0, 0

    def of(self, tenant: TenantId) -> Turn:
        """Return a tenant's turn."""
        found = self._of.get(tenant)
        return found if found is not None else self._of.setdefault(tenant, Turn())

    def all(self) -> dict[TenantId, Turn]:
        """Return the turns of every tenant that ever had a deployment here."""
        return self._of

    def enter(self, turn: Turn, body_bytes: int) -> bool:
        """Admit a request, or raise Refused; tell whether it must `wait`. Who enters must `leave`."""
        limits = self._limits
        if turn.inside >= limits.tenant_requests or turn.body_bytes + body_bytes > limits.tenant_bytes:
            raise _too_many(turn)
        if self.inside >= limits.server_requests or self.body_bytes + body_bytes > limits.server_bytes:
            raise _too_many(None)
        turn.inside += 1
        self.inside += 1
        turn.body_bytes += body_bytes
        self.body_bytes += body_bytes
        turn.since += 1
        if turn.since == _LOOK:
            self._look_later(turn)
        return turn.since > _BURST

    def leave(self, turn: Turn, body_bytes: int) -> None:
        """Let a request go."""
        turn.inside -= 1
        self.inside -= 1
        turn.body_bytes -= body_bytes
        self.body_bytes -= body_bytes

    def hold(self, turn: Turn, before: int, now: int) -> int:
        """Count `now` bytes of an admitted request, not `before`, and return them; Refused if there is no room for more."""
        more = now - before
        if more > 0 and turn.body_bytes + more > self._limits.tenant_bytes:
            raise _too_many(turn)
        if more > 0 and self.body_bytes + more > self._limits.server_bytes:
            raise _too_many(None)
        turn.body_bytes += more
        self.body_bytes += more
        return now

    @contextmanager
    def keeping(self, tenant: TenantId, answer_bytes: int) -> Iterator[None]:
        """Count the bytes of an answer while its client reads it, so that who does not read is soon admitted no more."""
        turn = self.of(tenant)
        turn.body_bytes += answer_bytes
        self.body_bytes += answer_bytes
        try:
            yield
        finally:
            turn.body_bytes -= answer_bytes
            self.body_bytes -= answer_bytes

    def away(self, turn: Turn, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do long work in a thread, and promise what it returns; who cancels that before it begins is out of the line.

        A tenant with nothing under way gets a thread at once, so that no other's long work holds it up. What it has beside that
        waits until a core is free.
        """
        promised = asyncio.get_running_loop().create_future()
        promised.add_done_callback(lambda done: turn.line.pop(done, None))
        turn.line[promised] = work
        self._lines_away.setdefault(turn)
        self._send_away()
        return promised

    def close(self) -> None:
        """Begin no more long work."""
        self._pool.shutdown(wait=False)

    def _send_away(self) -> None:
        """Begin what may begin: first work of the tenants with the least under way."""
        while self._lines_away:
            turn = min(self._lines_away, key=lambda one: one.away)
            if self._away >= (_CORES if turn.away else _THREADS):
                return
            del self._lines_away[turn]
            waiting = next((one for one in turn.line if not one.done()), None)
            if waiting is None:
                continue
            work = turn.line.pop(waiting)
            if turn.line:
                self._lines_away[turn] = None  # behind the others
            doing = waiting.get_loop().run_in_executor(self._pool, work)
            turn.away += 1
            self._away += 1
            doing.add_done_callback(partial(self._came_back, turn, waiting))

    def _came_back(self, turn: Turn, promised: "asyncio.Future[Any]", done: "asyncio.Future[Any]") -> None:
        """Keep a promise; only now is the thread free, however long ago somebody ceased to wait for it."""
        turn.away -= 1
        self._away -= 1
        error = done.exception()
        if promised.done():
            pass
        elif error is not None:
            promised.set_exception(error)
        else:
            promised.set_result(done.result())
        self._send_away()

    async def wait(self, turn: Turn) -> None:
        """Wait until it is this request's turn."""
        future = asyncio.get_running_loop().create_future()
        turn.queue.append(future)
        await future

    def _look_later(self, turn: Turn) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._look)
        self._lines.append(turn)

    def _look(self) -> None:
        """Begin a new round: a few from every line; runs after what was ready when it was called for, and after new input."""
        lines, self._lines = self._lines, []
        for turn in lines:
            turn.since = 0
            while turn.queue and turn.since < _BURST:
                future = turn.queue.popleft()
                if not future.done():
                    future.set_result(None)
                    turn.since += 1
            if turn.since >= _LOOK:
                self._look_later(turn)


def _too_many(turn: Turn | None) -> Refused:
    """Say that a tenant has too much in flight, or (None) that all of them together have."""
    if turn is None:
        return Refused(503, "The server has more requests than it can answer now; try again in a moment.")
    mebibytes = turn.body_bytes / 2**20
    return Refused(
        429,
        f"{turn.inside} requests of this tenant are not answered yet, and {mebibytes:.3g} MiB of its requests and of answers that "
        "nobody has read are held; send fewer at a time, and read the answers.",
    )
