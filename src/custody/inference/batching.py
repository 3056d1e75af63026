"""Batching, where a deployment asks for it: rows of requests that wait for one arm are run together, and parted again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded
from custody.inference.models.scoring import Scored, part_of, score


@dataclass(slots=True, eq=False)
class _Waiting:
    inputs: Mapping[str, NDArray[Any]]
    rows: int
    outputs: tuple[str, ...]
    loaded: Loaded
    future: "asyncio.Future[Scored]"


_Found = list[tuple[_Waiting, Scored]]
Away = Callable[[Callable[[], _Found]], Awaitable[_Found]]


class Batch:
    """The requests that wait for one arm; on the event loop's thread only.

    most: rows that are run together. wait_s: how long the first of them waits for others; 0 takes those that come in one look
    of the event loop. away: does work off the event loop; inline_s: an estimate up to which it is not needed.
    """

    def __init__(self, arm: Arm, most: int, wait_s: float, *, away: Away, inline_s: float, metrics: Metrics) -> None:
        self._arm, self._most, self._wait_s, self._away = arm, most, wait_s, away
        self._inline_s, self._metrics = inline_s, metrics
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._timer: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, rows: int) -> bool:
        """Tell whether a request leaves room for another one."""
        return rows < self._most

    async def scored(self, loaded: Loaded, inputs: Mapping[str, NDArray[Any]], rows: int, outputs: tuple[str, ...]) -> Scored:
        """Return what the arm makes of one request's rows, run beside others; what fails is this request's own failure."""
        loop = asyncio.get_running_loop()
        if self._rows + rows > self._most:
            self._start()
        one = _Waiting(inputs, rows, outputs, loaded, loop.create_future())
        self._waiting.append(one)
        self._rows += rows
        if self._rows >= self._most:
            self._start()
        elif self._timer is None:
            self._timer = loop.call_later(self._wait_s, self._start) if self._wait_s else loop.call_soon(self._start)
        return await one.future

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        waiting, self._waiting, self._rows, self._timer = self._waiting, [], 0, None
        present = [one for one in waiting if not one.future.done()]  # others left meanwhile
        if present:
            task = asyncio.get_running_loop().create_task(self._run(present))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, waiting: list[_Waiting]) -> None:
        try:
            found = await self._done(waiting)
        except Exception as error:  # noqa: BLE001 - whatever one of them does to the model, the others are answered
            if len(waiting) > 1:
                for one in waiting:
                    await self._run([one])
            elif not waiting[0].future.done():
                waiting[0].future.set_exception(error)
            return
        if found:
            self._arm.meter.runs += 1
            self._metrics.counts["batches"] += 1
            self._metrics.counts["batched_requests"] += len(found)
        for one, scored in found:
            if not one.future.done():
                one.future.set_result(scored)

    async def _done(self, waiting: list[_Waiting]) -> _Found:
        rows = sum(one.rows for one in waiting)
        if waiting[0].loaded.seconds_per_row * rows > self._inline_s:
            return await self._away(lambda: together(self._arm, waiting))
        return together(self._arm, waiting)


def together(arm: Arm, waiting: list[_Waiting]) -> _Found:
    """Run the rows of those who still wait at once, and part what comes out; ValueError if they cannot be joined or parted."""
    waiting = [one for one in waiting if not one.future.done()]  # others left before it was their turn
    if not waiting:
        return []
    if len(waiting) == 1:
        one = waiting[0]
        return [(one, score(arm, one.loaded, one.inputs, one.outputs))]
    inputs = {name: np.concatenate([one.inputs[name] for one in waiting]) for name in waiting[0].inputs}
    outputs = tuple(dict.fromkeys(name for one in waiting for name in one.outputs))
    whole = score(arm, waiting[0].loaded, inputs, outputs)
    rows = sum(one.rows for one in waiting)
    if {len(array) for array in (whole.scores, *whole.outputs.values())} != {rows}:
        raise ValueError("the model's outputs have no row for each row of its inputs")
    found, start = [], 0
    for one in waiting:
        found.append((one, part_of(whole, one.inputs, slice(start, start + one.rows))))
        start += one.rows
    return found
