"""Whatever arrives, the status is right and the server goes on."""

import asyncio
import gzip
import json
import math
import socket
import struct
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inference_world import KEYS, Server, World, bearer, body, tabular

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId
from custody.inference.app import InferenceApp
from custody.inference.exchange import Limits
from custody.inference.protocols.v2_request import read_request

INFER = "/v2/models/churn/infer"
AGE = {"name": "age", "datatype": "FP32", "shape": [1], "data": [1.0]}
IN_MEMORY = {"shared_memory_region": "region", "shared_memory_byte_size": 4}


def with_age(**changes: Any) -> bytes:
    request = body()
    request["inputs"][0] = {**request["inputs"][0], **changes}
    return json.dumps(request).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an inference request"),
        (b"null", "not an inference request"),
        (b"{", "not an inference request"),
        (b"\xff\xfe", "not an inference request"),
        (b"[" * 100_000, "not an inference request"),
        (b'{"inputs":' + b"[" * 100_000, "not an inference request"),
        (b'{"inputs":[]}', "Input 'age' (FP32, shape [-1, 1]) is missing"),
        (json.dumps({"inputs": [AGE]}).encode(), "'plan'"),
        (json.dumps({"inputs": [*body()["inputs"], AGE]}).encode(), "came 2 times"),
        (json.dumps({"inputs": [*body()["inputs"], {**AGE, "name": "ega"}]}).encode(), "'ega' is unknown"),
        (with_age(datatype="FP64"), "must be FP32, got FP64"),
        (with_age(datatype="FP128"), "not supported"),
        (with_age(shape=[2, 1]), "holds 2 values, got 1"),
        (with_age(shape=[-1, 1]), "impossible shape"),
        (with_age(shape=[2**62, 2**62]), "values, got 1"),
        (with_age(shape=[2**70]), "impossible shape"),
        (with_age(shape=[1.5]), "not an inference request"),
        (with_age(shape=[0, 1], data=[]), "no rows"),
        (with_age(shape=[1, 1, 1]), "must have the shape"),
        (with_age(data=["1"]), "got str at position 0"),
        (with_age(data=[True]), "got bool at position 0"),
        (with_age(data=[{}]), "got dict at position 0"),
        (with_age(data=[1e300]), "does not fit FP32"),
        (with_age(data=[1]).replace(b"[1]", b"[1e400]"), "Input 'age' holds a number that does not fit FP32"),
        (with_age(data=[1]).replace(b"[1]", b"[[-1e400]]"), "Input 'age' holds a number that does not fit FP32"),
        (with_age(data=[None]), "no number for row 0"),
        (with_age(data=1.0), "needs 'data'"),
        (json.dumps(body()).encode().replace(b'"basic"', b'"\xff"'), "'plan' holds a text that is not UTF-8"),
        (json.dumps(body()).encode().replace(b'"basic"', b'["\xff"]'), "'plan' needs 'data', a list of BYTES values"),
        (with_age(data=[float("nan")]), "send null or binary".capitalize()),
        (with_age(data=[float("inf")]), "NaN or Infinity"),
        (with_age(data=[30.5], parameters={"binary_data_size": 4}), "announces 4 bytes"),
        (with_age(parameters={"binary_data_size": -1}), "announces"),
        (json.dumps(body(outputs=[{"name": "nothing"}])).encode(), "outputs are: score, decision"),
        (json.dumps(body(outputs=[{"name": "score", "parameters": {"classification": 2}}])).encode(), "classification"),
        (json.dumps(body(outputs=[{"name": "score", "parameters": IN_MEMORY}])).encode(), "Output 'score': shared memory"),
        (with_age(parameters=IN_MEMORY), "Input 'age': shared memory"),
        (with_age(data=None, parameters=IN_MEMORY), "Input 'age': shared memory"),
        (json.dumps(body(parameters={"event_time": "soon"})).encode(), "event_time"),
        (json.dumps(body(2, parameters={"key": ["a"]})).encode(), "1 keys for 2 rows"),
        (json.dumps(body(parameters={"sequence_id": 3})).encode(), "Sequences"),
        (json.dumps(body(parameters={"sequence_id": "a"})).encode(), "Sequences"),
        (json.dumps(body(parameters={"sequence_id": 0, "sequence_end": True})).encode(), "Sequences"),
        (json.dumps(body(parameters={"timeout": -1})).encode(), "microseconds"),
        (json.dumps(body(parameters={"binary_data_output": "false"})).encode(), "must be true or false"),
        (json.dumps(body(outputs=[{"name": "score", "parameters": {"binary_data": 1}}])).encode(), "must be true or false"),
        (json.dumps(body(id=7)).encode(), "not an inference request"),
        (json.dumps(body(id="x" * 257)).encode(), "'id' must be a text of 1 to 256 characters, got 257"),
        (json.dumps(body(parameters={"x": float("nan")})).encode(), "NaN or Infinity"),
        (with_age(data=[1]).replace(b"[1]", b"[1, x]"), "JSON is malformed"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(acme: httpx.Client, content: bytes, words: str) -> None:
    answer = acme.post(INFER, content=content)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert list(answer.json()) == ["error"]
    assert acme.post(INFER, json=body()).status_code == 200


@pytest.mark.parametrize("length", ["1", "-5", "x", "99999", "9" * 30, "10"])
def test_a_wrong_length_of_the_json_part_is_refused(acme: httpx.Client, length: str) -> None:
    answer = acme.post(INFER, content=json.dumps(body()), headers={"inference-header-content-length": length})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "blob", [b"", b"\x01\x00", b"\x05\x00\x00\x00abc", b"\x01\x00\x00\x00\xff", b"\xff\xff\xff\xff", struct.pack("<I", 0) * 2]
)
def test_binary_texts_that_are_cut_or_not_utf_8_are_refused(blob: bytes) -> None:
    head = json.dumps(
        {"inputs": [{"name": "t", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(blob)}}]}
    ).encode()
    with pytest.raises(InvalidInput):
        read_request(head + blob, len(head))


