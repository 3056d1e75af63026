"""No tenant starves another, too much is refused at once and says when to come back, and a stop loses nothing."""

import asyncio
import gzip
import json
import signal
import socket
import threading
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from inference_world import ACME, CHURN, GLOBEX, KEYS, Server, World, bearer, body, metric, metrics_of, tabular
from numpy.typing import NDArray
from test_inference_manifest import until

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.manifest import Handling
from custody.core.refs import DeploymentKey
from custody.core.tenancy import TenantId
from custody.inference import predict
from custody.inference import turns as turns_module
from custody.inference.app import InferenceApp
from custody.inference.exchange import Answer, Limits, Refused, whole_of
from custody.inference.models.memory import Loaded
from custody.inference.predict import blamed
from custody.inference.protocols.v2_request import read_request
from custody.inference.turns import _BURST, _CORES, Turns
from custody.serving import Model
from custody.serving.ports import Arrays

INFER = "/v2/models/churn/infer"


@contextmanager
def pending(server: Server, tenant: TenantId, announced: int = 5000) -> Iterator[socket.socket]:
    """A request whose body does not come: it stays in flight."""
    host, port = server.url.removeprefix("http://").split(":")
    head = f"POST /tenants/{tenant}{INFER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS[tenant]}\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        wire.sendall(f"{head}Content-Length: {announced}\r\n\r\n".encode() + b'{"inputs":')
        yield wire


def ask(server: Server, tenant: TenantId) -> httpx.Response:
    return httpx.post(f"{server.url}/tenants/{tenant}{INFER}", json=body(), headers=bearer(tenant), timeout=20)


@pytest.fixture
def both(world: World) -> World:
    target = world.target(tabular(1))
    world.publish([world.service(target), world.service(target, key=DeploymentKey(GLOBEX, "prod", "churn"))])
    return world


def test_a_tenant_with_too_many_requests_is_told_so_and_the_other_is_answered(both: World) -> None:
    with both.server("--tenant-requests", "5") as server, ExitStack() as held:
        for _ in range(5):
            held.enter_context(pending(server, ACME))
        until(lambda: ask(server, ACME).status_code == 429)
        refused = ask(server, ACME)
        assert refused.headers["retry-after"] == "1"
        assert "5 requests of this tenant" in refused.json()["error"]
        path = f"{server.url}/tenants/acme/deployments/churn/invocations"
        assert httpx.post(path, headers=bearer(ACME)).json()["error_code"] == "REQUEST_LIMIT_EXCEEDED"
        assert ask(server, GLOBEX).status_code == 200
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
        held.close()
        until(lambda: ask(server, ACME).status_code == 200)


def test_a_server_with_too_many_requests_tells_everybody(both: World) -> None:
    with both.server("--tenant-requests", "5", "--server-requests", "6") as server, ExitStack() as held:
        for tenant in (ACME, ACME, ACME, GLOBEX, GLOBEX, GLOBEX):
            held.enter_context(pending(server, tenant))
        until(lambda: ask(server, ACME).status_code == 503)
        refused = ask(server, GLOBEX)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "more requests than it can answer" in refused.json()["error"]
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
        held.close()
        until(lambda: ask(server, ACME).status_code == 200)


def test_bodies_that_are_announced_take_room_until_they_are_answered() -> None:
    turns = Turns(Limits(tenant_bytes=100, server_bytes=150))
    one, other = turns.of(ACME), turns.of(GLOBEX)
    turns.enter(one, 60)
    with pytest.raises(Refused) as caught:
        turns.enter(one, 60)
    assert caught.value.status == 429
    turns.enter(other, 90)
    with pytest.raises(Refused) as caught:
        turns.enter(one, 1)
    assert caught.value.status == 503
    turns.leave(other, 90)
    turns.enter(one, 40)
    for size in (60, 40):
        turns.leave(one, size)
    assert (turns.inside, turns.body_bytes, one.inside, one.body_bytes) == (0, 0, 0, 0)


def test_a_long_answer_takes_room_until_it_is_read() -> None:
    turns = Turns(Limits(tenant_bytes=100))
    with turns.keeping(ACME, 70):
        with pytest.raises(Refused) as caught:
            turns.enter(turns.of(ACME), 40)
        assert caught.value.status == 429
    turns.enter(turns.of(ACME), 40)
    assert (turns.body_bytes, turns.of(ACME).body_bytes) == (40, 40)


