"""Nobody needs a key to connect: connections that only wait are closed in time, and make room for others."""

import asyncio
import importlib
import re
import resource
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from inference_world import World
from uvicorn.server import ServerState

from custody.bootstrap.front import Front
from custody.bootstrap.listener import connections_within
from custody.inference.exchange import PLAIN, Answer, address, send_answer
from custody.inference.metrics import Metrics

triton_grpc: Any = importlib.import_module("tritonclient.grpc")
ASKED = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class Clock:
    """The event loop, with a time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        timer = (self.now + seconds, callback)
        self.timers.append(timer)

        def cancel() -> None:
            self.timers = [one for one in self.timers if one is not timer]

        return SimpleNamespace(cancel=cancel)

    def create_task(self, work: Any) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(work)

    def move(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now = timer[0]
            timer[1]()
        self.now = end


class Wire(asyncio.Transport):
    """What a connection writes into, and whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed, self.ended, self.unread = b"", False, False, 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.ended:
            raise RuntimeError("Cannot call write() after write_eof()")  # as uvloop says
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class App:
    """Answers when it may."""

    def __init__(self) -> None:
        self.view = SimpleNamespace(routes={})
        self.metrics = Metrics()
        self.outbox = SimpleNamespace(deliver=lambda: None)
        self.may = asyncio.Event()
        self.draining, self.failed = False, 0

    async def send(self, send: Any, answer: Answer) -> None:
        await send_answer(send, answer)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI's shape
        await self.may.wait()
        try:
            await send_answer(send, Answer(200, b"{}", PLAIN))
        except Exception:
            self.failed += 1
            raise