def test_binary_tensors_must_fill_the_body_exactly() -> None:
    head = json.dumps(
        {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}]}
    ).encode()
    assert read_request(head + struct.pack("<2d", 1, 2), len(head)).tensors[0].values.tolist() == [1, 2]
    for blob in (bytes(15), bytes(17), bytes(8), b"", struct.pack("<2d", 1, float("inf"))):
        with pytest.raises(InvalidInput):
            read_request(head + blob, len(head))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda v: st.lists(v, max_size=4), max_leaves=8
)


@given(
    datatype=st.sampled_from(["FP32", "FP64", "INT32", "INT64", "BOOL", "BYTES", "FP16", ""]),
    shape=st.lists(st.integers(-2, 4), max_size=3),
    data=json_values,
    parameters=st.dictionaries(st.sampled_from(["binary_data_size", "other"]), json_values, max_size=2),
    tail=st.binary(max_size=12),
    length=st.none() | st.integers(2, 200),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_body_is_decoded_or_refused(
    datatype: str, shape: list[int], data: Any, parameters: dict[str, Any], tail: bytes, length: int | None
) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": shape, "data": data, "parameters": parameters}
    content = json.dumps({"inputs": [tensor]}).encode() + tail
    try:
        request = read_request(content, min(length, len(content)) if length else None)
    except InvalidInput:
        return
    (found,) = request.tensors
    assert found.values.ndim == 1
    assert len(found.values) == math.prod(found.shape)


@given(
    first=json_values | st.lists(st.floats() | st.integers(-(10**40), 10**40), max_size=4),
    shape=st.lists(st.integers(-1, 4), max_size=2),
    more=st.fixed_dictionaries({}, optional={"id": json_values, "parameters": json_values, "outputs": json_values}),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_decoding_in_one_pass_says_what_decoding_step_by_step_says(first: Any, shape: list[int], more: dict[str, Any]) -> None:
    content = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": first}], **more}).encode()
    said: list[Any] = []
    for floats in (True, False):
        try:
            request = read_request(content, None, floats=floats)
            (tensor,) = request.tensors
            said.append((request.id, request.parameters, request.outputs, request.binary, tensor.shape, tensor.values.tobytes()))
        except InvalidInput as error:
            said.append(str(error))
    assert said[0] == said[1]


def talk(server: Server, text: bytes, *, then_close: bool = False) -> bytes:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=15) as wire:
        wire.sendall(text)
        if then_close:
            return b""
        return wire.recv(4096)


def head_of(length: int, key: str = KEYS[TenantId("acme")]) -> bytes:
    return f"POST /tenants/acme{INFER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n".encode()


def test_a_body_that_is_too_long_is_refused_before_it_is_read(shared: Server) -> None:
    assert talk(shared, head_of(17 * 1024 * 1024)).startswith(b"HTTP/1.1 413")


def test_a_caller_without_a_key_is_refused_before_the_body_is_read(shared: Server) -> None:
    assert talk(shared, head_of(1_000_000, key="wrong")).startswith(b"HTTP/1.1 401")


def test_a_chunked_body_is_bounded_while_it_is_read(acme: httpx.Client) -> None:
    def chunks() -> Any:
        for _ in range(17):
            yield bytes(1024 * 1024)

    assert acme.post(INFER, content=chunks()).status_code == 413
    assert acme.post(INFER, json=body()).status_code == 200


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_load_and_unload_take_a_short_body_however_it_comes(world: World, verb: str) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    path = f"/v2/repository/models/churn/{verb}"
    with world.server() as server, server.client() as client:
        for content in (b"{}", iter([b"{", b"}"]), b""):
            assert client.post(path, content=content).status_code == 200
        assert client.post(path, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}).status_code == 200
        for long in (bytes(100_000), iter([bytes(50_000)] * 2)):
            refused = client.post(path, content=long)
            assert (refused.status_code, "body" in refused.json()["error"]) == ((400, False) if verb == "load" else (413, True))
        bomb = client.post(path, content=gzip.compress(bytes(100_000)), headers={"content-encoding": "gzip"})
        assert bomb.status_code == (400 if verb == "load" else 413)


