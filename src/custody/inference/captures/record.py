"""Writing captures to the spool, and counting what was written and what was shed."""

import os
import time

from custody.core.prediction import PredictionId, unique_at
from custody.inference.captures.spool import Spool
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.scoring import Scored
from custody.serving import Parameters, columns, line_after, line_head

_BYTES, _BLOCK = 10, 256
_random: list[bytes] = []  # drawn in blocks: asking the operating system costs more than the bytes


def new_unique() -> str:
    """Return 26 characters that no other prediction has and that sort by time."""
    try:
        random = _random.pop()
    except IndexError:
        block = os.urandom(_BYTES * _BLOCK)
        _random.extend(block[at : at + _BYTES] for at in range(_BYTES, len(block), _BYTES))
        random = block[:_BYTES]
    return unique_at(time.time_ns() // 1_000_000, random)


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
            columns(scored.inputs),
            scored.written,
            (time.perf_counter_ns() - since) // 1000,
        )
        kept = self._spool.append(str(arm.told["deployment"]), line)
        self._metrics.counts["captured_predictions" if kept else "shed_predictions"] += rows
        if not kept:
            self._metrics.shed[str(arm.told["deployment"])] += rows
