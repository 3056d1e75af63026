"""The ASGI application: who calls, which handler, what goes wrong; and the work in the background."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from custody.core.objects import Objects
from custody.inference.asked import Asked
from custody.inference.captures.clean import Cleaner
from custody.inference.captures.lock import locked
from custody.inference.captures.record import Recorder, new_unique
from custody.inference.captures.sample import Sampler
from custody.inference.captures.shadow import Shadow
from custody.inference.captures.ship import Shipper
from custody.inference.captures.spool import Spool
from custody.inference.exchange import (
    CLOSE,
    Answer,
    ClientGone,
    Exchange,
    Limits,
    Message,
    Receive,
    Refused,
    Send,
    error_answer,
    failed,
    send_answer,
)
from custody.inference.metrics import Meter, Metrics
from custody.inference.models.cache import Cache
from custody.inference.models.follow import Follower
from custody.inference.models.library import Library, State
from custody.inference.outbox import Outbox
from custody.inference.predict import Desk, Predicted
from custody.inference.protocols.mlflow import invocation_error
from custody.inference.reception import INVOCATIONS, View
from custody.inference.routes import LIVE, PONG, READY, VERSION, Route, routes_of, same
from custody.inference.scrape import Scrape
from custody.inference.turns import Turn, Turns
from custody.inference.watching import NOTHING, TRACE, Noted, Watcher
from custody.serving import Loader

_FIRST_LOOK_S = 10.0
_DRAIN_S = 5.0
_NOTE_S = 1.0
_LATER = (b"retry-after", b"1")
_PINGS = (b"/ping", b"/health")
_log = logging.getLogger("custody.inference")


class Door(Protocol):
    """Another protocol's server beside HTTP, in the same process."""

    port: int

    async def open(self) -> None:
        """Listen."""
        ...

    async def close(self, seconds: float) -> None:
        """Take no more calls, and wait until those in flight are answered, but not longer."""
        ...


