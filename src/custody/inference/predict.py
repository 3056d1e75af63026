"""Answering an inference request: decode, choose the arm, check, score, decide, capture."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.prediction import PredictionId, unique_at
from custody.inference.exchange import Answer, Exchange, Refused
from custody.inference.loading import Arm, Served
from custody.inference.metrics import Metrics
from custody.inference.spool import Spool
from custody.inference.wire import InferRequest, Output, Wanted, read_request, write_response
from custody.serving import (
    Capture,
    CaptureMode,
    Parameters,
    canary_answers,
    check_inputs,
    columns,
    decide,
    line_of,
    point_of,
    positive,
    read_parameters,
)

SCORE, DECISION = "score", "decision"  # every deployment has these outputs, whatever its model calls its own
_INLINE_S = 0.001  # above this estimate a run leaves the event loop
_INLINE_BYTES = 128 * 1024
_log = logging.getLogger("custody.inference")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scored:
    """What an arm made of a request; outputs holds the model's own outputs that were asked for."""

    inputs: Mapping[str, NDArray[Any]]
    scores: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    outputs: Mapping[str, NDArray[Any]]


def new_unique() -> str:
    """Return 26 characters that no other prediction has and that sort by time."""
    return unique_at(time.time_ns() // 1_000_000, os.urandom(10))


def own_outputs(arm: Arm) -> dict[str, str]:
    """Return the datatypes of the model's own outputs, those hidden by `score` and `decision` left out."""
    return {tensor.name: tensor.datatype for tensor in arm.target.signature.outputs if tensor.name not in {SCORE, DECISION}}


def score(arm: Arm, inputs: Mapping[str, NDArray[Any]], wanted: tuple[str, ...] = ()) -> Scored:
    """Run an arm's model on checked inputs and decide at its threshold."""
    name = arm.target.signature.score
    outputs = arm.loaded.model.run(inputs, tuple(dict.fromkeys((name, *wanted))))
    scores = positive(outputs[name])
    return Scored(inputs, scores, decide(scores, arm.target.threshold), outputs)


class Recorder:
    """Writes captures to the spool, and counts what was written and what was shed."""

    def __init__(self, spool: Spool, metrics: Metrics) -> None:
        self._spool, self._metrics = spool, metrics

    def record(
        self, arm: Arm, scored: Scored, parameters: Parameters, *, unique: str, of: PredictionId | None, since: int
    ) -> None:
        """Write one capture; since: `time.perf_counter_ns()` when the work began."""
        rows = len(scored.scores)
        capture = Capture(
            id=PredictionId(arm.key, arm.revision, arm.target.model, unique),
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
        self._metrics.spool_bytes = self._spool.size_bytes


@dataclass(frozen=True, slots=True)
class _Shadowed:
    arm: Arm
    request: InferRequest
    parameters: Parameters
    of: PredictionId


class Shadow:
    """Shows answered requests to shadow candidates, in the background; what does not fit the queue is dropped and counted."""

    def __init__(self, recorder: Recorder, metrics: Metrics, *, most: int = 1024, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._recorder, self._metrics = recorder, metrics
        self._queue: asyncio.Queue[_Shadowed] = asyncio.Queue(most)
        self._bytes, self._most_bytes = 0, most_bytes
        self._thread = ThreadPoolExecutor(1, "shadow")

    def show(self, arm: Arm, request: InferRequest, parameters: Parameters, of: PredictionId) -> None:
        """Queue a request that was answered."""
        if self._queue.full() or self._bytes + request.size_bytes > self._most_bytes:
            self._metrics.counts["shadow_dropped"] += 1
            return
        self._bytes += request.size_bytes
        self._queue.put_nowait(_Shadowed(arm, request, parameters, of))

    async def work(self) -> None:
        """Answer queued requests, for ever; a candidate that fails harms nobody."""
        while True:
            job = await self._queue.get()
            started = time.perf_counter_ns()
            try:
                scored = await asyncio.get_running_loop().run_in_executor(self._thread, _score_shadowed, job)
                self._recorder.record(job.arm, scored, job.parameters, unique=new_unique(), of=job.of, since=started)
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


def _score_shadowed(job: _Shadowed) -> Scored:
    inputs, _ = check_inputs(job.arm.target.signature, job.request.tensors)
    return score(job.arm, inputs)


class Predictor:
    """Answers the infer calls of one served deployment, or of one pinned version of it."""

    def __init__(self, served: Served, pinned: Arm | None, recorder: Recorder, shadow: Shadow, pool: Executor) -> None:
        self._served, self._pinned = served, pinned
        self._recorder, self._shadow, self._pool = recorder, shadow, pool

    async def __call__(self, exchange: Exchange) -> Answer:
        """Answer one request; InvalidInput or Refused if it cannot be answered."""
        body = await exchange.body()
        started = time.perf_counter_ns()
        json_length = exchange.json_length(len(body))
        request = await self._run(len(body) > _INLINE_BYTES, lambda: read_request(body, json_length))
        parameters = read_parameters(request.id, request.parameters)
        unique = new_unique()
        arm = self._arm(parameters.entity or unique)
        inputs, rows = check_inputs(arm.target.signature, request.tensors)
        parameters.keys(rows)  # a wrong count is refused before the model runs
        wanted = _wanted(arm, request)
        own = tuple(output.name for output in wanted if output.name not in {SCORE, DECISION})
        slow = arm.loaded.seconds_per_row * rows > _INLINE_S
        scored = await self._run(slow, lambda: score(arm, inputs, own))
        if parameters.timeout_us and (time.perf_counter_ns() - started) // 1000 > parameters.timeout_us:
            raise Refused(504, f"The answer was ready after the {parameters.timeout_us} microseconds that the request allows.")
        answer = _answer(arm, request, scored, wanted, unique)
        self._recorder.record(arm, scored, parameters, unique=unique, of=None, since=started)
        self._show(answer, request, parameters, PredictionId(arm.key, arm.revision, arm.target.model, unique))
        return answer

    def _arm(self, entity: str) -> Arm:
        if self._pinned is not None:
            return self._pinned
        served = self._served
        if served.candidate is not None and canary_answers(served.service.candidate, point_of(served.live.key, entity)):
            return served.candidate
        return served.live

    def _show(self, answer: Answer, request: InferRequest, parameters: Parameters, of: PredictionId) -> None:
        candidate = self._served.candidate
        if candidate is not None and candidate.mode is CaptureMode.SHADOW:
            answer.after = lambda: self._shadow.show(candidate, request, parameters, of)

    async def _run(self, elsewhere: bool, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work) if elsewhere else work()


def _wanted(arm: Arm, request: InferRequest) -> tuple[Wanted, ...]:
    if not request.outputs:
        return Wanted(SCORE, request.binary), Wanted(DECISION, request.binary)
    known = (SCORE, DECISION, *own_outputs(arm))
    if unknown := [output.name[:80] for output in request.outputs if output.name not in known]:
        raise InvalidInput(f"There is no output {', '.join(map(repr, unknown[:8]))}; the outputs are: {', '.join(known)}.")
    return request.outputs


def _answer(arm: Arm, request: InferRequest, scored: Scored, wanted: tuple[Wanted, ...], unique: str) -> Answer:
    model, own = arm.target.model, own_outputs(arm)
    head: dict[str, Any] = {"model_name": arm.key.name, "model_version": str(model.version)}
    if request.id:
        head["id"] = request.id
    head["parameters"] = {
        "prediction_id": str(PredictionId(arm.key, arm.revision, model, unique)),
        "deployment": str(arm.key),
        "revision": arm.revision,
        "model": str(model),
        "threshold": arm.target.threshold,
    }
    made = {SCORE: ("FP64", scored.scores), DECISION: ("BOOL", scored.decisions)}
    outputs = [
        Output(one.name, *made[one.name], one.binary)
        if one.name in made
        else Output(one.name, own[one.name], scored.outputs[one.name], one.binary)
        for one in wanted
    ]
    body, json_length = write_response(head, outputs)
    if json_length is None:
        return Answer(200, body)
    binary_type = (b"content-type", b"application/octet-stream")
    return Answer(200, body, (binary_type, (b"inference-header-content-length", b"%d" % json_length)))
