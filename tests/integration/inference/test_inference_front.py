"""A request that comes whole is answered at once, any other by way of a task: callers cannot tell which."""

import asyncio
import gzip
import inspect
import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from inference_world import CHURN, Server, World, bearer, body, metric, tabular

from custody.bootstrap.front import resumed
from custody.core.digest import digest_of
from custody.core.manifest import Target
from custody.core.refs import ModelRef
from custody.core.tenancy import TenantId
from custody.inference.captures.record import Recorder
from custody.inference.captures.spool import Spool
from custody.inference.exchange import Answer
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Slot
from custody.inference.models.scoring import Scored, score
from custody.inference.outbox import Outbox
from custody.serving import CaptureMode, Parameters
from custody.serving.ports import Arrays

ACME = TenantId("acme")
INFER = "/tenants/acme/v2/models/churn/infer"
KEY = bearer(ACME)["authorization"]
WORLD_TARGET = Target(ModelRef("churn", 1), digest_of(b""), tabular(1).signature, 0.5, None)


def written(
    content: bytes, *, path: str = INFER, method: str = "POST", version: str = "1.1", key: str = KEY, **more: str
) -> bytes:
    headers = {"Host": "x", "Authorization": key, "Content-Length": str(len(content)), **more}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items() if value)
    return f"{method} {path} HTTP/{version}\r\n{lines}\r\n".encode() + content


@contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    where = urlsplit(server.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def read_one(connection: socket.socket, kept: bytearray) -> tuple[int, dict[str, str], bytes]:
    """Read one answer; kept: what came with the one before."""
    while b"\r\n\r\n" not in kept:
        more = connection.recv(1 << 16)
        assert more, bytes(kept)
        kept += more
    head, _, rest = bytes(kept).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    length = int(headers["content-length"])
    while len(rest) < length:
        more = connection.recv(1 << 16)
        assert more, rest
        rest += more
    kept[:] = rest[length:]
    return int(first.split()[1]), headers, rest[:length]


def told(answer: tuple[int, dict[str, str], bytes]) -> Any:
    """Return an answer without what differs each time."""
    status, headers, content = answer
    document = json.loads(content)
    if "parameters" in document:
        document["parameters"].pop("prediction_id")
    return status, {name: value for name, value in headers.items() if name != "content-length"}, document


def in_chunks(request: bytes) -> bytes:
    """Return the same request with its body in chunks of 50 bytes."""
    head, _, content = request.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    parts = [content[at : at + 50] for at in range(0, len(content), 50)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", chunks + b"0\r\n\r\n"])


GOOD = json.dumps(body()).encode()
# as Java's HttpClient asks by default, with every first request to a server
TO_HTTP2 = {
    "Connection": "Upgrade, HTTP2-Settings",
    "Upgrade": "h2c",
    "HTTP2_Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
}
REQUESTS = {
    "usual": written(GOOD),
    "an id of its own": written(json.dumps(body(id="mine")).encode()),
    "several rows": written(json.dumps(body(40)).encode()),
    "gzip": written(gzip.compress(GOOD), Content_Encoding="gzip"),
    "another encoding": written(GOOD, Content_Encoding="br"),
    "garbage": written(b"{"),
    "no body": written(b""),
    "no key": written(GOOD, key=""),
    "another key": written(GOOD, key="Bearer wrong"),
    "key elsewhere": written(GOOD, key="", X_Custody_Key=KEY.removeprefix("Bearer ")),
    "a key that authorizes nothing beside one that does": written(
        GOOD, key="Basic abc", X_Custody_Key=KEY.removeprefix("Bearer ")
    ),
    "spaces before the key": written(GOOD, key=KEY.replace(" ", "   ")),
    "nothing there": written(GOOD, path="/tenants/acme/v2/models/none/infer"),
    "another tenant": written(GOOD, path="/tenants/globex/v2/models/churn/infer"),
    "a query": written(GOOD, path=f"{INFER}?a=1"),
    "the index": written(b"", path="/tenants/acme/v2/repository/index"),
    "wrong method": written(b"", method="PUT"),
    "old version": written(GOOD, version="1.0", Connection="keep-alive"),
    "last of its connection": written(GOOD, Connection="close"),
    "in chunks": in_chunks(written(GOOD)),
    "a wish for HTTP/2": written(GOOD, **TO_HTTP2),
    "a wish for HTTP/2, in chunks": in_chunks(written(GOOD, **TO_HTTP2)),
    "a wish for HTTP/2 without a key": written(GOOD, key="", **TO_HTTP2),
    "a wish for WebSocket": written(b"", path="/v2/health/live", method="GET", Connection="Upgrade", Upgrade="websocket"),
    "a wrong length of the JSON": written(GOOD, Inference_Header_Content_Length="1"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_an_answer_is_the_same_however_its_request_is_cut(shared: Server, name: str) -> None:
    whole, answers = REQUESTS[name], []
    for cut in (len(whole), len(whole) - 1, whole.index(b"\r\n\r\n") + 4, 30):
        with connected(shared) as connection:
            connection.sendall(whole[:cut])
            if cut < len(whole):
                time.sleep(0.03)
                connection.sendall(whole[cut:])
            answers.append(told(read_one(connection, bytearray())))
    assert all(answer == answers[0] for answer in answers), answers


_ALONE: dict[str, Any] = {}  # what each is told on a connection of its own


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(order=["usual"] * 150, size=1 << 20)
@given(
    order=st.lists(
        st.sampled_from([name for name in REQUESTS if name not in {"old version", "last of its connection"}]),
        min_size=1,
        max_size=12,
    ),
    size=st.integers(50, 4000),
)
def test_pipelined_requests_are_answered_in_their_order(shared: Server, order: list[str], size: int) -> None:
    for name in order:
        with connected(shared) as connection:
            connection.sendall(REQUESTS[name])
            _ALONE.setdefault(name, told(read_one(connection, bytearray())))
    stream = b"".join(REQUESTS[name] for name in order)
    with connected(shared) as connection:
        for at in range(0, len(stream), size):
            connection.sendall(stream[at : at + size])
        kept = bytearray()
        assert [told(read_one(connection, kept)) for _ in order] == [_ALONE[name] for name in order]
        assert not kept


@pytest.mark.parametrize(("content", "status"), [(GOOD, 200), (b"{", 400)])
def test_a_caller_who_asks_first_is_told_to_go_on(shared: Server, content: bytes, status: int) -> None:
    head = written(content, Expect="100-continue").removesuffix(content)
    with connected(shared) as connection:
        for _ in range(2):
            connection.sendall(head)
            assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(content)
            assert read_one(connection, bytearray())[0] == status


@pytest.mark.parametrize("name", [name for name in REQUESTS if "HTTP/2" in name])
def test_a_wish_for_another_protocol_is_passed_over(shared: Server, name: str) -> None:
    with connected(shared) as connection:
        kept = bytearray()
        for at in range(len(REQUESTS[name])):
            connection.sendall(REQUESTS[name][at : at + 1])
        cut = read_one(connection, kept)
        connection.sendall(REQUESTS[name] * 3 + REQUESTS["usual"])
        statuses = [read_one(connection, kept)[0] for _ in range(4)]
    assert (cut[0], statuses) == ((401, [401] * 3 + [200]) if "without" in name else (200, [200] * 4))


def test_the_last_request_of_a_connection_keeps_its_body_with_such_a_wish(shared: Server) -> None:
    with connected(shared) as connection:
        connection.sendall(written(GOOD, Connection="close, Upgrade", Upgrade="h2c"))
        status, headers, _ = read_one(connection, bytearray())
        assert (status, headers["connection"]) == (200, "close")
        assert connection.recv(1) == b""


def test_many_wishes_at_once_are_passed_over(shared: Server) -> None:
    asked = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with connected(shared) as connection:
        connection.sendall(asked * 2000)
        kept = bytearray()
        assert {read_one(connection, kept)[0] for _ in range(2000)} == {200}


def test_a_model_that_must_be_loaded_first_is_waited_for(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server("--memory-mb", "64") as server, connected(server) as connection:
        kept = bytearray()
        for _ in range(3):
            connection.sendall(written(b"", path="/tenants/acme/v2/repository/models/churn/unload") + REQUESTS["usual"])
            assert [read_one(connection, kept)[0] for _ in range(2)] == [200, 200]
        assert metric(server, "custody_model_loads_total") == 4
        assert server.stop() == 0
    assert len(world.captures()) == 3


def test_answers_are_counted_whichever_way_they_went(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server() as server:
        for cut in (None, -1):
            with connected(server) as connection:
                connection.sendall(REQUESTS["usual"][:cut])
                if cut:
                    time.sleep(0.03)
                    connection.sendall(REQUESTS["usual"][cut:])
                assert read_one(connection, bytearray())[0] == 200
        assert metric(server, 'custody_requests_total{tenant="acme",environment="prod",deployment="churn",status="200"}') == 2


class _Stopped(Exception):
    pass


async def _waiting(future: "asyncio.Future[int]", more: "asyncio.Future[int]") -> Answer:
    try:
        first = await future
    except _Stopped:
        first = 500
    return Answer(first + await more, b"")


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_begun_by_hand_goes_on_in_a_task(fails: bool) -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        future, more = loop.create_future(), loop.create_future()
        begun = _waiting(future, more)
        task = asyncio.ensure_future(_as_coroutine(resumed(begun, begun.send(None))))
        await asyncio.sleep(0)
        future.set_exception(_Stopped()) if fails else future.set_result(200)
        await asyncio.sleep(0)
        more.set_result(3)
        return (await task).status

    assert asyncio.run(run()) == (503 if fails else 203)


def test_a_task_that_is_cancelled_cancels_what_was_begun() -> None:
    async def run() -> bool:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        begun = _waiting(future, loop.create_future())
        task = asyncio.ensure_future(_as_coroutine(resumed(begun, begun.send(None))))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return future.cancelled() and inspect.getcoroutinestate(begun) == inspect.CORO_CLOSED

    assert asyncio.run(run())


async def _as_coroutine(waiting: Any) -> Answer:
    answer: Answer = await waiting
    return answer


def test_garbage_behind_a_request_does_not_overtake_its_answer(shared: Server) -> None:
    with connected(shared) as connection:
        connection.sendall(REQUESTS["usual"] + b"this is not HTTP\r\n\r\n")
        kept = bytearray()
        assert [read_one(connection, kept)[0] for _ in range(2)] == [200, 400]
        assert connection.recv(1) == b""


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def all_of(shared: Server, *parts: bytes, ends: bool = False) -> list[int]:
    """Send parts, one after the other; the statuses of all that is answered until the server has nothing more to say."""
    with connected(shared) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(3 if ends else 0.5)
        came = bytearray()
        with suppress(TimeoutError):
            while block := connection.recv(1 << 20):
                came += block
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", came)]


def test_a_torn_chunk_behind_a_request_does_not_overtake_its_answer(shared: Server) -> None:
    torn = in_chunks(written(json.dumps(body()).encode()))
    torn = torn[: torn.index(b"\r\n\r\n") + 4] + b"ZZ\r\n"
    for whole in (LIVE, written(json.dumps(body()).encode()), written(json.dumps(body(3000)).encode())):
        assert all_of(shared, whole + torn) == [200, 400]


def test_fields_behind_a_body_are_no_headers(shared: Server) -> None:
    """A proxy may have looked at the headers alone, and a packet's end must not decide."""
    content = json.dumps(body()).encode()
    head, _, chunks = in_chunks(written(content, key="")).partition(b"\r\n\r\n")
    behind = chunks[:-2] + b"Authorization: " + KEY.encode() + b"\r\nContent-Encoding: gzip\r\n\r\n"
    assert all_of(shared, head + b"\r\n\r\n" + behind) == all_of(shared, head + b"\r\n\r\n", behind) == [401]
    head = in_chunks(written(content)).partition(b"\r\n\r\n")[0]
    assert all_of(shared, head + b"\r\n\r\n" + behind) == all_of(shared, head + b"\r\n\r\n", behind) == [200]


def test_who_ends_their_side_of_the_connection_is_answered_still(shared: Server) -> None:
    few, many = (written(json.dumps(body(rows)).encode()) for rows in (1, 3000))
    assert all_of(shared, few, ends=True) == [200]
    assert all_of(shared, many, ends=True) == [200]
    assert all_of(shared, LIVE + many + few + LIVE, ends=True) == [200] * 4
    assert all_of(shared, many[:-1], ends=True) == []
    assert all_of(shared, many + few[:-1], ends=True)[:1] == [200]


def test_an_answer_leaves_when_what_it_says_is_recorded(tmp_path: Path) -> None:
    written: list[tuple[bytes, int]] = []

    def note(number: int, answer: bytes) -> None:
        written.append((answer, number))

    class Noting(Recorder):
        def flush(self) -> None:
            written.append((b"recorded", 0))

    async def run() -> None:
        outbox = Outbox(Noting(Spool(tmp_path, lambda: "x", most_bytes=1), Metrics()))
        for number in (1, 2):
            outbox.post(asyncio.get_running_loop(), partial(note, number), b"answer")
        assert not written
        await asyncio.sleep(0)

    asyncio.run(run())
    assert written == [(b"recorded", 0), (b"answer", 1), (b"answer", 2)]


def test_a_record_that_cannot_be_written_holds_up_nobody(tmp_path: Path) -> None:
    metrics, spool = Metrics(), Spool(tmp_path, lambda: "x", most_bytes=1 << 20)
    recorder, answers = Recorder(spool, metrics), list[bytes]()
    outbox = Outbox(recorder)
    arm = Arm(CHURN, 1, CaptureMode.LIVE, WORLD_TARGET, Slot(WORLD_TARGET), str(CHURN), {}, b"{")
    for key in ("\ud800", "good"):
        scored = Scored({}, [0.5], [True], {}, (b"[0.5]", b"[true]"))
        recorder.record(arm, scored, Parameters(key=key), "x", 0)
    parameters = Parameters(key="mine")
    parameters.keys(1)
    recorder.record(arm, Scored({}, [0.5, 0.5], [True, True], {}, (b"[]", b"[]")), parameters, "x", 0)

    def broken(_: bytes) -> None:
        raise RuntimeError

    async def run() -> None:
        outbox.post(asyncio.get_running_loop(), broken, b"")
        outbox.post(asyncio.get_running_loop(), answers.append, b"first")
        await asyncio.sleep(0)
        outbox.post(asyncio.get_running_loop(), answers.append, b"second")
        await asyncio.sleep(0)

    asyncio.run(run())
    assert answers == [b"first", b"second"]
    assert (metrics.counts["captured_predictions"], metrics.counts["shed_predictions"]) == (1, 3)
    spool.roll()
    (path,) = spool.pending()
    assert path.read_bytes().count(b"good") == 1


def test_a_model_without_a_score_for_each_row_answers_nobody() -> None:
    class Short:
        def run(self, inputs: Arrays, outputs: Sequence[str] | None = None) -> Arrays:  # noqa: ARG002 - a model's shape
            return {WORLD_TARGET.signature.score: np.array([[0.5]], np.float32)}

    arm = Arm(CHURN, 1, CaptureMode.LIVE, WORLD_TARGET, Slot(WORLD_TARGET), str(CHURN), {}, b"")
    with pytest.raises(ValueError, match="1 scores of 2 rows"):
        score(arm, Loaded(Short(), 0.0), {"age": np.zeros((2, 1), np.float32)})  # type: ignore[arg-type]  # of a model, all that is used


def test_half_a_character_is_refused_wherever_it_stands(shared: Server) -> None:
    content = b'{"instances":[{"age":1,"spend":1,"plan":"basic","note":NaN}],"params":{"key":"\\ud800"}}'
    with connected(shared) as connection:
        connection.sendall(written(content, path="/tenants/acme/deployments/churn/invocations"))
        status, _, body_ = read_one(connection, bytearray())
    assert status == 400, body_
