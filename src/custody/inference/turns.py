"""Whose turn it is: how much of this process one tenant may take, so that none starves the others."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from custody.core.tenancy import TenantId
from custody.inference.exchange import Limits, Refused

_BURST = 64  # requests of one tenant that are answered before the others are looked at again
_LOOK = _BURST // 4
_AT_ONCE = os.cpu_count() or 1
T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Turn:
    """What one tenant has of this process now.

    inside: its requests that are admitted and not answered; body_bytes: what they announced. since: its requests begun since
    the event loop last looked at everybody. queue: those that wait for the next look. elsewhere: what it has off the loop.
    """

    inside: int = 0
    body_bytes: int = 0
    since: int = 0
    queue: "deque[asyncio.Future[None]]" = field(default_factory=deque)
    elsewhere: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    waiting_elsewhere: int = 0

    @property
    def waiting(self) -> int:
        """Return how many of its requests wait for a turn."""
        return len(self.queue) + self.waiting_elsewhere

    async def away(self, pool: Executor, work: Callable[[], T]) -> T:
        """Do long work off the event loop; a tenant has one per core there, the rest of its work waits in line."""
        self.waiting_elsewhere += 1
        try:
            await self.elsewhere.acquire()
        finally:
            self.waiting_elsewhere -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        finally:
            self.elsewhere.release()


class Turns:
    """Admits requests: 429 when their tenant has too many, 503 when all tenants together have.

    A tenant that sends more at once than can be answered in a moment waits in a line of its own, and the event loop takes a
    few from every line in turn. On the event loop's thread only.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of: dict[TenantId, Turn] = {}
        self._lines: list[Turn] = []
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
            raise Refused(429, f"{turn.inside} requests of this tenant are not answered yet; send fewer at a time.")
        if self.inside >= limits.server_requests or self.body_bytes + body_bytes > limits.server_bytes:
            raise Refused(503, "The server has more requests than it can answer now; try again in a moment.")
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
