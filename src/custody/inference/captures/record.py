"""Writing captures to the spool, and counting what was written and what was shed."""

import os
import time

from custody.core.prediction import PredictionId, unique_at
from custody.inference.captures.spool import Spool
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.scoring import Scored
from custody.serving import Capture, Parameters, columns, line_of


def new_unique() -> str:
    """Return 26 characters that no other prediction has and that sort by time."""
    return unique_at(time.time_ns() // 1_000_000, os.urandom(10))


class Recorder:
    """Writes captures to the spool, and counts what was written and what was shed."""

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._spool, self._metrics = spool, metrics

    def record(
        self, arm: Arm, scored: Scored, parameters: Parameters, prediction: PredictionId, *, of: PredictionId | None, since: int
    ) -> None:
        """Write one capture; since: `time.perf_counter_ns()` when the work began."""
        rows = len(scored.scores)
        capture = Capture(
            id=prediction,
            at_ms=time.time_ns() // 1_000_000,
            event_ms=parameters.event_ms,
            keys=parameters.keys(rows),
            mode=arm.mode,
            of=of,
            threshold=arm.target.threshold,
            inputs=columns(scored.inputs),
            scores=scored.scores,
            decisions=scored.decisions,
            latency_us=(time.perf_counter_ns() - since) // 1000,
        )
        kept = self._spool.append(arm.key, line_of(capture))
        self._metrics.counts["captured_predictions" if kept else "shed_predictions"] += rows