def test_bodies_in_chunks_take_the_room_of_what_came(both: World) -> None:
    head = f"POST /tenants/acme/v2/models/churn/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS[ACME]}\r\n"
    begun = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"1\r\n{\r\n"
    with both.server() as server, ExitStack() as held:
        where = urlsplit(server.url)
        for _ in range(40):  # announced as the longest that a body may be, sixteen would take all room
            wire = held.enter_context(socket.create_connection((where.hostname, where.port), timeout=20))
            wire.sendall(begun)
        until(lambda: 'custody_requests_in_flight{tenant="acme"} 40' in metrics_of(server))
        assert ask(server, ACME).status_code == 200


def test_a_tenant_with_a_thousand_requests_at_once_does_not_hold_up_one_of_another() -> None:
    order: list[str] = []

    async def request(turns: Turns, tenant: TenantId, name: str) -> None:
        turn = turns.of(tenant)
        if turns.enter(turn, 0):
            await turns.wait(turn)
        order.append(name)
        turns.leave(turn, 0)

    async def main() -> Turns:
        turns = Turns(Limits(tenant_requests=5000))
        many = [asyncio.create_task(request(turns, ACME, f"a{number}")) for number in range(1000)]
        await asyncio.sleep(0)
        few = asyncio.create_task(request(turns, GLOBEX, "b"))  # it comes when all the others are there
        await asyncio.gather(few, *many)
        return turns

    turns = asyncio.run(main())
    assert order.index("b") <= 3 * _BURST
    assert [name for name in order if name != "b"] == [f"a{number}" for number in range(1000)]  # a line is a line
    assert (turns.inside, turns.of(ACME).waiting) == (0, 0)


def test_requests_that_wait_and_go_away_leave_the_line_in_order() -> None:
    async def main() -> list[int]:
        turns, done = Turns(Limits()), list[int]()

        async def request(number: int) -> None:
            turn = turns.of(ACME)
            crowded = turns.enter(turn, 0)
            try:
                if crowded:
                    await turns.wait(turn)
                done.append(number)
            finally:
                turns.leave(turn, 0)

        tasks = [asyncio.create_task(request(number)) for number in range(3 * _BURST)]
        await asyncio.sleep(0)
        for task in tasks[_BURST + 1 : 2 * _BURST]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert turns.inside == 0
        return done

    assert asyncio.run(main()) == [*range(_BURST + 1), *range(2 * _BURST, 3 * _BURST)]


def test_bodies_are_counted_as_they_are_once_they_are_there() -> None:
    turns = Turns(Limits(tenant_bytes=100, server_bytes=150))
    one, other = turns.of(ACME), turns.of(GLOBEX)
    turns.enter(one, 60)
    held = turns.hold(one, 60, 20)  # it came in chunks, and was shorter than it might have been
    turns.enter(other, 40)
    for now, status in ((101, 429), (20, None), (100, None)):
        if status is None:
            held = turns.hold(one, held, now)
        else:
            with pytest.raises(Refused) as caught:
                turns.hold(one, held, now)
            assert caught.value.status == status
    with pytest.raises(Refused) as caught:
        turns.hold(other, 40, 51)
    assert caught.value.status == 503
    turns.leave(one, held)
    turns.leave(other, 40)
    assert (turns.body_bytes, one.body_bytes, other.body_bytes) == (0, 0, 0)


async def settled(check: Callable[[], bool]) -> None:
    for _ in range(4000):
        if check():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to be")


def test_long_work_of_one_tenant_leaves_a_thread_for_the_others() -> None:
    async def main() -> None:
        turns, go = Turns(Limits()), threading.Event()
        one, another, third = (turns.of(TenantId(name)) for name in ("one", "another", "third"))
        slow = [turns.away(one, lambda: go.wait(20)) for _ in range(100)]
        assert (one.away, one.waiting) == (_CORES, 100 - _CORES)
        slow += [turns.away(another, lambda: go.wait(20)) for _ in range(100)]  # also when it is not the only one
        assert (another.away, another.waiting) == (1, 99)
        assert await asyncio.wait_for(turns.away(third, lambda: "done"), 10) == "done"
        go.set()
        assert all(await asyncio.gather(*slow))
        assert (one.away, one.waiting, another.away, another.waiting) == (0, 0, 0, 0)
        turns.close()

    asyncio.run(main())


