"""Compressed answers: where they are configured, to infer calls, from a size on, as the caller accepts them; identity else."""

import asyncio
import gzip
import importlib
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from inference_world import ACME, Server, World, bearer, body, tabular

from custody.inference.packing import accepted

sync: Any = importlib.import_module("tritonclient.http")
aio: Any = importlib.import_module("tritonclient.http.aio")
InferenceServerException = importlib.import_module("tritonclient.utils").InferenceServerException
INFER = "/v2/models/churn/infer"
FROM = 2000
UNPACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@pytest.fixture(scope="module")
def packing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    world = World(tmp_path_factory.mktemp("packing"))
    world.publish([world.service(world.target(tabular(1), version=7))])
    with world.serve("--compress-from", str(FROM)) as server:
        yield server


def asked(server: Server, accept: str, rows: int = 500, path: str = INFER, **more: Any) -> tuple[httpx.Headers, bytes]:
    """Return the headers and the body as they came over the wire."""
    headers = {**bearer(ACME), "accept-encoding": accept}
    with httpx.stream("POST", f"{server.url}/tenants/acme{path}", headers=headers, json=body(rows, **more)) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize("rows", [500, 12_000])  # short enough for the event loop, and not
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_long_answer_is_compressed_as_its_caller_accepts_it(packing: Server, encoding: str, rows: int) -> None:
    plain, whole = asked(packing, "identity", rows)
    headers, content = asked(packing, f"br, {encoding}", rows)
    assert "content-encoding" not in plain
    assert (headers["content-encoding"], headers["content-length"]) == (encoding, str(len(content)))
    assert plain["vary"] == headers["vary"] == "accept-encoding"
    assert len(content) < len(whole)
    found = [json.loads(one)["outputs"] for one in (whole, UNPACK[encoding](content))]
    assert found[0] == found[1]


def test_the_length_of_the_json_is_counted_before_compression(packing: Server) -> None:
    headers, content = asked(packing, "gzip", parameters={"binary_data_output": True})
    whole = gzip.decompress(content)
    length = int(headers["inference-header-content-length"])
    first = json.loads(whole[:length])["outputs"][0]
    assert len(whole) == length + 500 * 9
    assert np.frombuffer(whole[length:], "<f8", 500).shape == (first["parameters"]["binary_data_size"] // 8,)


@pytest.mark.parametrize("accept", ["br", "gzip;q=0", "gzip;q=0, deflate;q=0.0", "*;q=0", "", "gzip;q=x", "gzip;q=0.2, identity"])
def test_a_caller_who_does_not_accept_it_gets_identity(packing: Server, accept: str) -> None:
    headers, content = asked(packing, accept)
    assert "content-encoding" not in headers
    assert len(json.loads(content)["outputs"][0]["data"]) == 500


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        (b"gzip, deflate, br", b"gzip"),
        (b"GZIP ; Q=0.5", b"gzip"),
        (b"gzip;q=0.5,deflate", b"deflate"),
        (b"*", b"gzip"),
        (b"*;q=0.1, gzip;q=0", b"deflate"),
        (b"identity;q=0.1, deflate;q=0.2", b"deflate"),
        (b"identity, gzip", None),
        (b"gzip;level=1", None),
        (b";;,=,q=", None),
    ],
)
def test_what_a_caller_likes_best(header: bytes, encoding: bytes | None) -> None:
    assert accepted(header) == encoding


def test_short_answers_errors_and_what_is_no_prediction_are_not_compressed(packing: Server) -> None:
    headers, _ = asked(packing, "gzip", 1)
    assert "content-encoding" not in headers
    with packing.client() as client:
        for answer in (
            client.get("/v2/models/churn", headers={"accept-encoding": "gzip"}),
            client.get("/v2/models/stats", headers={"accept-encoding": "gzip"}),
            client.get(f"{packing.url}/metrics", headers={"accept-encoding": "gzip"}),
            client.post(INFER, json=body(outputs=[{"name": "x" * 80}] * 80), headers={"accept-encoding": "gzip"}),
        ):
            assert "content-encoding" not in answer.headers


def test_invocations_are_compressed_too(packing: Server) -> None:
    table = {"dataframe_records": [{"age": 30.5, "spend": 10.0, "plan": "basic"}] * 500}
    with packing.client() as client:
        answer = client.post("/deployments/churn/invocations", json=table, headers={"accept-encoding": "gzip"})
    assert (answer.headers["content-encoding"], len(answer.json()["scores"])) == ("gzip", 500)
    assert answer.headers["x-custody-prediction-id"] == answer.json()["prediction_id"]


def tensors(kind: Any, n: int, *, binary: bool) -> list[Any]:
    columns = {
        "age": np.linspace(20, 70, n, dtype=np.float32),
        "spend": np.full(n, 10, np.float32),
        "plan": np.array(["a"] * n, object),
    }
    found = []
    for name, values in columns.items():
        tensor = kind.InferInput(name, [n, 1], "BYTES" if name == "plan" else "FP32")
        tensor.set_data_from_numpy(values.reshape(-1, 1), binary_data=binary)
        found.append(tensor)
    return found


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_both_clients_read_compressed_answers(packing: Server, encoding: str, binary: bool) -> None:
    where = packing.url.removeprefix("http://") + "/tenants/acme"

    def more(kind: Any, wanted: str | None) -> dict[str, Any]:  # the clients write into the headers that they get
        outputs = [kind.InferRequestedOutput(name, binary_data=binary) for name in ("score", "decision")]
        return {"outputs": outputs, "response_compression_algorithm": wanted, "headers": bearer(ACME)}

    client = sync.InferenceServerClient(where)
    plain = client.infer("churn", tensors(sync, 500, binary=binary), **more(sync, None)).as_numpy("score")
    found = client.infer("churn", tensors(sync, 500, binary=binary), **more(sync, encoding)).as_numpy("score")
    client.close()

    async def other() -> Any:
        async with aio.InferenceServerClient(where) as client:
            assert (await client.get_model_metadata("churn", headers=bearer(ACME)))["name"] == "churn"
            unknown = [aio.InferRequestedOutput("x" * 80 + str(number)) for number in range(80)]
            with pytest.raises(InferenceServerException, match="outputs are"):
                await client.infer("churn", tensors(aio, 1, binary=True), outputs=unknown, headers=bearer(ACME))
            return (await client.infer("churn", tensors(aio, 500, binary=binary), **more(aio, encoding))).as_numpy("score")

    assert plain.tolist() == found.tolist() == asyncio.run(other()).tolist()


def test_nothing_is_compressed_unless_it_is_configured(shared: Server) -> None:
    headers, content = asked(shared, "gzip, deflate")
    assert "content-encoding" not in headers
    assert "vary" not in headers
    assert len(json.loads(content)["outputs"][0]["data"]) == 500
