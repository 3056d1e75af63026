"""Shadow candidates see what was answered, in the background, and are recorded beside it."""

import asyncio
import logging
import time
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from custody.core.prediction import PredictionId
from custody.core.tenancy import TenantId
from custody.inference.asked import Asked
from custody.inference.captures.record import Recorder, new_unique
from custody.inference.exchange import INLINE_BYTES
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Memory
from custody.inference.models.scoring import Scored, score
from custody.serving import Parameters, check_inputs

_AT_ONCE = 2  # threads, of which a tenant takes one at a time: a slow candidate leaves one to the other tenants
_LEAST_BYTES = 64 * 1024  # what a request counts at least, so that small ones do not wait in any number
_log = logging.getLogger("custody.inference")


@dataclass(frozen=True, slots=True)
class _Shadowed:
    """One request to be shown; cost: the bytes that it counts."""

    arm: Arm
    request: Asked
    parameters: Parameters
    of: PredictionId
    cost: int


@dataclass(slots=True, eq=False)
class _Line:
    """The requests that wait for the candidate of one deployment; cost: theirs together. task: answers them, one by one."""

    jobs: deque[_Shadowed] = field(default_factory=deque)
    cost: int = 0
    task: "asyncio.Task[None] | None" = None


class Shadow:
    """Shows answered requests to shadow candidates, in the background; on the event loop's thread only.

    Each deployment has a line of its own. Where there is no room for another request (most_bytes, of all of them), one of the
    longest line is dropped, and counted.
    """

    def __init__(self, recorder: Recorder, memory: Memory, *, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._recorder, self._memory, self._most_bytes = recorder, memory, most_bytes
        self._lines: dict[str, _Line] = {}  # by place of the deployment; one that is empty and has nothing in hand is gone
        self._bytes = 0
        self._turns: defaultdict[TenantId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "shadow")

    def show(self, arm: Arm, request: Asked, parameters: Parameters, of: PredictionId) -> None:
        """Have a request that was answered shown to a candidate when its turn comes."""
        job = _Shadowed(arm, request, parameters, of, max(request.size_bytes, _LEAST_BYTES))
        line = self._lines.get(arm.place)
        if line is None:
            line = self._lines[arm.place] = _Line()
            line.task = asyncio.get_running_loop().create_task(self._work(arm.place, line))
        line.jobs.append(job)
        line.cost += job.cost
        self._bytes += job.cost
        while self._bytes > self._most_bytes:
            self._drop(max(self._lines.values(), key=lambda line: line.cost))

    def waiting(self, arm: Arm) -> int:
        """Return how many requests wait to be shown to the candidate of a deployment; safe on any thread."""
        line = self._lines.get(arm.place)
        return len(line.jobs) if line is not None else 0

    async def drain(self, seconds: float) -> None:
        """Wait until nothing waits, but not longer."""
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for line in self._lines.values():
            while line.jobs:
                self._drop(line)
        for task in tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _drop(self, line: _Line) -> None:
        job = line.jobs.pop()
        line.cost -= job.cost
        self._bytes -= job.cost
        job.arm.meter.dropped += 1

    async def _work(self, place: str, line: _Line) -> None:
        """Answer the requests of one line until it is empty; a candidate that fails harms nobody."""
        while line.jobs:
            job = line.jobs.popleft()
            line.cost -= job.cost
            try:
                await self._answer(job)
            except Exception as error:  # noqa: BLE001 - a candidate on trial may fail in any way
                job.arm.meter.failed += 1
                _log.debug("shadow %s failed: %s", job.arm.target.model, type(error).__name__)
                await asyncio.sleep(0)  # one that cannot be loaded fails at once: callers' requests come in between
            finally:
                self._bytes -= job.cost
        del self._lines[place]

    async def _answer(self, job: _Shadowed) -> None:
        arm = job.arm
        if not self._memory.may_take(arm.slot):  # its trial is over, or it would displace what callers wait for
            arm.meter.dropped += 1
            return
        loaded = await self._memory.ready(arm.slot, arm.key.tenant)
        async with self._turns[arm.key.tenant]:
            started, scored = await asyncio.get_running_loop().run_in_executor(self._threads, _score_shadowed, job, loaded)
        arm.slot.used = started
        if job.request.size_bytes > INLINE_BYTES:
            away = partial(asyncio.get_running_loop().run_in_executor, self._threads)
            await self._recorder.record_long(away, arm, scored, job.parameters, new_unique(), started, job.of)
        else:
            self._recorder.record(arm, scored, job.parameters, new_unique(), started, job.of)
            self._recorder.flush()
        arm.meter.rows += len(scored.scores)


def _score_shadowed(job: _Shadowed, loaded: Loaded) -> tuple[int, Scored]:
    """Return what a candidate makes of a request, and when it began, as `time.perf_counter_ns()`."""
    started = time.perf_counter_ns()
    signature = job.arm.target.signature
    inputs, _ = check_inputs(signature, job.request.tensors_for(signature))
    return started, score(job.arm, loaded, inputs)
