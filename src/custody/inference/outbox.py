"""Answers on their way out: they leave when what they say is recorded, those of one look of the event loop together."""

import asyncio
import logging
from collections.abc import Callable

from custody.inference.captures.record import Recorder

Write = Callable[[bytes], None]
_log = logging.getLogger("custody.inference")


class Outbox:
    """Holds answers for a moment, so that one write records many of them; on the event loop's thread only."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._waiting: list[tuple[Write, bytes]] = []

    def post(self, loop: asyncio.AbstractEventLoop, write: Write, answer: bytes) -> None:
        """Have an answer written when the event loop has looked at everybody; loop: the running one."""
        if not self._waiting:
            loop.call_soon(self.deliver)
        self._waiting.append((write, answer))

    def deliver(self) -> None:
        """Record what was answered, then write the answers that wait; who writes an answer on another way calls this before."""
        waiting, self._waiting = self._waiting, []
        try:
            self._recorder.flush()
        except Exception:  # noqa: BLE001 - whatever it is, it must not keep answers from their callers
            _log.exception("answers could not be recorded")
        for write, answer in waiting:
            try:
                write(answer)
            except Exception:  # noqa: BLE001 - its connection's trouble, not that of the others
                _log.exception("an answer could not be written")
