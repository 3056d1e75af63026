"""custody's inference server, which records answers and does not in turns of 50 ms: it shows what capture costs.

Two processes of the same code differ by more than that (several per cent on a shared machine), and so do two seconds of one. Told
by SIGUSR1, it writes into the file that TURNS names: requests and CPU seconds of the thread that answers, of turns without and
with records, and the CPU seconds of all other threads: they ship. Users cannot turn records off.
"""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from custody.bootstrap.inference import main
from custody.inference.captures.record import Recorder
from custody.inference.models.library import Arm

_TURN_S = 0.05
_record = Recorder.record


class _Off(Recorder):
    def record(self, arm: Any, scored: Any, parameters: Any, unique: str, since: int, of: Any = None) -> None:
        """Keep nothing."""


class _Turns:
    """What was counted; arm, recorder: those of the first request. on: whether this turn records."""

    def __init__(self, recorder: Recorder, arm: Arm) -> None:
        self.cpu_s, self.requests = [0.0, 0.0], [0, 0]
        self._recorder, self._arm, self._on = recorder, arm, True
        self._next(time.thread_time(), arm.meter.runs)

    def found(self) -> dict[str, Any]:
        """Return what was counted, and what the server says that it recorded and could not."""
        counts = self._recorder._metrics.counts  # noqa: SLF001 - the server's own
        told = {name: counts[name] for name in ("captured_predictions", "shed_predictions", "ship_failures")}
        others_s = time.process_time() - time.thread_time()
        return {"cpu_s": self.cpu_s, "requests": self.requests, "others_s": others_s, "at_s": time.monotonic(), **told}

    def _end(self) -> None:
        if self._on:
            self._recorder.settle()  # a record's lines are written later: they belong to this turn
        now, runs = time.thread_time(), self._arm.meter.runs
        self.cpu_s[self._on] += now - self._since
        self.requests[self._on] += runs - self._runs
        self._on = not self._on
        self._recorder.__class__ = Recorder if self._on else _Off  # of one layout: nothing else is touched
        self._next(now, runs)

    def _next(self, now: float, runs: int) -> None:
        self._since, self._runs = now, runs
        asyncio.get_running_loop().call_later(_TURN_S, self._end)


_turns: list[_Turns] = []


def _first(self: Recorder, arm: Arm, *args: Any, **more: Any) -> None:
    Recorder.record = _record  # type: ignore[method-assign]
    _turns.append(_Turns(self, arm))
    self.record(arm, *args, **more)


def _tell(*_: object) -> None:
    found = _turns[0].found() if _turns else {}
    draft = Path(os.environ["TURNS"]).with_suffix(".new")
    draft.write_text(json.dumps(found))
    draft.rename(os.environ["TURNS"])


if __name__ == "__main__":
    Recorder.record = _first  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR1, _tell)
    main()
