"""The ASGI application: who calls, which handler, what goes wrong; and the work in the background."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from custody.core.objects import Objects
from custody.inference.asked import Asked
from custody.inference.captures.batches import BatchShipper
from custody.inference.captures.lock import locked
from custody.inference.captures.pair import Pair
from custody.inference.captures.prepare import Preparer
from custody.inference.captures.record import new_unique, recording
from custody.inference.captures.shadow import Shadow
from custody.inference.captures.ship import Shipper
from custody.inference.captures.spool import Spool
from custody.inference.exchange import (
    CLOSE,
    LATER,
    Answer,
    ClientGone,
    Exchange,
    Limits,
    Message,
    Receive,
    Refused,
    Send,
    error_answer,
    refusal,
    send_answer,
)
from custody.inference.metrics import Meter, Metrics
from custody.inference.models.cache import Cache
from custody.inference.models.follow import Follower
from custody.inference.models.library import Arm, Library, State
from custody.inference.outbox import Outbox
from custody.inference.predict import Desk, Predicted, blamed
from custody.inference.protocols.mlflow import invocation_error
from custody.inference.reception import INVOCATIONS, View, is_mlflow
from custody.inference.routes import LIVE, PONG, READY, VERSION, Route, routes_of, same
from custody.inference.scrape import Looks, Scrape
from custody.inference.turns import Turn, Turns
from custody.inference.watching import Noted, Watcher, traced_by
from custody.serving import Loader

_FIRST_LOOK_S = 10.0
_DRAIN_S = 5.0
_NOTE_S = 1.0
_PINGS = (b"/ping", b"/health")
_GONE = Answer(499, b"")  # nobody reads it


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
    the processes that share a port; their state folders lie side by side. compress_from: bytes from which on the answer to an
    infer call is compressed, if its caller accepts that; None never.
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
        compress_from: int | None = None,
    ) -> None:
        self.limits = limits or Limits()
        state_dir.mkdir(parents=True, exist_ok=True)
        self._lock = locked(state_dir)
        self.metrics = Metrics()
        self._meter = self.metrics.meter(None)
        self._spool = Spool(state_dir / "spool", new_unique, most_bytes=spool_bytes)
        self._turns = Turns(self.limits)
        self._loaders = ThreadPoolExecutor(max(os.cpu_count() or 1, 2), "load")
        pair, cache, preparer = Pair(state_dir), Cache(state_dir), Preparer(lambda: self.view.state, objects)
        self._recorder = recorder = recording(state_dir, self._spool, self.metrics, pair)
        self._shipper = Shipper(self._spool, objects, self.metrics, preparer, recorder.settle)
        self._batches = BatchShipper(pair, recorder, objects, self.metrics, preparer.rule_of)
        self.outbox = Outbox(recorder)
        library = Library(objects, cache, load, self._loaders, self.metrics, most_bytes=memory_bytes)
        self._shadow = Shadow(recorder, library.memory)
        self._follower = Follower(objects, public_key, library, cache, self.metrics, self._prepare)
        self._desk = Desk(
            recorder,
            self._shadow,
            library.memory,
            self._turns,
            self.metrics,
            lambda: self._follower.problem,
            compress_from,
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
        self._looks = Looks(self._scrape)
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
        exchange = Exchange(scope["method"], scope["raw_path"], scope["headers"], self.limits, receive)
        try:
            answer = await self.respond(exchange)
        except ClientGone:
            return
        if exchange.leaves_unread() and not answer.closes():
            answer = replace(answer, headers=(*answer.headers, CLOSE))
        await self.send(send, answer)

    async def send(self, send: Send, answer: Answer) -> None:
        """Send an answer, when what it says is recorded."""
        self.outbox.deliver()
        if answer.arm is not None and answer.is_long():
            with self._turns.keeping(answer.arm.key.tenant, len(answer.body)):
                await send_answer(send, answer)
        else:
            await send_answer(send, answer)

    def exchange(self, method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Exchange:
        """Return a request that came whole."""
        return Exchange(method, path, headers, self.limits, body)

    async def respond(self, exchange: Exchange) -> Answer:
        """Return the answer to one request, and count it; ClientGone if the client left before its request was whole."""
        started = time.perf_counter()
        view = self.view
        route = view.routes.get(exchange.path) or self._other(exchange, view)
        answer = _GONE
        try:
            answer = await self._answer(exchange, view, route)
        finally:
            self._meter_of(route, answer.arm).answered(answer.status, time.perf_counter() - started)
            if self._watchers:
                self._tell(exchange, route, answer, started)
        return replace(answer, headers=(*answer.headers, CLOSE)) if self.draining else answer

    def watch(self, watcher: Watcher, close: Callable[[], None]) -> None:
        """Tell a watcher about every answer from now on; close: called in a thread when this process ends."""
        self._watchers.append(watcher)
        self._closing.append(close)

    def _tell(self, exchange: Exchange, route: Route | None, answer: Answer, started: float) -> None:
        path, key = (exchange.path.decode("latin-1"), route.key) if route else ("", None)
        seconds, traced = time.perf_counter() - started, traced_by(exchange.headers)
        noted = Noted("http", exchange.method, path, key, answer.arm, answer.status, seconds, time.time_ns(), traced)
        for watcher in self._watchers:
            watcher(noted)

    def count(self, route: Route | None, noted: Noted) -> None:
        """Count a call that another door answered, and tell about it; on the event loop's thread."""
        self._meter_of(route, noted.arm).answered(noted.status, noted.seconds)
        for watcher in self._watchers:
            watcher(noted)

    def _meter_of(self, route: Route | None, arm: Arm | None) -> Meter:
        return arm.meter if arm is not None else (route and route.meter) or self._meter

    async def _answer(self, exchange: Exchange, view: View, route: Route | None) -> Answer:
        refuse = invocation_error if is_mlflow(exchange.path) else error_answer
        turns = self._turns
        turn: Turn | None = None
        try:
            if route is None or route.key is not None:
                route = view.admit(view.tenants_of(exchange), route, exchange.method, exchange.path)
            if route.predictor is not None:
                exchange.held = exchange.announced()
                crowded = turns.enter(route.predictor.turn, exchange.held)
                turn = route.predictor.turn
                if crowded:
                    await turns.wait(turn)
            return await route.handler(exchange)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - one broken request must not stop the server
            refused = refusal(error)
            closing = (CLOSE,) if refused.status in {408, 413} else ()
            later = (LATER,) if refused.status in {429, 503} else ()
            answer = refuse(refused.status, refused.sentence, (*closing, *later, *refused.headers))
            answer.arm = blamed(error)
            return answer
        finally:
            if turn is not None:
                turns.leave(turn, exchange.held)

    async def predict(self, route: Route, request: Asked, since: int, until: int | None) -> Predicted:
        """Answer an infer call that came by another door; InvalidInput or Refused if it cannot be answered.

        since, until: when the call came, and when its caller ceases to wait: `time.perf_counter_ns()`.
        """
        if route.predictor is None:
            await self.tell(route)  # it is not served, which is said as a refusal
        assert route.predictor is not None
        turns, turn = self._turns, route.predictor.turn
        crowded = turns.enter(turn, request.size_bytes)
        try:
            if crowded:
                await turns.wait(turn)
            predicted = await route.predictor.answer(request, _as_it_is, since, until=until)
            self.outbox.deliver()
            return predicted
        finally:
            turns.leave(turn, request.size_bytes)

    async def tell(self, route: Route, body: bytes = b"") -> Answer:
        """Answer a question that came by another door; Refused if it cannot be answered."""
        return await route.handler(self.exchange(route.method, b"", (), body))

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

    async def _metrics(self, exchange: Exchange) -> Answer:
        """Answer the numbers of the tenants that the caller's key may call, and those of the process, which need no key."""
        tenants = self.view.tenants_of(exchange)
        if tenants is None and exchange.key() is not None and self.view.state.sequence >= 0:  # without a manifest no key is known
            raise Refused(401, "This server does not know the key. Send a known one, or none for what names no tenant.")
        self._recorder.settle()  # only what is in the spool is counted
        text = await self._looks.seen(tenants or frozenset())
        return Answer(200, text.encode(), ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),))

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
        works = (self._follow_after(follow), self._shipper.work(), self._batches.work(), self._note())
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
        await self._batches.close(_DRAIN_S)
        await self._shipper.close(_DRAIN_S)
        self._recorder.close()
        for task in self._tasks:
            task.cancel()
        self._follower.close()
        for close in self._closing:
            await asyncio.get_running_loop().run_in_executor(None, close)
        self._turns.close()
        self._loaders.shutdown(wait=False, cancel_futures=True)
        self._lock.close()


def _as_it_is(predicted: Predicted) -> Predicted:
    return predicted