def test_who_ceases_to_wait_for_long_work_frees_no_thread_before_it_ends() -> None:
    async def main() -> None:
        turns, go, ran = Turns(Limits()), threading.Event(), list[str]()

        def work(name: str) -> None:
            ran.append(name)
            assert go.wait(20)

        one, other = turns.of(ACME), turns.of(GLOBEX)
        under_way = [turns.away(one, partial(work, "under way")) for _ in range(_CORES)]
        given_up = turns.away(one, partial(work, "given up"))
        next_one = turns.away(one, partial(work, "next"))
        for promise in (*under_way, given_up):
            promise.cancel()
        await asyncio.sleep(0)
        assert (one.away, one.waiting) == (_CORES, 1)  # the threads are still taken; who waited is out of the line
        assert await asyncio.wait_for(turns.away(other, lambda: "done"), 10) == "done"
        go.set()
        await next_one
        await settled(lambda: one.away == 0)
        assert ran == ["under way"] * _CORES + ["next"]
        turns.close()

    asyncio.run(main())


def test_threads_that_are_too_few_go_round_among_the_tenants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_CORES", 1)
    monkeypatch.setattr(turns_module, "_THREADS", 1)

    async def main() -> list[str]:
        turns, order = Turns(Limits()), list[str]()
        names = ["a", "a", "a", "b", "b", "c"]
        await asyncio.gather(*(turns.away(turns.of(TenantId(name)), partial(order.append, name)) for name in names))
        turns.close()
        return order

    assert asyncio.run(main()) == ["a", "a", "b", "c", "a", "b"]  # the first did not wait


def test_the_failure_of_long_work_is_its_callers() -> None:
    async def main() -> None:
        turns = Turns(Limits())
        with pytest.raises(ZeroDivisionError):
            await turns.away(turns.of(ACME), lambda: 1 / 0)
        assert await turns.away(turns.of(ACME), lambda: 1) == 1
        turns.close()

    asyncio.run(main())


class Gated:
    """A model that runs when it may, and counts."""

    provider, fell_back = "CPUExecutionProvider", False

    def __init__(self, model: Model) -> None:
        self._model, self.may, self.runs = model, threading.Event(), 0

    def scores(self, inputs: Arrays) -> NDArray[np.float64]:
        return self._model.scores(inputs)

    def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        self.runs += 1
        assert self.may.wait(20)
        return self._model.run(inputs, outputs)


Asking = Callable[..., Coroutine[Any, Any, Answer]]


def in_process(
    world: World, work: Callable[[InferenceApp, Gated, Asking], Awaitable[None]], *, seconds: float, **more: Any
) -> None:
    """Run an app in this process, its model gated and taken for one that takes so many seconds a row."""

    async def run() -> None:
        app = InferenceApp(world.objects, OnnxModel, world.public_key, world.folder / "state", **more)
        await app._start()
        slot = app.view.state.served[CHURN].live.slot
        assert slot.loaded is not None
        model = Gated(slot.loaded.model)
        slot.loaded = Loaded(model, seconds)

        async def asked(content: bytes, age_s: float = 0.0, **headers: str) -> Answer:
            given = [(name.replace("_", "-").encode(), value.encode()) for name, value in {**bearer(ACME), **headers}.items()]
            exchange = app.exchange("POST", f"/tenants/acme{INFER}".encode(), given, content)
            exchange.since -= int(age_s * 1e9)
            return await app.respond(exchange)

        try:
            await work(app, model, asked)
        finally:
            model.may.set()
            await app._stop()

    asyncio.run(run())


def test_a_timeout_is_a_deadline_and_who_waits_past_it_is_not_run(both: World) -> None:
    async def work(app: InferenceApp, model: Gated, asked: Asking) -> None:
        usual, hurried = json.dumps(body()).encode(), json.dumps(body(parameters={"timeout": 20_000})).encode()
        late = await asked(hurried)  # its model runs, and does not end
        assert (late.status, model.runs) == (504, 1)
        waiting = [asyncio.create_task(asked(usual)) for _ in range(_CORES)]
        await settled(lambda: model.runs == _CORES)
        assert (await asked(hurried)).status == 504  # no thread is free
        model.may.set()
        assert [answer.status for answer in await asyncio.gather(*waiting)] == [200] * _CORES
        assert model.runs == 1 + _CORES
        assert (app._turns.inside, app._turns.body_bytes) == (0, 0)

    in_process(both, work, seconds=1.0)


def test_a_deadline_counts_from_the_requests_arrival(both: World) -> None:
    async def work(_: InferenceApp, model: Gated, asked: Asking) -> None:
        model.may.set()
        hurried = json.dumps(body(parameters={"timeout": 5_000_000})).encode()
        assert (await asked(hurried, age_s=6.0)).status == 504  # it waited for its turn, say
        assert model.runs == 0
        assert (await asked(hurried)).status == 200

    in_process(both, work, seconds=0.0)


