"""Every call that `tritonclient.http` offers, sync and aio, answered or refused in the protocol's shape; and what MLflow's clients send."""

import asyncio
import gzip
import importlib
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import numpy as np
import pytest
from inference_world import ACME, Server, bearer, body
from test_inference_protocol import tensors

triton: Any = importlib.import_module("tritonclient.http")
aio: Any = importlib.import_module("tritonclient.http.aio")
InferenceServerException: Any = importlib.import_module("tritonclient.utils").InferenceServerException
INFER = "/v2/models/churn/infer"

REFUSED: dict[str, tuple[Any, ...]] = {
    "get_trace_settings": (),
    "update_trace_settings": ("churn",),
    "get_log_settings": (),
    "update_log_settings": ({},),
    "get_system_shared_memory_status": (),
    "register_system_shared_memory": ("r", "/r", 64),
    "unregister_system_shared_memory": (),
    "get_cuda_shared_memory_status": (),
    "register_cuda_shared_memory": ("r", b"aGk=", 0, 64),
    "unregister_cuda_shared_memory": (),
}


def with_aio(server: Server, calls: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with aio.InferenceServerClient(server.url.removeprefix("http://") + "/tenants/acme") as client:
            await calls(client)

    asyncio.run(main())


@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_is_not_supported_is_refused_with_a_sentence(shared: Server, call: str) -> None:
    async def refused(client: Any) -> None:
        with pytest.raises(InferenceServerException, match="not supported by this server"):
            await getattr(client, call)(*REFUSED[call], headers=bearer(ACME))

    client = triton.InferenceServerClient(shared.url.removeprefix("http://") + "/tenants/acme")
    with pytest.raises(InferenceServerException, match="not supported by this server") as caught:
        getattr(client, call)(*REFUSED[call], headers=bearer(ACME))
    client.close()
    assert caught.value.status() == "501"
    with_aio(shared, refused)


def test_the_aio_client_gets_every_description(shared: Server) -> None:
    async def calls(client: Any) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("churn", "7", headers=bearer(ACME))
        assert not await client.is_model_ready("nothing", headers=bearer(ACME))
        assert "binary_tensor_data" in (await client.get_server_metadata(headers=bearer(ACME)))["extensions"]
        assert (await client.get_model_metadata("churn", headers=bearer(ACME)))["versions"] == ["7"]
        assert (await client.get_model_config("churn", "7", headers=bearer(ACME)))["name"] == "churn"
        assert (await client.get_inference_statistics(headers=bearer(ACME)))["model_stats"]
        assert (await client.get_inference_statistics("churn", headers=bearer(ACME)))["model_stats"][0]["name"] == "churn"
        index = await client.get_model_repository_index(headers=bearer(ACME))
        assert {"name", "version", "state", "reason"} == set(index[0])
        await client.load_model("churn", headers=bearer(ACME))
        await client.unload_model("churn", unload_dependents=True, headers=bearer(ACME))
        with pytest.raises(InferenceServerException, match="signed manifest"):
            await client.load_model("churn", headers=bearer(ACME), config="{}", files={"file:1/model.onnx": b"x"})

    with_aio(shared, calls)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
@pytest.mark.parametrize("wanted", [None, "gzip", "deflate"])
def test_the_aio_client_gets_the_answer_of_the_sync_one(
    shared: Server, binary: bool, sent: str | None, wanted: str | None
) -> None:
    client = triton.InferenceServerClient(shared.url.removeprefix("http://") + "/tenants/acme")

    def given() -> dict[str, Any]:  # the clients write into the headers that they get
        return {"request_compression_algorithm": sent, "response_compression_algorithm": wanted, "headers": bearer(ACME)}

    expected = client.infer("churn", tensors(3, binary=binary), **given()).as_numpy("score")
    client.close()

    async def calls(other: Any) -> None:
        found = await other.infer("churn", tensors(3, binary=binary), request_id="7", **given())
        assert found.as_numpy("score").tolist() == expected.tolist()
        assert found.get_response()["id"] == "7"
        outputs = [aio.InferRequestedOutput("score", binary_data=False), aio.InferRequestedOutput("decision", binary_data=True)]
        mixed = await other.infer("churn", tensors(3, binary=binary), model_version="7", outputs=outputs, **given())
        assert mixed.as_numpy("score").tolist() == expected.tolist()
        assert mixed.as_numpy("decision").dtype == np.bool_

    with_aio(shared, calls)


def test_priority_and_timeout_are_taken_and_sequences_and_classes_refused(shared: Server) -> None:
    client = triton.InferenceServerClient(shared.url.removeprefix("http://") + "/tenants/acme")
    ask = tensors(1, binary=True)
    assert client.infer("churn", ask, priority=1, timeout=30_000_000, headers=bearer(ACME)).as_numpy("score").shape == (1,)
    with pytest.raises(InferenceServerException, match="Sequences"):
        client.infer("churn", ask, sequence_id=5, sequence_start=True, headers=bearer(ACME))
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer("churn", ask, outputs=[triton.InferRequestedOutput("score", class_count=2)], headers=bearer(ACME))
    for wrong in ({"model_version": "99"}, {"outputs": [triton.InferRequestedOutput("nothing")]}):
        with pytest.raises(InferenceServerException, match=r"There is no|outputs are"):
            client.infer("churn", ask, headers=bearer(ACME), **wrong)
    pending = [client.async_infer("churn", ask, headers=bearer(ACME)) for _ in range(5)]
    assert len({one.get_result().get_response()["parameters"]["prediction_id"] for one in pending}) == 5
    client.close()


@pytest.mark.parametrize("kind", [None, "application/octet-stream", "text/plain", "application/json; charset=utf-8", "x"])
def test_the_content_type_is_never_read(shared: Server, kind: str | None) -> None:
    headers = {**bearer(ACME), **({"content-type": kind} if kind else {})}
    answer = httpx.post(f"{shared.url}/tenants/acme{INFER}", content=json.dumps(body()).encode(), headers=headers)
    assert answer.status_code == 200


def test_the_length_of_the_json_part_is_counted_in_the_decompressed_body(acme: httpx.Client) -> None:
    inputs = body()["inputs"]
    del inputs[0]["data"]
    inputs[0]["parameters"] = {"binary_data_size": 4}
    head = json.dumps({"inputs": inputs}).encode()
    packed = gzip.compress(head + np.float32(30.5).tobytes())
    headers = {"content-encoding": "gzip", "inference-header-content-length": str(len(head))}
    answer = acme.post(INFER, content=packed, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == acme.post(INFER, json=body()).json()["outputs"][0]["data"]
    assert "inference-header-content-length" not in answer.headers


@pytest.mark.parametrize(
    ("shape", "data", "words"),
    [
        ([2, 1], [[30.5, 31.5], []], "different lengths"),
        ([2, 1], [[30.5, 31.5]], r"nested as \[1, 2\]"),
        ([2, 1], [[[30.5]], [[31.5]]], r"nested as \[2, 1, 1\]"),
        ([2, 1], [30.5, [31.5]], "side by side"),
    ],
)
def test_data_that_is_nested_in_another_way_than_its_shape_is_not_cut_anew(
    acme: httpx.Client, shape: list[int], data: Any, words: str
) -> None:
    request = body(2)
    request["inputs"][0] |= {"shape": shape, "data": data}
    answer = acme.post(INFER, json=request)
    assert answer.status_code == 400
    assert re.search(words, answer.json()["error"])


def test_nested_data_and_nulls_are_those_of_flat_data(acme: httpx.Client) -> None:
    nested = body(2)
    for one in nested["inputs"]:
        one["data"] = [[value] for value in one["data"]]
    flat, deep = acme.post(INFER, json=body(2)), acme.post(INFER, json=nested)
    assert deep.json()["outputs"][0]["data"] == flat.json()["outputs"][0]["data"]


@pytest.mark.parametrize("wanted", [{}, {"ready": True}, None])
def test_the_index_needs_no_body_and_takes_one(acme: httpx.Client, wanted: dict[str, bool] | None) -> None:
    answer = acme.post("/v2/repository/index", json=wanted) if wanted is not None else acme.post("/v2/repository/index")
    assert {one["name"] for one in answer.json()} == {"churn", "split"}


# what the mlflow package's own clients send: `mlflow.pyfunc.scoring_server.client` and `mlflow deployments predict`

ROW = {"age": 30.5, "spend": 10.0, "plan": "basic"}
SENT = {
    "dataframe_split, with the index": {"dataframe_split": {"index": [0], "columns": list(ROW), "data": [list(ROW.values())]}},
    "dataframe_split, columns in another order": {
        "dataframe_split": {"columns": ["plan", "age", "spend"], "data": [["basic", 30.5, 10.0]]}
    },
    "dataframe_records": {"dataframe_records": [ROW]},
    "instances": {"instances": [ROW]},
    "instances of rows": {"instances": [{name: [value] for name, value in ROW.items()}]},
    "inputs by name": {"inputs": {name: [value] for name, value in ROW.items()}},
    "inputs by name, as columns": {"inputs": {name: [[value]] for name, value in ROW.items()}},
    "with params": {"dataframe_records": [ROW], "params": {}},
}


@pytest.mark.parametrize("shape", SENT)
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_what_mlflows_clients_send_is_answered_alike(shared: Server, acme: httpx.Client, shape: str, kind: str) -> None:
    url = f"{shared.url}/tenants/acme/deployments/churn/invocations"
    answer = httpx.post(url, content=json.dumps(SENT[shape]).encode(), headers={**bearer(ACME), "content-type": kind})
    assert answer.status_code == 200, answer.text
    first = httpx.post(url, json=SENT["dataframe_records"], headers=bearer(ACME))
    assert answer.json()["predictions"] == first.json()["predictions"]
    assert set(answer.json()) >= {"predictions"}
