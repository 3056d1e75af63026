"""Answering an inference request: choose the arm, check, score, decide, capture."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
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
from custody.inference.exchange import INLINE_BYTES, Answer, Exchange, Refused, inflated, whole_of
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm, Served
from custody.inference.models.memory import Loaded, Memory
from custody.inference.models.scoring import DECISION, SCORE, Scored, own_outputs, score
from custody.inference.packing import accepted, deflated
from custody.inference.turns import Turns
from custody.serving import PLAIN, CaptureMode, Parameters, canary_answers, check_inputs, point_of, read_parameters

_INLINE_S = 0.001  # above this estimate a run leaves the event loop
_VARY = (b"vary", b"accept-encoding")
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
    """What answering needs besides a state; problem tells why the newest manifest is not (fully) served.

    compress_from: bytes from which on an answer is compressed, if its caller accepts that; None never.
    """

    recorder: Recorder
    shadow: Shadow
    memory: Memory
    turns: Turns
    metrics: Metrics
    problem: Callable[[], str]
    compress_from: int | None = None


class Predictor:
    """Answers the infer calls of one served deployment, or of one pinned version of it."""

    def __init__(self, served: Served, pinned: Arm | None, desk: Desk) -> None:
        self._served, self._pinned, self._desk = served, pinned, desk
        self.arms = served.arms if pinned is None else (pinned,)
        self.turn = desk.turns.of(served.service.key.tenant)
        self.compress_from = desk.compress_from
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

    async def answer(
        self,
        request: Asked,
        write: Callable[[Predicted], T],
        since: int,
        finish: Callable[[T], Awaitable[T]] | None = None,
        until: int | None = None,
    ) -> T:
        """Predict, write the answer and record it; InvalidInput or Refused if it cannot be answered.

        since, until: when the request came, and when its caller ceases to wait, if that is known: `time.perf_counter_ns()`. Its
        own timeout counts from `since`. finish: what is still to be done with what was written.
        """
        parameters = read_parameters(request.id, request.parameters)
        if parameters.timeout_us:
            own_until = since + 1000 * parameters.timeout_us
            until = own_until if until is None else min(until, own_until)
        unique = new_unique()
        arm = self._arm(parameters.entity or unique)
        try:
            signature = arm.target.signature
            is_long = request.size_bytes > INLINE_BYTES
            if is_long:  # no lambda: its cells slow down every call
                checking = partial(_checked, signature, request, parameters)
                inputs, rows = await self._in_time(partial(self.elsewhere, checking), until)
            else:
                inputs, rows = _checked(signature, request, parameters)
            wanted = _wanted(arm, request) if request.outputs else _USUAL[request.binary]
            own = tuple(one.name for one in wanted if one.name not in {SCORE, DECISION}) if request.outputs else ()
            loaded = arm.slot.loaded or await self._loaded(arm, until)
            arm.slot.used = since
            if self._batches or loaded.seconds_per_row * rows > _INLINE_S:
                scored = await self._in_time(partial(self._scored, arm, loaded, inputs, rows, own), until)
            else:
                if until is not None:
                    _left_s(until)
                scored = score(arm, loaded, inputs, own)
                arm.meter.runs += 1
            if until is not None:
                _left_s(until)
            predicted = Predicted(arm, unique, request.id, scored, wanted, not request.outputs)
            writing = partial(self.elsewhere, partial(write, predicted)) if is_long else None
            written = write(predicted) if writing is None else await self._in_time(writing, until)
            if finish is not None:
                written = await self._in_time(partial(finish, written), until)
            arm.meter.rows += rows
            if is_long:
                await self._desk.recorder.record_long(self.elsewhere, arm, scored, parameters, unique, since)
            else:
                self._desk.recorder.record(arm, scored, parameters, unique, since)
            if (candidate := self._served.candidate) is not None and candidate.mode is CaptureMode.SHADOW:
                self._desk.shadow.show(candidate, request, parameters, arm, unique)
        except Exception as error:
            error.arm = arm  # type: ignore[attr-defined]  # whose failure it is, see `blamed`
            raise
        return written

    async def _scored(self, arm: Arm, loaded: Loaded, inputs: dict[str, NDArray[Any]], rows: int, own: tuple[str, ...]) -> Scored:
        """Run a model beside other requests, or in a thread."""
        if self._batches and (batch := self._batches[id(arm)]).takes(rows):
            return await batch.scored(loaded, inputs, rows, own)
        work = partial(score, arm, loaded, inputs, own)
        scored = await self.elsewhere(work) if loaded.seconds_per_row * rows > _INLINE_S else work()
        arm.meter.runs += 1
        return scored

    def elsewhere(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do work that takes long off the event loop."""
        return self._desk.turns.away(self.turn, work)

    async def body(self, exchange: Exchange) -> bytes:
        """Read and decompress a request's body, off the event loop if it is long; what it takes is counted for its tenant."""
        turns, turn = self._desk.turns, self.turn

        def grown(size: int) -> None:
            if size > exchange.held:  # nothing was announced, as when it comes in chunks
                exchange.held = turns.hold(turn, exchange.held, size)

        body = await exchange.packed(grown=grown)
        encoding = exchange.encoding()
        if encoding is None:
            return body
        whole = inflated(body, encoding, min(INLINE_BYTES, exchange.most)) if len(body) <= INLINE_BYTES else None
        if whole is None:
            whole = await self.elsewhere(partial(whole_of, body, encoding, exchange.most))
        exchange.held = turns.hold(turn, exchange.held, len(body) + len(whole))
        return whole

    async def compressed(self, exchange: Exchange, answer: Answer) -> Answer:
        """Compress an answer that is long enough, if its caller accepts that."""
        if len(answer.body) < (self.compress_from or 0):
            return answer
        encoding = accepted(exchange.headers.get(b"accept-encoding", b""))
        if encoding is None:
            return replace(answer, headers=(*answer.headers, _VARY))
        work = partial(deflated, answer.body, encoding)
        # not in the tenant's line: work that has not begun would hold up an answer that is ready
        body = work() if len(answer.body) <= INLINE_BYTES else await asyncio.get_running_loop().run_in_executor(None, work)
        return replace(answer, body=body, headers=(*answer.headers, (b"content-encoding", encoding), _VARY))

    async def _in_time(self, begin: Callable[[], Awaitable[T]], until: int | None) -> T:
        """Wait for what takes long, but not longer than the request allows; what has not begun by then never does."""
        if until is None:
            return await begin()
        left_s = _left_s(until)
        begun = asyncio.ensure_future(begin())
        try:
            await asyncio.wait((begun,), timeout=left_s)  # no `asyncio.timeout`: this may run outside a task
            if not begun.done():
                raise _late()
            return begun.result()
        finally:
            begun.cancel()
            del begun  # a failure holds this frame, which would hold the failure

    async def _loaded(self, arm: Arm, until: int | None) -> Loaded:
        try:  # others who wait for the model go on when this request does not
            return await self._in_time(partial(self._desk.memory.ready, arm.slot, arm.key.tenant), until)
        except Unavailable as error:
            raise Refused(503, f"Model '{arm.key.name}' is not loaded: {error}") from error

    def _arm(self, entity: str) -> Arm:
        if self._pinned is not None:
            return self._pinned
        served = self._served
        if served.candidate is None or served.candidate.mode is CaptureMode.SHADOW:
            return served.live
        return served.candidate if canary_answers(served.service.candidate, point_of(served.live.key, entity)) else served.live


