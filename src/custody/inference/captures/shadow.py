"""Shadow candidates see what was answered, in the background, and are recorded beside it."""

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Sequence
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
_TOGETHER = 32  # small requests that are shown in one go
_QUICK_S, _PAUSE_S = 0.001, 0.005  # what candidates may take of the event loop at a time, and how long they leave it alone
_log = logging.getLogger("custody.inference")


@dataclass(slots=True, eq=False)
class _Shadowed:
    """One request to be shown; answered, unique: who answered it, and the end of that answer's id. cost: the bytes that it counts."""

    arm: Arm
    request: Asked
    parameters: Parameters
    answered: Arm
    unique: str
    cost: int

    @property
    def of(self) -> PredictionId:
        """Return the answer's id."""
        return PredictionId(self.answered.key, self.answered.revision, self.answered.target.model, self.unique)


@dataclass(slots=True, eq=False)
class _Line:
    """The requests that wait for the candidate of one deployment; cost: theirs together. task: answers them."""

    jobs: deque[_Shadowed] = field(default_factory=deque)
    cost: int = 0
    task: "asyncio.Task[None] | None" = None

    def take(self) -> list[_Shadowed]:
        """Take the first request, and those behind it that are shown in one go with it."""
        jobs: list[_Shadowed] = []
        while self.jobs and len(jobs) < _TOGETHER:
            job = self.jobs[0]
            if jobs and (job.arm is not jobs[0].arm or max(job.cost, jobs[0].cost) > _LEAST_BYTES):
                break
            jobs.append(self.jobs.popleft())
            self.cost -= job.cost
        return jobs

    def put_back(self, jobs: Sequence[_Shadowed]) -> None:
        """Have requests that were taken be the first again."""
        self.jobs.extendleft(reversed(jobs))
        self.cost += sum(job.cost for job in jobs)


class Shadow:
    """Shows answered requests to shadow candidates, in the background; on the event loop's thread only.

    Each deployment has a line of its own. Where there is no room for another request (most_bytes, of all of them), one of the
    longest line is dropped, and counted. Quick candidates run on the event loop, a millisecond in six at most of all of them
    together: to go to a thread and back costs several times what they do, and takes the interpreter away from who answers. Others have
    threads.
    """

    def __init__(self, recorder: Recorder, memory: Memory, *, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._recorder, self._memory, self._most_bytes = recorder, memory, most_bytes
        self._lines: dict[str, _Line] = {}  # by place of the deployment; one that is empty and has nothing in hand is gone
        self._bytes = 0
        self._pace, self._turns = asyncio.Lock(), defaultdict[TenantId, asyncio.Lock](asyncio.Lock)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "shadow")

    def show(self, arm: Arm, request: Asked, parameters: Parameters, answered: Arm, unique: str) -> None:
        """Have a request that was answered shown to a candidate when its turn comes."""
        line, cost = self._lines.get(arm.place), max(request.size_bytes, _LEAST_BYTES)
        if line is None:
            line = self._lines[arm.place] = _Line()
            line.task = asyncio.get_running_loop().create_task(self._work(arm.place, line))
        elif len(self._lines) == 1 and self._bytes + cost > self._most_bytes:
            arm.meter.dropped += 1  # a busy server does no more for what it would drop
            return
        line.jobs.append(_Shadowed(arm, request, parameters, answered, unique, cost))
        line.cost += cost
        self._bytes += cost
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
            async with self._pace:
                await asyncio.sleep(_PAUSE_S)
            if not (jobs := line.take()):  # they were dropped meanwhile
                break
            arm, done = jobs[0].arm, len(jobs)
            try:
                done = await self._answer(arm, jobs)
            except Exception as error:  # noqa: BLE001 - a candidate on trial may fail in any way
                _failed(arm, error, done)
            line.put_back(jobs[done:])
            self._bytes -= sum(job.cost for job in jobs[:done])
        del self._lines[place]

    async def _answer(self, arm: Arm, jobs: Sequence[_Shadowed]) -> int:
        """Show the first of some requests to their candidate, and return how many."""
        if not self._memory.may_take(arm.slot):  # its trial is over, or it would displace what callers wait for
            arm.meter.dropped += len(jobs)
            return len(jobs)
        loaded = await self._memory.ready(arm.slot, arm.key.tenant)
        is_long = jobs[0].request.size_bytes > INLINE_BYTES
        away = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        answers = [] if is_long else _answers(jobs, loaded, is_inline=True)
        if not answers:
            async with self._turns[arm.key.tenant]:
                answers = await away(partial(_answers, jobs, loaded))
        for job, (took, scored) in zip(jobs, answers, strict=False):
            arm.slot.used = time.perf_counter_ns()
            if isinstance(scored, Exception):
                _failed(arm, scored)
                continue
            started = arm.slot.used - took
            if is_long:
                await self._recorder.record_long(away, arm, scored, job.parameters, new_unique(), started, job.of)
            else:
                self._recorder.record(arm, scored, job.parameters, new_unique(), started, job.of)
            arm.meter.rows += len(scored.scores)
        self._recorder.flush()
        return len(answers)


def _failed(arm: Arm, error: Exception, requests: int = 1) -> None:
    arm.meter.failed += requests
    _log.debug("shadow %s failed: %s", arm.target.model, type(error).__name__)


def _answers(jobs: Sequence[_Shadowed], loaded: Loaded, *, is_inline: bool = False) -> list[tuple[int, Scored | Exception]]:
    """Return what a candidate makes of the first requests, and how many ns each took.

    is_inline: none is shown that is expected to take longer than a moment.
    """
    found: list[tuple[int, Scored | Exception]] = []
    began = started = time.perf_counter_ns()
    most = began + (_QUICK_S if is_inline else _PAUSE_S) * 1e9
    for job in jobs:
        if started > most:
            break
        signature = job.arm.target.signature
        scored: Scored | Exception
        try:
            inputs, rows = check_inputs(signature, job.request.tensors_for(signature))
            if is_inline and loaded.seconds_per_row * rows > _QUICK_S:
                break
            scored = score(job.arm, loaded, inputs)
        except Exception as error:  # noqa: BLE001 - it fails on this request, not on the others
            scored = error
        ended = time.perf_counter_ns()
        found.append((ended - started, scored))
        started = ended
    return found