class Place:
    """A server without sockets that holds a few connections."""

    def __init__(self, most: int = 3) -> None:
        self.app, self.clock, self.state = App(), Clock(), ServerState()
        self._config = uvicorn.Config(
            self.app,
            http=Front,
            log_config=None,
            lifespan="off",
            proxy_headers=False,
            limit_concurrency=most,
            timeout_keep_alive=30,
        )
        self._config.load()

    def connect(self, *came: bytes) -> tuple[Front, Wire]:
        front, wire = Front(self._config, self.state, {}, self.clock), Wire()  # type: ignore[arg-type]  # a loop, but for time
        front.connection_made(wire)
        for data in came:
            front.data_received(data)
        return front, wire

    async def let_all_go_on(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def in_a_loop(test: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_a_loop
async def test_a_connection_that_sends_nothing_is_closed_in_silence() -> None:
    place = Place()
    _, wire = place.connect()
    place.clock.move(29.9)
    assert not wire.is_closing()
    place.clock.move(0.2)
    assert wire.is_closing()
    assert wire.written == b""


@in_a_loop
async def test_headers_that_never_end_are_given_up_however_slowly_they_come() -> None:
    place = Place()
    front, wire = place.connect(ASKED[:20])
    for byte in ASKED[20:30]:
        place.clock.move(2.5)
        front.data_received(bytes([byte]))
    assert not wire.is_closing()
    place.clock.move(5.1)
    assert wire.ended
    assert wire.written.startswith(b"HTTP/1.1 408 ")
    assert b'{"error":"The headers' in wire.written
    assert place.app.metrics.meter(None).answers == {408: 1}


@in_a_loop
async def test_a_client_that_still_sends_is_let_for_a_while_and_no_longer() -> None:
    place = Place()
    front, wire = place.connect(b"this is not HTTP\r\n\r\n")
    written = wire.written
    assert written.startswith(b"HTTP/1.1 400 ")
    for _ in range(29):
        front.data_received(ASKED)
        place.clock.move(1)
    assert (wire.ended, wire.is_closing(), wire.written) == (True, False, written)
    assert front.waits()  # others may have its place
    place.clock.move(1.1)
    assert wire.is_closing()
    assert len(place.clock.timers) == 0


@in_a_loop
async def test_what_was_refused_in_the_middle_of_its_body_is_not_answered_as_well() -> None:
    place = Place()
    front, wire = place.connect(ASKED[:-2] + b"transfer-encoding: chunked\r\n\r\n")
    await place.let_all_go_on()
    front.data_received(b"this is no chunk\r\n")
    written = wire.written
    assert (written.startswith(b"HTTP/1.1 400 "), wire.ended, front.cycle.disconnected) == (True, True, True)
    place.app.may.set()
    await place.let_all_go_on()
    front.transport.write(b"more")
    assert (wire.written, place.app.failed) == (written, 0)


@in_a_loop
async def test_nobody_is_waited_for_when_the_server_stops() -> None:
    place = Place()
    parting, first = place.connect(b"this is not HTTP\r\n\r\n")
    parting.shutdown()
    place.app.draining = True
    _, second = place.connect(b"this is not HTTP\r\n\r\n")
    assert (first.is_closing(), second.is_closing()) == (True, True)


@in_a_loop
async def test_an_empty_line_is_no_request_that_is_waited_for() -> None:
    place = Place()
    place.app.may.set()
    front, wire = place.connect(ASKED)
    await place.let_all_go_on()
    written = wire.written
    front.data_received(b"\r\n")
    place.clock.move(30.1)
    assert (wire.is_closing(), wire.written) == (True, written)


@in_a_loop
async def test_headers_behind_another_request_are_bounded_too() -> None:
    place = Place()
    place.app.may.set()
    long = ASKED[:-2] + b"x-more: " + b"x" * (65 * 1024) + b"\r\n\r\n"
    _, wire = place.connect(ASKED + long)
    await place.let_all_go_on()
    await place.let_all_go_on()
    assert re.findall(rb"HTTP/1.1 (\d+)", wire.written) == [b"200", b"431"]


@in_a_loop
async def test_the_time_of_a_connection_begins_again_with_each_answer() -> None:
    place = Place()
    front, wire = place.connect()
    place.app.may.set()
    for _ in range(4):
        place.clock.move(29)
        front.data_received(ASKED)
        await place.let_all_go_on()
    assert wire.written.count(b"HTTP/1.1 200 OK") == 4
    front.data_received(ASKED[:-2])  # the first byte of a request does not stop the clock
    place.clock.move(31)
    assert wire.ended


@in_a_loop
async def test_a_request_in_work_is_not_cut_off() -> None:
    place = Place()
    _, wire = place.connect(ASKED)
    place.clock.move(200)
    place.app.may.set()
    await place.let_all_go_on()
    assert wire.written.startswith(b"HTTP/1.1 200 ")
    assert not wire.is_closing()
    place.clock.move(30.1)
    assert wire.is_closing()
    assert len(place.clock.timers) == 0


@in_a_loop
async def test_a_client_that_takes_nothing_of_its_answer_is_cut_off_and_a_slow_one_is_not() -> None:
    place = Place()
    place.app.may.set()
    _, wire = place.connect(ASKED)
    await place.let_all_go_on()
    wire.unread = 1000
    for _ in range(4):  # it reads a little in each half of a minute
        wire.unread -= 10
        place.clock.move(29)
        assert not wire.is_closing()
    place.clock.move(60.1)
    assert wire.is_closing()
    assert len(place.clock.timers) == 0


@in_a_loop
async def test_one_that_asks_more_and_never_reads_is_cut_off_too() -> None:
    place = Place()
    front, wire = place.connect(ASKED)
    wire.unread = 1000
    front.pause_writing()
    place.app.may.set()
    place.clock.move(60.1)
    assert wire.is_closing()
    front.connection_lost(None)
    await place.let_all_go_on()


@in_a_loop
async def test_a_body_that_does_not_come_makes_room() -> None:
    place = Place(most=2)
    sends, sending = place.connect(ASKED[:-2] + b"content-length: 100\r\n\r\n")
    _, waiting = place.connect(ASKED[:-2] + b"content-length: 100\r\n\r\n")
    place.clock.move(1)
    sends.data_received(b"x")
    await place.let_all_go_on()
    _, third = place.connect()
    assert (sending.is_closing(), waiting.is_closing(), third.is_closing()) == (False, True, False)
    place.app.may.set()
    await place.let_all_go_on()


@in_a_loop
async def test_who_came_when_all_were_at_work_is_answered_once_they_are_not() -> None:
    place = Place(most=1)
    busy, _ = place.connect(ASKED)
    late, wire = place.connect()
    place.app.may.set()
    await place.let_all_go_on()
    busy.connection_lost(None)
    late.data_received(ASKED)
    await place.let_all_go_on()
    assert wire.written.startswith(b"HTTP/1.1 200 ")


@in_a_loop
async def test_what_comes_before_a_request_is_bounded() -> None:
    place = Place()
    _, wire = place.connect(b"\r\n" * 40_000)
    assert wire.written.startswith(b"HTTP/1.1 431 ")


@in_a_loop
async def test_a_new_connection_takes_the_place_of_the_one_that_waits_longest() -> None:
    place = Place(most=3)
    place.app.may.set()
    (asks, first), (_, second), (_, third) = [place.connect() for _ in range(3)]
    place.clock.move(1)
    asks.data_received(ASKED)
    await place.let_all_go_on()
    _, fourth = place.connect(ASKED)
    await place.let_all_go_on()
    assert fourth.written.startswith(b"HTTP/1.1 200 ")
    assert (first.is_closing(), fourth.is_closing()) == (False, False)
    assert [second.is_closing(), third.is_closing()].count(True) == 1
    assert place.app.metrics.counts["connections_evicted"] == 1
    assert len(place.state.connections) == 3


@in_a_loop
async def test_a_client_that_does_not_read_makes_room_too() -> None:
    place = Place(most=1)
    deaf, wire = place.connect(ASKED)
    deaf.pause_writing()
    _, second = place.connect()
    assert (wire.is_closing(), second.is_closing()) == (True, False)
    deaf.connection_lost(None)  # its request ends with it
    place.app.may.set()
    await place.let_all_go_on()


@in_a_loop
async def test_a_client_that_has_just_begun_to_read_goes_behind_those_that_ask_nothing() -> None:
    place = Place(most=2)
    reads, reading = place.connect(ASKED)
    place.clock.move(1)
    _, idle = place.connect()
    place.clock.move(1)
    reads.pause_writing()
    place.connect()
    assert (reading.is_closing(), idle.is_closing()) == (False, True)
    place.app.may.set()
    reads.resume_writing()
    await place.let_all_go_on()


@in_a_loop
async def test_where_all_connections_are_at_work_one_more_is_told_when_to_come_back() -> None:
    place = Place(most=2)
    wires = [place.connect(ASKED)[1] for _ in range(2)]
    _, third = place.connect(ASKED)
    await place.let_all_go_on()
    head, _, content = third.written.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 503 Service Unavailable"
    assert {b"content-type: application/json", b"retry-after: 1", b"connection: close"} <= set(lines)
    assert content.startswith(b'{"error":"')
    assert third.is_closing()
    assert place.app.metrics.meter(None).answers == {503: 1}
    place.app.may.set()
    await place.let_all_go_on()
    assert [wire.written[:12] for wire in wires] == [b"HTTP/1.1 200"] * 2


def test_half_of_the_files_that_may_be_open_are_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: allowed.append(both))
    assert [connections_within(most) for most in (1024, 1 << 20, resource.RLIM_INFINITY)] == [512, 8192, 8192]
    assert allowed == [(1024, 1024), (1 << 20, 1 << 20)]


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert (address("::1", 80), address("127.0.0.1", 80)) == ("[::1]:80", "127.0.0.1:80")


def test_a_server_on_an_ipv6_address_says_where_it_can_be_called(world: World) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on its loopback device")
    world.publish([])
    with world.server("--grpc-port", "0", "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/v2/health/live").json() == {"live": True}
        with triton_grpc.InferenceServerClient(f"[::1]:{server.grpc.rpartition(':')[2]}") as client:
            assert client.is_server_live()