def test_a_callers_own_deadline_is_a_failure_of_the_version_that_was_late(both: World) -> None:
    async def work(app: InferenceApp, model: Gated, asked: Asking) -> None:
        route = app.view.routes[f"/tenants/acme{INFER}".encode()]
        request, now = read_request(json.dumps(body()).encode(), None), time.perf_counter_ns()
        with pytest.raises(Refused) as caught:
            await app.predict(route, request, now, now + 20_000_000)
        assert (caught.value.status, blamed(caught.value)) == (504, app.view.state.served[CHURN].live)

    in_process(both, work, seconds=1.0)


def test_a_deadline_ends_the_wait_for_a_batch(world: World) -> None:
    service = world.service(world.target(tabular(1)))
    world.publish([replace(service, handling=Handling(max_batch=64, max_wait_us=5_000_000))])

    async def work(_: InferenceApp, model: Gated, asked: Asking) -> None:
        assert (await asked(json.dumps(body(parameters={"timeout": 20_000})).encode())).status == 504
        assert model.runs == 0

    in_process(world, work, seconds=0.0)


def padded(size: int) -> bytes:
    """An infer request of so many bytes, most of them spaces."""
    text = json.dumps(body()).encode()
    return text[:-1] + b" " * (size - len(text)) + b"}"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_a_compressed_body_becomes_is_counted_for_its_tenant(
    both: World, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    threads = list[str]()

    def pack(content: bytes) -> bytes:
        return gzip.compress(content) if encoding == "gzip" else zlib.compress(content)

    def whole(body: bytes, encoding: bytes, most: int) -> bytes:
        threads.append(threading.current_thread().name)
        return whole_of(body, encoding, most)

    monkeypatch.setattr(predict, "whole_of", whole)

    async def work(app: InferenceApp, model: Gated, asked: Asking) -> None:
        model.may.set()
        for size, status in ((1000, 200), (400_000, 200), (600_000, 429), (2_000_000, 413)):
            assert (await asked(pack(padded(size)), content_encoding=encoding)).status == status, size
            assert (app._turns.inside, app._turns.body_bytes) == (0, 0)
        assert len(threads) == 3  # the short one needs none
        assert all(name.startswith("predict") for name in threads)

        model.may.clear()
        first = asyncio.create_task(asked(pack(padded(400_000)), content_encoding=encoding))
        await settled(lambda: model.runs == 3)
        assert 400_000 < app._turns.body_bytes < 410_000
        second = await asked(pack(padded(400_000)), content_encoding=encoding)
        assert (second.status, dict(second.headers)[b"retry-after"]) == (429, b"1")
        model.may.set()
        assert (await first).status == 200

    in_process(both, work, seconds=1.0, limits=Limits(body_bytes=1_000_000, tenant_bytes=500_000))


def test_sigterm_drains_not_ready_at_once_answers_what_is_in_flight_and_ships_it(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    text = httpx.Request("POST", "http://x", json=body()).content
    with world.server("--drain-seconds", "2") as server, pending(server, ACME, len(text)) as wire:
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{server.url}/v2/health/ready").status_code == 503)
        assert "about to stop" in httpx.get(f"{server.url}/v2/health/ready").json()["error"]
        answer = ask(server, ACME)  # who has not heard of it yet is answered, and told to connect anew
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        time.sleep(2.5)  # now it listens no more, and waits for the request in flight
        with pytest.raises(httpx.TransportError):
            ask(server, ACME)
        wire.sendall(text.removeprefix(b'{"inputs":'))
        assert wire.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.process.wait(20) == 0
    assert len(world.captures()) == 2
    assert world.spooled == []


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_an_impatient_stop_does_not_wait_for_the_drain(world: World, signals: list[signal.Signals]) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server("--drain-seconds", "600") as server:
        assert ask(server, ACME).status_code == 200
        for number in signals:
            server.process.send_signal(number)
            time.sleep(0.3)
        assert server.process.wait(20) == 0
    assert len(world.captures()) == 1


def test_a_flood_of_one_tenant_is_counted_and_answered_or_refused(both: World) -> None:
    with both.server("--tenant-requests", "3") as server, ExitStack() as held:
        for _ in range(3):
            held.enter_context(pending(server, ACME))
        until(lambda: ask(server, ACME).status_code == 429)
        labels = f'tenant="{CHURN.tenant}",environment="prod",deployment="churn"'
        before = metric(server, f'custody_requests_total{{{labels},status="429"}}')
        for _ in range(10):
            ask(server, ACME)
        assert metric(server, f'custody_requests_total{{{labels},status="429"}}') == before + 10
