"""Shadow candidates see what was answered, in the background, and are recorded beside it."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from custody.core.prediction import PredictionId
from custody.inference.asked import Asked
from custody.inference.captures.record import Recorder, new_unique
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Memory
from custody.inference.models.scoring import Scored, score
from custody.serving import Parameters, check_inputs

_log = logging.getLogger("custody.inference")


@dataclass(frozen=True, slots=True)
class _Shadowed:
    arm: Arm
    request: Asked
    parameters: Parameters
    of: PredictionId


class Shadow:
    """Shows answered requests to shadow candidates, in the background; what does not fit the queue is dropped and counted."""

    def __init__(
        self, recorder: Recorder, metrics: Metrics, memory: Memory, *, most: int = 1024, most_bytes: int = 64 * 1024 * 1024
    ) -> None:
        self._recorder, self._metrics, self._memory = recorder, metrics, memory
        self._queue: asyncio.Queue[_Shadowed] = asyncio.Queue(most)
        self._bytes, self._most_bytes = 0, most_bytes
        self._thread = ThreadPoolExecutor(1, "shadow")

    def show(self, arm: Arm, request: Asked, parameters: Parameters, of: PredictionId) -> None:
        """Queue a request that was answered."""
        if self._queue.full() or self._bytes + request.size_bytes > self._most_bytes:
            self._metrics.counts["shadow_dropped"] += 1
            return
        self._bytes += request.size_bytes
        self._queue.put_nowait(_Shadowed(arm, request, parameters, of))

    @property
    def waiting(self) -> int:
        """Return how many requests wait to be shown."""
        return self._queue.qsize()

    async def work(self) -> None:
        """Answer queued requests, for ever; a candidate that fails harms nobody."""
        while True:
            job = await self._queue.get()
            started = time.perf_counter_ns()
            try:
                loaded = await self._memory.ready(job.arm.slot, job.arm.key.tenant)
                job.arm.slot.used = started
                scored = await asyncio.get_running_loop().run_in_executor(self._thread, _score_shadowed, job, loaded)
                self._recorder.record(job.arm, scored, job.parameters, new_unique(), of=job.of, since=started)
                self._recorder.flush()
                self._metrics.counts["shadow_predictions"] += len(scored.scores)
            except Exception as error:  # noqa: BLE001 - a candidate on trial may fail in any way
                self._metrics.counts["shadow_failures"] += 1
                _log.debug("shadow %s failed: %s", job.arm.target.model, type(error).__name__)
            finally:
                self._bytes -= job.request.size_bytes
                self._queue.task_done()

    async def drain(self, seconds: float) -> None:
        """Wait until the queue is empty, but not longer."""
        try:
            await asyncio.wait_for(self._queue.join(), seconds)
        except TimeoutError:
            self._metrics.counts["shadow_dropped"] += self._queue.qsize()
        self._thread.shutdown(wait=False, cancel_futures=True)


def _score_shadowed(job: _Shadowed, loaded: Loaded) -> Scored:
    signature = job.arm.target.signature
    inputs, _ = check_inputs(signature, job.request.tensors_for(signature))
    return score(job.arm, loaded, inputs)
