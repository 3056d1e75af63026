"""The Open Inference Protocol as the asynchronous client speaks it: other headers, and no compression but in answers to infer."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from inference_world import ACME, Server, bearer

triton: Any = importlib.import_module("tritonclient.http.aio")
InferenceServerException = importlib.import_module("tritonclient.utils").InferenceServerException


def key() -> dict[str, Any]:
    """Return new headers: the client adds to the ones it is given, and would send them again with the next call."""
    return {"headers": bearer(ACME)}


def calling(server: Server, work: Callable[[Any], Awaitable[None]]) -> None:
    async def run() -> None:
        async with triton.InferenceServerClient(server.url.removeprefix("http://") + "/tenants/acme") as client:
            await work(client)

    asyncio.run(run())


def tensors(n: int, *, binary: bool) -> list[Any]:
    columns: dict[str, tuple[str, Any]] = {
        "age": ("FP32", np.linspace(20, 70, n, dtype=np.float32).reshape(-1, 1)),
        "spend": ("FP32", np.full((n, 1), 10, np.float32)),
        "plan": ("BYTES", np.array([["basic"]] * n, object)),
    }
    found = []
    for name, (kind, values) in columns.items():
        tensor = triton.InferInput(name, list(values.shape), kind)
        tensor.set_data_from_numpy(values, binary_data=binary)
        found.append(tensor)
    return found


def test_every_question_about_the_server_and_its_models_is_answered(shared: Server) -> None:
    async def work(client: Any) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("churn", **key())
        assert not await client.is_model_ready("churn", "8", **key())
        assert (await client.get_server_metadata(**key()))["name"] == "custody"
        assert (await client.get_model_metadata("churn", "7", **key()))["versions"] == ["7"]
        assert (await client.get_model_config("churn", **key()))["platform"] == "onnxruntime_onnx"
        assert {one["name"] for one in (await client.get_inference_statistics(**key()))["model_stats"]} == {"churn", "split"}
        assert {"churn", "split"} == {one["name"] for one in await client.get_model_repository_index(**key())}

    calling(shared, work)


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_json_binary_and_compression_give_the_same_answer(
    shared: Server, binary_in: bool, binary_out: bool, compression: str | None
) -> None:
    async def work(client: Any) -> None:
        async def scores(*, binary_in: bool, binary_out: bool, **more: Any) -> Any:
            outputs = [triton.InferRequestedOutput("score", binary_data=binary_out)]
            answer = await client.infer(
                "churn", tensors(5, binary=binary_in), outputs=outputs, request_id="mine", **more, **key()
            )
            assert answer.get_response()["id"] == "mine"
            return answer.as_numpy("score")

        plain = await scores(binary_in=False, binary_out=False)
        other = await scores(
            binary_in=binary_in,
            binary_out=binary_out,
            request_compression_algorithm=compression,
            response_compression_algorithm=compression,
        )
        assert plain.shape == (5,)
        assert np.array_equal(plain, other)

    calling(shared, work)


def test_refusals_reach_the_caller_in_words(shared: Server) -> None:
    async def work(client: Any) -> None:
        refused: tuple[tuple[Callable[[], Awaitable[Any]], str], ...] = (
            (lambda: client.load_model("churn", config="{}", **key()), "signed manifest"),
            (lambda: client.get_trace_settings("churn", **key()), "not supported"),
            (lambda: client.get_trace_settings(**key()), "not supported"),
            (lambda: client.get_log_settings(**key()), "not supported"),
            (lambda: client.get_cuda_shared_memory_status(**key()), "not supported"),
            (lambda: client.get_system_shared_memory_status("mine", **key()), "not supported"),
            (lambda: client.infer("churn", tensors(2, binary=True)[:2], **key()), "'plan'"),
            (lambda: client.infer("churn", tensors(2, binary=True), sequence_id=5, **key()), "[Ss]equence"),
            (lambda: client.get_model_metadata("nothing", **key()), "nothing"),
        )
        for call, words in refused:
            with pytest.raises(InferenceServerException, match=words):
                await call()

    calling(shared, work)