class InferenceApp:
    """Serves what the manifest says. One process owns `state_dir`: cache of the manifest, spool of captures.

    memory_bytes: what the models may take together; None loads all of them at once and drops none. worker: its number among
    the processes that share a port; their state folders lie side by side.
    """

    def __init__(
        self,
        objects: Objects,
        load: Loader,
        public_key: bytes,
        state_dir: Path,
        *,
        limits: Limits | None = None,
        spool_bytes: int = 256 * 1024 * 1024,
        memory_bytes: int | None = None,
        worker: int | None = None,
    ) -> None:
        self._limits = limits or Limits()
        state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = locked(state_dir)
        self.metrics = Metrics()
        self._meter = self.metrics.meter(None)
        self._spool = Spool(state_dir / "spool", new_unique, most_bytes=spool_bytes)
        self._turns = Turns(self._limits)
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, "predict")
        self._loaders = ThreadPoolExecutor(max(os.cpu_count() or 1, 2), "load")
        self._shipper = Shipper(self._spool, objects, self.metrics, self._prepared)
        self._cleaner = Cleaner(lambda: self.view.state)
        self._sampler = Sampler(lambda: self.view.state, objects)
        recorder, cache = Recorder(self._spool, self.metrics), Cache(state_dir)
        self.outbox = Outbox(recorder)
        library = Library(objects, cache, load, self._loaders, most_bytes=memory_bytes)
        self._shadow = Shadow(recorder, self.metrics, library.memory)
        self._follower = Follower(objects, public_key, library, cache, self.metrics, self._prepare)
        self._desk = Desk(
            recorder, self._shadow, library.memory, self._pool, self._turns, self.metrics, lambda: self._follower.problem
        )
        self._scrape = Scrape(
            self.metrics,
            self._spool,
            library.memory,
            self._turns,
            self._shadow,
            lambda: self.view.state,
            state_dir,
            worker,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.view = View(State(), {})
        self.doors: list[Door] = []
        self.draining = False
        self._watchers: list[Watcher] = []
        self._closing: list[Callable[[], None]] = []
        self._open = {
            b"/v2/health/live": Route(None, "GET", same(LIVE)),
            b"/metrics": Route(None, "GET", self._metrics),
            b"/version": Route(None, "GET", same(VERSION)),
            **{path: Route(None, "GET", self._health) for path in (b"/v2/health/ready", *_PINGS)},
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or run the process's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        exchange = Exchange(scope["method"], scope["raw_path"], scope["headers"], self._limits, receive)
        try:
            answer = await self.respond(exchange)
        except ClientGone:
            return
        await self.send(send, answer)

    async def send(self, send: Send, answer: Answer) -> None:
        """Send an answer, when what it says is recorded."""
        self.outbox.deliver()
        await send_answer(send, answer)

    def exchange(self, method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """Return a request that came whole."""
        return Exchange(method, path, headers, self._limits, body)

    async def respond(self, exchange: Exchange) -> Answer:
        """Return the answer to one request, and count it; ClientGone if the client left before its request was whole."""
        started = time.perf_counter()
        view = self.view
        route = view.routes.get(exchange.path) or self._other(exchange, view)
        meter = self._meter if route is None or route.meter is None else route.meter
        try:
            answer = await self._answer(exchange, view, route)
        except ClientGone:
            meter.answered(499, 0.0)
            self._tell(exchange, route, Answer(499, b""), started)
            raise
        if self.draining:
            answer = replace(answer, headers=(*answer.headers, CLOSE))
        meter.answered(answer.status, time.perf_counter() - started)
        if self._watchers:
            self._tell(exchange, route, answer, started)
        return answer

    def watch(self, watcher: Watcher, close: Callable[[], None]) -> None:
        """Tell a watcher about every answer from now on; close: called in a thread when this process ends."""
        self._watchers.append(watcher)
        self._closing.append(close)

    def _tell(self, exchange: Exchange, route: Route | None, answer: Answer, started: float) -> None:
        path, seconds = exchange.path.decode("latin-1") if route else "", time.perf_counter() - started
        key = self.meter_of(route).key
        traced = {name: exchange.headers[name] for name in TRACE if name in exchange.headers}
        noted = Noted("http", exchange.method, path, key, answer.arm, answer.status, seconds, time.time_ns(), traced)
        for watcher in self._watchers:
            watcher(noted)

    def meter_of(self, route: Route | None) -> Meter:
        """Return where the answers of a route are counted."""
        return self._meter if route is None or route.meter is None else route.meter

    async def _answer(self, exchange: Exchange, view: View, route: Route | None) -> Answer:
        refuse = route.refuse if route else invocation_error if exchange.path == INVOCATIONS else error_answer
        turns = self._turns
        turn: Turn | None = None
        size = 0
        try:
            if route is None or route.tenant is not None:
                route = view.admit(view.tenants_of(exchange), route, exchange.method, exchange.path)
            if route.predictor is not None:
                size = exchange.announced()
                crowded = turns.enter(route.predictor.turn, size)
                turn = route.predictor.turn
                if crowded:
                    await turns.wait(turn)
            return await route.handler(exchange)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - one broken request must not stop the server
            status, sentence = failed(error)
            closing = isinstance(error, Refused) and (status in {408, 413} or exchange.leaves_much_unread())
            later = (_LATER,) if status in {429, 503} else ()
            return refuse(status, sentence, (CLOSE, *later) if closing else later)
        finally:
            if turn is not None:
                turns.leave(turn, size)

    async def predict(self, route: Route, request: Asked, since: int, headers: Mapping[bytes, bytes] = NOTHING) -> Predicted:
        """Answer an infer call that came by another door, and count it; a failure is Refused, whatever it was."""
        assert route.predictor is not None
        turns, turn, status, arm = self._turns, route.predictor.turn, 499, None
        try:
            crowded = turns.enter(turn, request.size_bytes)
        except Refused as error:
            self.meter_of(route).answered(error.status, 0.0)
            raise
        try:
            if crowded:
                await turns.wait(turn)
            predicted = await route.predictor.answer(request, _as_it_is, since)
            self.outbox.deliver()
            status, arm = 200, predicted.arm
        except Exception as error:
            status, sentence = failed(error)
            raise Refused(status, sentence) from error
        finally:
            turns.leave(turn, request.size_bytes)
            seconds = (time.perf_counter_ns() - since) / 1e9
            self.meter_of(route).answered(status, seconds)
            for watcher in self._watchers:
                watcher(Noted("grpc", "ModelInfer", "", self.meter_of(route).key, arm, status, seconds, time.time_ns(), headers))
        return predicted

    async def tell(self, route: Route) -> Answer:
        """Answer a question that has no body and that came by another door."""
        return await route.handler(self.exchange(route.method, b"", (), b""))

    def _other(self, exchange: Exchange, view: View) -> Route | None:
        """Return the route of a path that no state lists: what needs no key, and `/invocations` of a key's only deployment.

        Health is the same for every tenant, so that names cannot be guessed.
        """
        path = exchange.path
        if path == INVOCATIONS:
            return view.only(exchange)
        if path.endswith(b"/v2/health/live"):
            path = b"/v2/health/live"
        elif path.endswith(b"/v2/health/ready"):
            path = b"/v2/health/ready"
        return self._open.get(path)

    def drain(self) -> None:
        """Say that requests should be sent elsewhere from now on; those that come are still answered."""
        self.draining = True

    def is_ready(self) -> bool:
        """Tell whether requests should be sent here."""
        state = self.view.state
        return not self.draining and state.sequence >= 0 and (bool(state.served) or not state.failures)

    async def _health(self, exchange: Exchange) -> Answer:
        if not self.is_ready():
            raise Refused(503, "The server is about to stop." if self.draining else "No manifest is served yet.")
        return PONG if exchange.path in _PINGS else READY

    async def _metrics(self, exchange: Exchange) -> Answer:  # noqa: ARG002 - one shape for all handlers
        text = await asyncio.get_running_loop().run_in_executor(None, self._scrape.all)
        return Answer(200, text.encode(), ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),))

    def _prepared(self, lines: bytes) -> bytes:
        """Return captured lines as they may be stored: cleaned first, so that summaries count what is kept too."""
        return self._sampler.sample(self._cleaner.clean(lines))

    def _prepare(self, state: State) -> Callable[[], None]:
        view = View(state, routes_of(state, self._desk))

        def publish() -> None:
            self.view = view

        return publish

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> None:
        await self._follower.start()
        follow = asyncio.create_task(self._follower.look())
        await asyncio.wait((follow,), timeout=_FIRST_LOOK_S)  # a slow store must not keep cached models from serving
        for door in self.doors:
            await door.open()
        works = (self._follow_after(follow), self._shadow.work(), self._shipper.work(), self._note())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def _follow_after(self, first: asyncio.Task[None]) -> None:
        await first
        await self._follower.follow()

    async def _note(self) -> None:
        while True:
            await asyncio.get_running_loop().run_in_executor(None, self._scrape.write)
            await asyncio.sleep(_NOTE_S)

    async def _stop(self) -> None:
        for door in self.doors:
            await door.close(_DRAIN_S)
        await self._shadow.drain(_DRAIN_S)
        await self._shipper.close(_DRAIN_S)
        for task in self._tasks:
            task.cancel()
        self._follower.close()
        for close in self._closing:
            await asyncio.get_running_loop().run_in_executor(None, close)
        self._pool.shutdown(wait=False)
        self._loaders.shutdown(wait=False, cancel_futures=True)
        self._lock.close()


def _as_it_is(predicted: Predicted) -> Predicted:
    return predicted
