"""No tenant starves another, too much is refused at once and says when to come back, and a stop loses nothing."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from inference_world import ACME, CHURN, GLOBEX, KEYS, Server, World, bearer, body, metric, tabular
from test_inference_manifest import until

from custody.core.refs import DeploymentKey
from custody.core.tenancy import TenantId
from custody.inference.exchange import Limits, Refused
from custody.inference.turns import _BURST, Turns

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


def test_long_work_of_one_tenant_leaves_a_thread_for_the_others() -> None:
    async def main() -> None:
        turns, pool, go = Turns(Limits()), ThreadPoolExecutor(8), threading.Event()
        one, other = turns.of(ACME), turns.of(GLOBEX)
        slow = [asyncio.create_task(one.away(pool, lambda: go.wait(20))) for _ in range(100)]
        await asyncio.sleep(0.05)
        assert await asyncio.wait_for(other.away(pool, lambda: "done"), 10) == "done"
        assert one.waiting >= 100 - 8
        go.set()
        assert all(await asyncio.gather(*slow))
        assert one.waiting == 0

    asyncio.run(main())


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
