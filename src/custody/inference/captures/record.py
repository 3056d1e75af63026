"""Writing captures to the spool, and counting what was written and what was shed."""

import os
import time

from custody.core.prediction import ALPHABET, PredictionId, time_part
from custody.inference.captures.spool import Spool
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.scoring import Scored
from custody.serving import Parameters, line_after, line_head

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


class Recorder:
    """Writes captures to the spool, and counts what was written and what was shed."""

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._spool, self._metrics = spool, metrics

    def record(
        self, arm: Arm, scored: Scored, parameters: Parameters, unique: str, *, of: PredictionId | None, since: int
    ) -> None:
        """Write one capture; since: `time.perf_counter_ns()` when the work began. of: what a shadow mirrors."""
        rows = len(scored.scores)
        head = (
            arm.line
            if of is None
            else line_head(
                str(PredictionId(arm.key, arm.revision, arm.target.model, "")), arm.mode, arm.target.threshold, str(of)
            )
        )
        line = line_after(
            head,
            unique.encode(),
            (time.time_ns() // 1_000_000, parameters.event_ms, parameters.keys(rows)),
            scored.inputs,
            scored.written,
            (time.perf_counter_ns() - since) // 1000,
        )
        if self._spool.append(arm.place, line):
            self._metrics.counts["captured_predictions"] += rows
        else:
            self._metrics.counts["shed_predictions"] += rows
            self._metrics.shed[arm.place] += rows