def blamed(error: Exception) -> Arm | None:
    """Return the arm that a request came to before it failed, if it came to one."""
    arm: Arm | None = getattr(error, "arm", None)
    return arm


def _left_s(until: int) -> float:
    """Return the seconds until a `time.perf_counter_ns()`; Refused if it is over."""
    left_ns = until - time.perf_counter_ns()
    if left_ns <= 0:
        raise _late()
    return left_ns / 1e9


def _late() -> Refused:
    return Refused(
        504,
        "The answer was not ready within the request's own timeout, in microseconds from its arrival; allow more, or send less.",
    )


def _checked(signature: Signature, request: Asked, parameters: Parameters) -> tuple[dict[str, NDArray[Any]], int]:
    inputs, rows = check_inputs(signature, request.tensors_for(signature))
    if parameters is not PLAIN:
        parameters.keys(rows)  # a wrong count is refused before the model runs
    return inputs, rows


def _wanted(arm: Arm, request: Asked) -> tuple[Wanted, ...]:
    known = (SCORE, DECISION, *own_outputs(arm))
    if unknown := [output.name[:80] for output in request.outputs if output.name not in known]:
        raise InvalidInput(f"There is no output {', '.join(map(repr, unknown[:8]))}; the outputs are: {', '.join(known)}.")
    return request.outputs