def test_a_long_body_that_is_no_json_is_refused_quickly() -> None:
    content = b'{"inputs":' + b" " * 4_000_000 + b"x]}"  # looking for the reason took a hundred times as long as reading
    started = time.process_time()
    with pytest.raises(InvalidInput, match="malformed"):
        read_request(content, None, floats=True)
    assert time.process_time() - started < 1.0


def test_clients_that_vanish_leave_the_server_serving(shared: Server, acme: httpx.Client) -> None:
    for _ in range(20):
        talk(shared, head_of(5000) + b'{"inputs":', then_close=True)
        talk(shared, b"POST /tenants/acme", then_close=True)
        talk(shared, b"\x16\x03\x01 not http at all\r\n\r\n")
    assert acme.post(INFER, json=body()).status_code == 200


def test_a_body_that_does_not_arrive_is_given_up(world: World, tmp_path: Path) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    app = InferenceApp(world.objects, OnnxModel, world.public_key, tmp_path / "state", limits=Limits(body_seconds=0.05))
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    async def one_request() -> None:
        await app._start()
        headers = [(name.encode(), value.encode()) for name, value in bearer(TenantId("acme")).items()]
        scope = {"type": "http", "method": "POST", "raw_path": f"/tenants/acme{INFER}".encode(), "headers": headers}
        await app(scope, asyncio.Event().wait, keep)  # type: ignore[arg-type]  # a receive that never answers
        await app._stop()

    asyncio.run(one_request())
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


HEALTH = "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
MANY = "".join(f"X-{number}: 1\r\n" for number in range(20_000))
BAD_HEADS = {
    "many headers": (f"{HEALTH}{MANY}\r\n", 431),
    "a header of 64 KiB": (f"{HEALTH}X: {'a' * 65_536}\r\n\r\n", 431),
    "a value that never ends": (f"{HEALTH}X: {'a' * 65_536}", 431),
    "headers that never end": (f"{HEALTH}{MANY[:65_536]}", 431),
    "a URL of 64 KiB": (f"GET /{'a' * 65_536} HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a URL that never ends": (f"GET /{'a' * 65_536}", 414),
    "many headers and a wish for HTTP/2": (f"{HEALTH}Connection: Upgrade\r\nUpgrade: h2c\r\n{MANY}\r\n", 431),
    "TLS": ("\x16\x03\x01\x02\x00\x01", 400),
    "a proxy's method": ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400),
    "a negative length": (f"{HEALTH}Content-Length: -3\r\n\r\n", 400),
}


def to_the_end(server: Server, *texts: bytes) -> bytes:
    """Send one text after another, each when the one before was answered; return all answers once the server has closed."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=15) as wire:
        answers = b""
        for text in texts:
            wire.sendall(text)
            answers += wire.recv(1 << 16)
        while more := wire.recv(1 << 16):
            answers += more
    return answers


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_head_that_cannot_be_taken_ends_the_connection_with_a_reason_in_json(shared: Server, name: str) -> None:
    text, status = BAD_HEADS[name]
    head, _, content = to_the_end(shared, text.encode("latin-1")).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 %d " % status)
    assert {b"content-type: application/json", b"connection: close"} <= set(lines)
    assert list(json.loads(content)) == ["error"]


def test_long_heads_are_taken_up_to_64_kib(acme: httpx.Client) -> None:
    for _ in range(2):
        assert acme.post(INFER, json=body(), headers={"x": "a" * 60_000}).status_code == 200


def test_headers_behind_a_body_are_bounded_too(shared: Server) -> None:
    answers = to_the_end(shared, f"{HEALTH}Transfer-Encoding: chunked\r\n\r\n0\r\n".encode(), MANY[:65_537].encode())
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answers


def test_a_client_that_reads_only_when_it_has_sent_everything_is_told_why_it_was_refused(shared: Server) -> None:
    host, port = shared.url.removeprefix("http://").split(":")
    for _ in range(5):
        with closing(HTTPConnection(host, int(port), timeout=15)) as connection:
            connection.request("POST", f"/tenants/acme{INFER}", b"x" * (32 << 20), bearer(TenantId("acme")))
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("connection")) == (413, "close")
            assert b"error" in answer.read()


def test_garbage_does_not_overtake_the_answer_to_what_came_before(shared: Server) -> None:
    answers = to_the_end(shared, f"{HEALTH}\r\nthis is not HTTP\r\n\r\n".encode())
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert (answers.count(b"HTTP/1.1"), answers.count(b"connection: close")) == (1, 1)


@pytest.mark.parametrize("path", [f"/tenants/acme{INFER}", "/v2/health/live"])
def test_a_body_that_waits_to_be_asked_for_is_not_waited_for(shared: Server, path: str) -> None:
    answers = to_the_end(shared, f"POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
    assert b"connection: close" in answers.partition(b"\r\n\r\n")[0]
