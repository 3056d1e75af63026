"""Answering an inference request: choose the arm, check, score, decide, capture."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from numpy.typing import NDArray

from custody.core.errors import InvalidInput, Unavailable
from custody.core.prediction import PredictionId
from custody.core.schema import Signature
from custody.inference.asked import Asked, Wanted
from custody.inference.batching import Batch
from custody.inference.captures.record import Recorder, new_unique
from custody.inference.captures.shadow import Shadow
from custody.inference.exchange import Refused
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm, Served
from custody.inference.models.memory import Loaded, Memory
from custody.inference.models.scoring import DECISION, SCORE, Scored, own_outputs, score
from custody.inference.turns import Turns
from custody.serving import CaptureMode, canary_answers, check_inputs, point_of, read_parameters

_INLINE_S = 0.001  # above this estimate a run leaves the event loop
INLINE_BYTES = 128 * 1024  # above this size a body is decoded off the event loop
_USUAL = {binary: (Wanted(SCORE, binary), Wanted(DECISION, binary)) for binary in (False, True)}
T = TypeVar("T")


@dataclass(slots=True)  # not frozen: made for every request, and that costs three times as much
class Predicted:
    """What is told to the caller. unique: the end of the prediction's id. request: its own name for the request, or empty.

    wanted: the outputs in its order; usual: it named none.
    """

    arm: Arm
    unique: str
    request: str
    scored: Scored
    wanted: tuple[Wanted, ...]
    usual: bool

    @property
    def id(self) -> PredictionId:
        """Return the prediction's id."""
        return PredictionId(self.arm.key, self.arm.revision, self.arm.target.model, self.unique)


@dataclass(frozen=True, slots=True)
class Desk:
    """What answering needs besides a state; problem tells why the newest manifest is not (fully) served."""

    recorder: Recorder
    shadow: Shadow
    memory: Memory
    pool: Executor
    turns: Turns
    metrics: Metrics
    problem: Callable[[], str]


class Predictor:
    """Answers the infer calls of one served deployment, or of one pinned version of it."""

    def __init__(self, served: Served, pinned: Arm | None, desk: Desk) -> None:
        self._served, self._pinned, self._desk = served, pinned, desk
        self.arms = served.arms if pinned is None else (pinned,)
        self.turn = desk.turns.of(served.service.key.tenant)
        handling = served.service.handling
        self._batches = {
            id(arm): Batch(
                arm,
                handling.max_batch,
                handling.max_wait_us / 1e6,
                away=self.elsewhere,
                inline_s=_INLINE_S,
                metrics=desk.metrics,
            )
            for arm in self.arms
            if handling.max_batch > 1
        }

    async def answer(self, request: Asked, write: Callable[[Predicted], T], since: int) -> T:
        """Predict, write the answer and record it; InvalidInput or Refused if it cannot be answered.

        since: `time.perf_counter_ns()` when the work began.
        """
        parameters = read_parameters(request.id, request.parameters)
        unique = new_unique()
        arm = self._arm(parameters.entity or unique)
        signature = arm.target.signature
        if request.size_bytes > INLINE_BYTES:
            inputs, rows = await self.elsewhere(
                partial(_checked, signature, request)
            )  # no lambda: its cells slow down every call
        else:
            inputs, rows = _checked(signature, request)
        parameters.keys(rows)  # a wrong count is refused before the model runs
        wanted = _wanted(arm, request)
        own = tuple(one.name for one in wanted if one.name not in {SCORE, DECISION}) if request.outputs else ()
        loaded = arm.slot.loaded or await self._loaded(arm, parameters.timeout_us, since)
        arm.slot.used = since
        if self._batches and (batch := self._batches[id(arm)]).takes(rows):
            scored = await batch.scored(loaded, inputs, rows, own)
        elif loaded.seconds_per_row * rows > _INLINE_S:
            scored = await self.elsewhere(partial(score, arm, loaded, inputs, own))
        else:
            scored = score(arm, loaded, inputs, own)
        if parameters.timeout_us and (time.perf_counter_ns() - since) // 1000 > parameters.timeout_us:
            raise _late(parameters.timeout_us)
        predicted = Predicted(arm, unique, request.id, scored, wanted, not request.outputs)
        written = write(predicted)
        self._desk.recorder.record(arm, scored, parameters, unique, of=None, since=since)
        if (candidate := self._served.candidate) is not None and candidate.mode is CaptureMode.SHADOW:
            self._desk.shadow.show(candidate, request, parameters, predicted.id)
        return written

    async def elsewhere(self, work: Callable[[], T]) -> T:
        """Do work that takes long off the event loop."""
        return await self.turn.away(self._desk.pool, work)

    async def _loaded(self, arm: Arm, timeout_us: int | None, since: int) -> Loaded:
        left_s = timeout_us / 1e6 - (time.perf_counter_ns() - since) / 1e9 if timeout_us else None
        loading = asyncio.ensure_future(self._desk.memory.ready(arm.slot, arm.key.tenant))
        await asyncio.wait((loading,), timeout=left_s)  # no `asyncio.timeout`: this may run outside a task
        if not loading.done():
            loading.cancel()  # others who wait for the model go on
            raise _late(timeout_us or 0)
        try:
            return loading.result()
        except Unavailable as error:
            raise Refused(503, f"Model '{arm.key.name}' is not loaded: {error}") from error

    def _arm(self, entity: str) -> Arm:
        if self._pinned is not None:
            return self._pinned
        served = self._served
        if served.candidate is not None and canary_answers(served.service.candidate, point_of(served.live.key, entity)):
            return served.candidate
        return served.live


def _late(timeout_us: int) -> Refused:
    return Refused(504, f"The answer was not ready within the {timeout_us} microseconds that the request allows.")


def _checked(signature: Signature, request: Asked) -> tuple[dict[str, NDArray[Any]], int]:
    return check_inputs(signature, request.tensors_for(signature))


def _wanted(arm: Arm, request: Asked) -> tuple[Wanted, ...]:
    if not request.outputs:
        return _USUAL[request.binary]
    known = (SCORE, DECISION, *own_outputs(arm))
    if unknown := [output.name[:80] for output in request.outputs if output.name not in known]:
        raise InvalidInput(f"There is no output {', '.join(map(repr, unknown[:8]))}; the outputs are: {', '.join(known)}.")
    return request.outputs
