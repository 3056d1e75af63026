"""Writing captures to the spool, and counting what was written and what was shed."""

import logging
import os
import time
from collections import Counter
from dataclasses import dataclass

from custody.core.prediction import ALPHABET, PredictionId, time_part
from custody.inference.captures.spool import Spool
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.scoring import Scored
from custody.serving import Parameters, line_after, line_head

_log = logging.getLogger("custody.inference")
_TAIL, _BLOCK = 16, 256
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))  # each letter for 8 bytes, so none is likelier


class _Uniques:
    """Unique parts of prediction ids. Random letters are drawn in blocks, the time is written once a millisecond: both cost."""

    def __init__(self) -> None:
        self._tails: list[str] = []
        self._time = (-1, "")

    def __call__(self) -> str:
        """Return 26 characters that no other prediction has and that sort by time."""
        ms = time.time_ns() // 1_000_000
        written = self._time
        if written[0] != ms:
            written = self._time = (ms, time_part(ms))
        try:
            return written[1] + self._tails.pop()
        except IndexError:  # threads may find none at the same time: each then draws a block
            block = os.urandom(_TAIL * _BLOCK).translate(_LETTERS).decode("ascii")
            self._tails += [block[at : at + _TAIL] for at in range(_TAIL, len(block), _TAIL)]
            return written[1] + block[:_TAIL]


new_unique = _Uniques()


@dataclass(slots=True)  # not frozen: made for every request, and that costs three times as much
class _Record:
    arm: Arm
    scored: Scored
    parameters: Parameters
    unique: str
    of: PredictionId | None
    latency_us: int


class Recorder:
    """Writes captures to the spool, and counts what was written and what was shed.

    On the event loop's thread only. Many are written at once: that costs half. Nobody may be told an answer before `flush`.
    """

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._spool, self._metrics = spool, metrics
        self._waiting: list[_Record] = []

    def record(
        self, arm: Arm, scored: Scored, parameters: Parameters, unique: str, *, of: PredictionId | None, since: int
    ) -> None:
        """Keep one capture until `flush`; since: `time.perf_counter_ns()` when the work began. of: what a shadow mirrors."""
        self._waiting.append(_Record(arm, scored, parameters, unique, of, (time.perf_counter_ns() - since) // 1000))

    def flush(self) -> None:
        """Write what was recorded since the last time."""
        waiting, self._waiting = self._waiting, []
        lines: dict[str, list[bytes]] = {}
        rows: Counter[str] = Counter()
        now_ms = time.time_ns() // 1_000_000
        for one in waiting:
            place, count = one.arm.place, len(one.scored.scores)
            try:
                line = _line(one, now_ms)
            except (TypeError, ValueError) as error:  # whatever a caller sent: the records of others are written
                _log.error("a prediction could not be recorded: %s", type(error).__name__)
                self._shed(place, count)
                continue
            rows[place] += count
            lines.setdefault(place, []).append(line)
        for place, some in lines.items():
            if self._spool.append(place, b"".join(some)):
                self._metrics.counts["captured_predictions"] += rows[place]
            else:
                self._shed(place, rows[place])

    def _shed(self, place: str, rows: int) -> None:
        self._metrics.counts["shed_predictions"] += rows
        self._metrics.shed[place] += rows


def _line(one: _Record, now_ms: int) -> bytes:
    arm, scored, parameters = one.arm, one.scored, one.parameters
    head = arm.line
    if one.of is not None:
        id_ = str(PredictionId(arm.key, arm.revision, arm.target.model, ""))
        head = line_head(id_, arm.mode, arm.target.threshold, str(one.of))
    said = now_ms, parameters.event_ms, parameters.keys(len(scored.scores))
    return line_after(head, one.unique.encode(), said, scored.inputs, scored.written, one.latency_us)
