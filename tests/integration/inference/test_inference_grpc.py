"""gRPC as an unmodified client speaks it, and what such a client cannot send."""

import importlib
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from inference_world import ACME, GLOBEX, KEYS, Server, World, body, metric, tabular, text
from test_inference_manifest import until
from test_inference_protocol import tensors as http_tensors

from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey
from custody.core.tenancy import TenantId

grpc: Any = importlib.import_module("grpc")
triton: Any = importlib.import_module("tritonclient.grpc")
http: Any = importlib.import_module("tritonclient.http")
pb: Any = importlib.import_module("tritonclient.grpc.service_pb2")
stubs: Any = importlib.import_module("tritonclient.grpc.service_pb2_grpc")
InferenceServerException: Any = importlib.import_module("tritonclient.utils").InferenceServerException


IN_MEMORY = {
    "shared_memory_region": pb.InferParameter(string_param="region"),
    "shared_memory_byte_size": pb.InferParameter(int64_param=4),
}


def key_of(tenant: TenantId | None) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[tenant]}"}


@pytest.fixture
def client(shared: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(shared.grpc) as client:
        yield client


@pytest.fixture
def stub(shared: Server) -> Iterator[Any]:
    with grpc.insecure_channel(shared.grpc) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def tensors(n: int) -> list[Any]:
    columns = {
        "age": (np.full((n, 1), 30.5, np.float32), "FP32"),
        "spend": (np.full(n, 10, np.float32), "FP32"),
        "plan": (np.array([["É"]] * n, object), "BYTES"),
    }
    found = []
    for name, (values, kind) in columns.items():
        tensor = triton.InferInput(name, list(values.shape), kind)
        tensor.set_data_from_numpy(values)
        found.append(tensor)
    return found


def test_health_and_metadata_are_what_the_client_expects(client: Any) -> None:
    acme = key_of(ACME)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn", headers=acme)
    assert client.is_model_ready("churn", "7", headers=acme)
    assert not client.is_model_ready("churn", "8", headers=acme)
    assert not client.is_model_ready("nothing", headers=acme)
    server = client.get_server_metadata(headers=acme)
    assert server.name == "custody"
    assert "model_repository" in server.extensions
    model = client.get_model_metadata("churn", headers=acme, as_json=True)
    assert (model["name"], model["versions"], model["platform"]) == ("churn", ["7"], "onnxruntime_onnx")
    assert {"name": "age", "datatype": "FP32", "shape": ["-1", "1"]} in model["inputs"]
    config = client.get_model_config("churn", headers=acme).config
    assert (config.name, config.max_batch_size) == ("churn", 0)
    assert {one.name: list(one.dims) for one in config.input} == {"age": [-1, 1], "spend": [-1, 1], "plan": [-1, 1]}
    assert triton.model_config_pb2.DataType.Name(config.input[2].data_type) == "TYPE_STRING"
    stats = client.get_inference_statistics(headers=acme).model_stats
    assert {one.name for one in stats} == {"churn", "split"}
    assert client.get_inference_statistics("churn", "7", headers=acme).model_stats[0].name == "churn"
    index = client.get_model_repository_index(headers=acme).models
    assert ("churn", "7", "READY") in [(one.name, one.version, one.state) for one in index]


def test_statistics_count_calls_of_both_protocols(client: Any, shared: Server) -> None:
    def count() -> int:
        (found,) = client.get_inference_statistics("churn", headers=key_of(ACME)).model_stats
        return int(found.inference_stats.success.count)

    before = count()
    client.infer("churn", tensors(1), headers=key_of(ACME))
    with shared.client() as other:
        other.post("/v2/models/churn/infer", json=body())
    assert count() == before + 2


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_an_answer_is_that_of_http(client: Any, shared: Server, compression: str | None) -> None:
    names = ["decision", "score", "label", "probabilities"]
    outputs = [triton.InferRequestedOutput(name) for name in names]
    result = client.infer(
        "churn", tensors(3), outputs=outputs, request_id="order-1", headers=key_of(ACME), compression_algorithm=compression
    )
    answer = result.get_response()
    assert (answer.model_name, answer.model_version, answer.id) == ("churn", "7", "order-1")
    assert [one.name for one in answer.outputs] == names
    assert len(answer.raw_output_contents) == 4
    other = http.InferenceServerClient(shared.url.removeprefix("http://") + "/tenants/acme")
    same = other.infer("churn", http_tensors(3, binary=True), headers=key_of(ACME))
    other.close()
    assert result.as_numpy("score").tolist() == same.as_numpy("score").tolist()
    assert result.as_numpy("decision").tolist() == same.as_numpy("decision").tolist()
    assert np.allclose(result.as_numpy("probabilities")[:, 1], result.as_numpy("score"))
    parameters = answer.parameters
    assert (parameters["model"].string_param, parameters["revision"].int64_param) == ("churn@7", 3)
    assert parameters["threshold"].double_param == 0.5
    assert PredictionId.parse(parameters["prediction_id"].string_param).revision == 3


def test_without_asked_outputs_score_and_decision_come(client: Any) -> None:
    answer = client.infer("churn", tensors(1), headers=key_of(ACME))
    assert [one.name for one in answer.get_response().outputs] == ["score", "decision"]
    assert answer.as_numpy("score").dtype == np.float64


def test_a_version_can_be_asked_for(client: Any) -> None:
    for version in ("7", "8"):
        assert (
            client.infer("split", tensors(1), model_version=version, headers=key_of(ACME)).get_response().model_version == version
        )
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.infer("split", tensors(1), model_version="9", headers=key_of(ACME))


def test_asynchronous_calls_answer_too(client: Any) -> None:
    found: list[Any] = []
    done = threading.Event()

    def keep(result: Any, error: Any) -> None:
        found.append(error or result.as_numpy("score").shape)
        done.set()

    client.async_infer("churn", tensors(2), keep, headers=key_of(ACME))
    assert done.wait(20)
    assert found == [(2,)]


def test_keys_tenants_and_environments_come_as_metadata(client: Any) -> None:
    def model(headers: dict[str, str], name: str = "churn") -> str:
        try:
            answer = client.infer(name, tensors(1), headers=headers).get_response()
        except InferenceServerException as error:
            return str(error.status())
        return str(answer.parameters["deployment"].string_param)

    assert model({}) == "StatusCode.UNAUTHENTICATED"
    assert model({"authorization": "Bearer wrong"}) == "StatusCode.UNAUTHENTICATED"
    assert model({"x-custody-key": KEYS[ACME]}) == "acme/prod/churn"
    assert model(key_of(GLOBEX)) == "globex/prod/churn"  # a tenant's key needs no more
    assert model(key_of(None)) == "default/prod/churn"
    assert model({**key_of(None), "x-custody-tenant": "acme"}) == "acme/prod/churn"
    assert model({**key_of(GLOBEX), "x-custody-tenant": "acme"}) == "StatusCode.NOT_FOUND"
    assert model({**key_of(ACME), "x-custody-environment": "staging"}) == "StatusCode.NOT_FOUND"
    assert model(key_of(ACME), "churn/infer") == "StatusCode.NOT_FOUND"
    texts = triton.InferInput("text", [1, 1], "BYTES")
    texts.set_data_from_numpy(np.array([["awful"]], object))
    staging = {**key_of(ACME), "x-custody-environment": "staging"}
    assert client.infer("toxicity", [texts], headers=staging).as_numpy("decision").tolist() == [True]


def test_a_model_is_loaded_and_unloaded_but_not_changed(client: Any) -> None:
    client.unload_model("churn", unload_dependents=True, headers=key_of(ACME))
    client.load_model("churn", headers=key_of(ACME))
    for more in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
        with pytest.raises(InferenceServerException, match="signed manifest"):
            client.load_model("churn", headers=key_of(ACME), **more)
    for call in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="There is no"):
            call("nothing", headers=key_of(ACME))


def test_what_is_not_supported_says_so(client: Any) -> None:
    calls = (
        client.get_log_settings,
        client.get_trace_settings,
        client.get_system_shared_memory_status,
        client.get_cuda_shared_memory_status,
    )
    for call in calls:
        with pytest.raises(InferenceServerException, match="not supported") as caught:
            call(headers=key_of(ACME))
        assert caught.value.status() == "StatusCode.UNIMPLEMENTED"
    said: list[Any] = []
    ended = threading.Event()

    def keep(result: Any, error: Any) -> None:
        said.append(error or result)
        ended.set()

    client.start_stream(keep, headers=key_of(ACME))
    assert ended.wait(20)
    client.stop_stream(cancel_requests=True)
    assert "ModelStreamInfer" in str(said[0])


def typed(**changes: Any) -> Any:
    contents: dict[str, Any] = {
        "age": {"fp32_contents": [30.5]},
        "spend": {"fp32_contents": [10.0]},
        "plan": {"bytes_contents": [b"basic"]},
    }
    kinds = {"age": "FP32", "spend": "FP32", "plan": "BYTES"}
    inputs = [
        pb.ModelInferRequest.InferInputTensor(
            name=name, datatype=kinds[name], shape=[1, 1], contents=pb.InferTensorContents(**values)
        )
        for name, values in contents.items()
    ]
    return pb.ModelInferRequest(model_name="churn", inputs=inputs, **changes)


def infer(stub: Any, request: Any, **more: Any) -> Any:
    return stub.ModelInfer(request, metadata=tuple(key_of(ACME).items()), timeout=20, **more)


def test_typed_contents_are_answered_as_raw_ones(stub: Any, shared: Server) -> None:
    answer = infer(stub, typed())
    with shared.client() as client:
        same = client.post("/v2/models/churn/infer", json=body()).json()
    assert np.frombuffer(answer.raw_output_contents[0]).tolist() == same["outputs"][0]["data"]


def refused(stub: Any, request: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        infer(stub, request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, caught.value.details()
    return str(caught.value.details())


def test_a_mix_of_raw_and_typed_contents_is_refused(stub: Any) -> None:
    assert "raw_input_contents and typed" in refused(stub, typed(raw_input_contents=[bytes(4)] * 3))
    request = typed(raw_input_contents=[bytes(4)] * 2)
    for one in request.inputs:
        one.ClearField("contents")
    assert "3 inputs and 2 raw_input_contents" in refused(stub, request)


def edited(**changes: Any) -> Any:
    request = typed()
    for name, value in changes.items():
        if name == "shape":
            request.inputs[0].ClearField("shape")
            request.inputs[0].shape.extend(value)
        elif name == "parameters":
            for key, parameter in value.items():
                request.inputs[0].parameters[key].CopyFrom(parameter)
        elif name == "contents":
            request.inputs[0].contents.CopyFrom(pb.InferTensorContents(**value))
        else:
            setattr(request.inputs[0], name, value)
    return request


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (edited(name="ega"), "'ega' is unknown"),
        (edited(datatype="FP64"), "fp32_contents"),
        (edited(datatype="FP16"), "typed contents cannot hold"),
        (edited(datatype="FP8"), "not supported"),
        (edited(shape=[2, 1]), "holds 2 values, fp32_contents has 1"),
        (edited(shape=[-1, 1]), "impossible shape"),
        (edited(shape=[2**40, 2**40]), "values, fp32_contents has 1"),
        (edited(contents={"fp32_contents": [float("inf")]}), "infinite"),
        (edited(contents={"fp32_contents": [float("nan")]}), "no number for row 0"),
        (edited(contents={"fp32_contents": [1.0], "int_contents": [1]}), "int_contents"),
        (edited(contents={}), "fp32_contents has 0"),
        (edited(datatype="BYTES", contents={"bytes_contents": [b"\xff"]}), "not UTF-8"),
        (pb.ModelInferRequest(model_name="churn"), "'plan'"),
        (typed(parameters={"sequence_id": pb.InferParameter(int64_param=3)}), "Sequences"),
        (typed(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="nothing")]), "outputs are: score, decision"),
        (
            typed(
                outputs=[
                    pb.ModelInferRequest.InferRequestedOutputTensor(
                        name="score", parameters={"classification": pb.InferParameter(int64_param=2)}
                    )
                ]
            ),
            "classification",
        ),
        (typed(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="score", parameters=IN_MEMORY)]), "shared memory"),
        (edited(parameters=IN_MEMORY, contents={}), "Input 'age': shared memory"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(stub: Any, request_: Any, words: str) -> None:
    assert words in refused(stub, request_)
    assert infer(stub, typed()).model_version == "7"


def test_raw_contents_of_a_wrong_size_are_refused(stub: Any) -> None:
    for part in (b"", bytes(3), bytes(8)):
        request = typed(raw_input_contents=[part, bytes(4), b"\x01\x00\x00\x00x"])
        for one in request.inputs:
            one.ClearField("contents")
        assert "take 4 bytes" in refused(stub, request)


def test_a_request_that_is_too_large_is_refused_also_when_it_is_compressed(stub: Any) -> None:
    request = typed(raw_input_contents=[bytes(200 * 1024 * 1024)])
    for compression in (None, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as caught:
            infer(stub, request, compression=compression)
        assert caught.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
    assert infer(stub, typed()).model_version == "7"


def test_a_deadline_that_cannot_be_kept_is_an_error_and_not_a_late_answer(stub: Any, client: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        infer(stub, typed(parameters={"timeout": pb.InferParameter(int64_param=1)}))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert client.infer("churn", tensors(1), headers=key_of(ACME), timeout=30_000_000)


def test_answers_are_captured_like_any_other_and_failures_counted(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server("--grpc-port", "0") as server, triton.InferenceServerClient(server.grpc) as client:
        answers = [client.infer("churn", tensors(2), request_id=f"r{i}", headers=key_of(ACME)) for i in range(20)]
        ids = {one.get_response().parameters["prediction_id"].string_param for one in answers}
        with pytest.raises(InferenceServerException):
            client.infer("churn", tensors(1)[:1], headers=key_of(ACME))
        labels = 'tenant="acme",environment="prod",deployment="churn"'
        assert metric(server, f'custody_requests_total{{{labels},status="200"}}') == 20
        assert metric(server, f'custody_requests_total{{{labels},status="400"}}') == 1
        server.stop()
    captured = {str(one.id): one for one in world.captures()}
    assert captured.keys() == ids
    assert {one.keys for one in captured.values()} == {(f"r{i}#0", f"r{i}#1") for i in range(20)}


def test_a_server_without_a_manifest_is_live_and_not_ready(world: World) -> None:
    with world.server("--grpc-port", "0") as server, triton.InferenceServerClient(server.grpc) as client:
        assert client.is_server_live()
        assert not client.is_server_ready()
        assert not client.is_model_ready("churn", headers=key_of(ACME))
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            client.infer("churn", tensors(1), headers=key_of(ACME))
        world.publish(
            [
                world.service(world.target(tabular(1))),
                world.service(world.target(text()), key=DeploymentKey(ACME, "prod", "other")),
            ]
        )
        until(client.is_server_ready)
        assert client.infer("churn", tensors(1), headers=key_of(ACME))


def test_a_model_that_is_not_loaded_says_so(world: World) -> None:
    target = world.target(tabular(1))
    (world.folder / "objects/objects" / target.artifact[:2] / target.artifact[2:]).unlink()
    world.publish([world.service(target)])
    with world.server("--grpc-port", "0") as server, triton.InferenceServerClient(server.grpc) as client:
        until(lambda: metric(server, "custody_manifest_sequence") == 1)
        with pytest.raises(InferenceServerException, match=r"UNAVAILABLE.*not loaded"):
            client.infer("churn", tensors(1), headers=key_of(ACME))
        assert not client.is_model_ready("churn", headers=key_of(ACME))
        assert [one.state for one in client.get_model_repository_index(headers=key_of(ACME)).models] == ["UNAVAILABLE"]
        with grpc.insecure_channel(server.grpc) as channel:
            index, ready = stubs.GRPCInferenceServiceStub(channel).RepositoryIndex, pb.RepositoryIndexRequest(ready=True)
            assert not index(ready, metadata=tuple(key_of(ACME).items()), timeout=20).models
        with server.client() as acme:
            states = {
                content: [one["state"] for one in acme.post("/v2/repository/index", content=content).json()]
                for content in (b"", b"{}", b'{"ready": false}', b'{"ready": true}')
            }
            assert states.pop(b'{"ready": true}') == []
            assert {tuple(one) for one in states.values()} == {("UNAVAILABLE",)}
            for wrong in (b'{"ready": 1}', b"[]", b"{"):
                assert acme.post("/v2/repository/index", content=wrong).status_code == 400


@contextmanager
def silent(address: str, tenant: TenantId | None = None, *, calls: int) -> Iterator[list[Any]]:
    """Infer calls whose message does not come; without a tenant they have no key."""
    end = threading.Event()

    def never() -> Iterator[bytes]:
        end.wait(60)
        yield from ()

    metadata = tuple(key_of(tenant).items()) if tenant else ()
    with grpc.insecure_channel(address) as channel:
        begin = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        pending = [begin.future(never(), metadata=metadata, timeout=60) for _ in range(calls)]
        try:
            yield pending
        finally:
            for call in pending:
                call.cancel()
            end.set()


def of_both(world: World) -> None:
    target = world.target(tabular(1), 7)
    world.publish([world.service(target), world.service(target, key=DeploymentKey(GLOBEX, "prod", "churn"))])


def outcome(client: Any, tenant: TenantId) -> str:
    try:
        client.infer("churn", tensors(1), headers=key_of(tenant), client_timeout=60)
    except InferenceServerException as error:
        return str(error)
    return "answered"


def lines_of(world: World, n: int) -> list[dict[str, Any]]:
    """Return the lines of the access log, when there are n."""
    until(lambda: (world.folder / "log").read_bytes().count(b"\n") >= n)
    return [orjson.loads(line) for line in (world.folder / "log").read_bytes().splitlines()]


def test_callers_without_a_key_are_refused_before_their_message_and_hold_nobody_up(world: World) -> None:
    of_both(world)
    with world.server("--grpc-port", "0") as server, silent(server.grpc, calls=150) as pending:
        with triton.InferenceServerClient(server.grpc) as client:
            assert client.is_server_live()
            assert outcome(client, ACME) == "answered"
        assert {one.exception(60).code() for one in pending} == {grpc.StatusCode.UNAUTHENTICATED}
        assert metric(server, 'custody_requests_total{tenant="",environment="",deployment="",status="401"}') == 150


def test_a_message_that_does_not_come_ends_its_call_like_a_body_that_does_not(world: World) -> None:
    of_both(world)
    change = "from functools import partial; import custody.bootstrap.inference as it; it.Limits = partial(it.Limits, body_seconds=0.1)"
    options = ("--grpc-port", "0", "--access-log", str(world.folder / "log"))
    with world.changed(change, *options) as server, silent(server.grpc, ACME, calls=3) as pending:
        assert {one.exception(60).code() for one in pending} == {grpc.StatusCode.CANCELLED}
        assert [(one["status"], one["tenant"]) for one in lines_of(world, 3)] == [(408, ACME)] * 3


def test_a_tenant_that_holds_its_calls_back_is_told_so_and_the_other_is_answered(world: World) -> None:
    of_both(world)
    options = ("--grpc-port", "0", "--tenant-requests", "3", "--access-log", str(world.folder / "log"))
    with world.server(*options) as server, triton.InferenceServerClient(server.grpc) as client:
        with silent(server.grpc, ACME, calls=4) as pending:
            until(lambda: any(one.done() for one in pending))  # one is too many, so that three are held now
            assert "RESOURCE_EXHAUSTED] 3 calls of this tenant are not answered yet" in outcome(client, ACME)
            assert outcome(client, GLOBEX) == "answered"
        until(lambda: outcome(client, ACME) == "answered")
        until(lambda: Counter(one["status"] for one in lines_of(world, 1))[400] == 3)
        assert {one["tenant"] for one in lines_of(world, 1) if one["status"] == 429} == {ACME}


def test_tenants_that_hold_all_calls_back_leave_threads_for_health(world: World) -> None:
    of_both(world)
    change = "from custody.inference.oip import door; door._OF_ALL = 2"
    with world.changed(change, "--grpc-port", "0") as server, triton.InferenceServerClient(server.grpc) as client:
        with silent(server.grpc, ACME, calls=3) as pending:
            until(lambda: any(one.done() for one in pending))
            assert "UNAVAILABLE] The server has more calls than it can answer now" in outcome(client, GLOBEX)
            assert not client.is_model_ready("churn", headers=key_of(GLOBEX))
            assert client.is_server_live()
        until(lambda: outcome(client, GLOBEX) == "answered")


def test_every_call_is_counted_and_told_whatever_becomes_of_it(world: World) -> None:
    of_both(world)
    acme = tuple(key_of(ACME).items())
    named, model = pb.ModelMetadataRequest(name="churn"), ("ModelInfer", "acme", "churn")
    place = ("ModelInfer", "acme", None)
    calls = [
        ("ServerLive", None, (), "", ("ServerLive", None, None, 200)),
        ("ModelMetadata", named, acme, "", ("ModelMetadata", "acme", "churn", 200)),
        ("RepositoryIndex", None, acme, "", ("RepositoryIndex", "acme", None, 200)),
        ("ModelInfer", typed(), acme, "", (*model, 200)),
        ("ModelMetadata", named, (), "UNAUTHENTICATED", ("ModelMetadata", None, None, 401)),
        ("ModelInfer", typed(model_version="9"), acme, "NOT_FOUND", (*place, 404)),
        ("ModelInfer", b"\xff\xff", acme, "INVALID_ARGUMENT: The message is not a ModelInferRequest", (*place, 400)),
        ("ModelInfer", pb.ModelInferRequest(model_name="churn"), acme, "INVALID_ARGUMENT", (*model, 400)),
        ("AnyWord", None, (), "UNIMPLEMENTED", ("unsupported", None, None, 501)),
    ]
    with (
        world.server("--grpc-port", "0", "--access-log", str(world.folder / "log")) as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):

        def said(name: str, messages: list[Any], metadata: Any) -> str:
            try:  # as a stream, which is the same on the wire, since it may be empty
                call = channel.stream_unary(f"/inference.GRPCInferenceService/{name}")
                call(
                    (one if isinstance(one, bytes) else one.SerializeToString() for one in messages),
                    metadata=metadata,
                    timeout=60,
                )
            except grpc.RpcError as error:
                return f"{error.code().name}: {error.details()}"
            return ""

        for name, message, metadata, words, _ in calls:
            found = said(name, [message if message is not None else b""], metadata)
            assert found.startswith(words), found
            assert bool(found) == bool(words)
        assert said("ModelInfer", [], acme) == "INVALID_ARGUMENT: The call has no message."
        lines = lines_of(world, len(calls) + 1)
        labels = 'custody_requests_total{tenant="acme",environment="prod",deployment="churn"'
        assert (metric(server, f'{labels},status="200"}}'), metric(server, f'{labels},status="400"}}')) == (1, 1)
    told = [(line["method"], line["tenant"], line["deployment"], line["status"]) for line in lines]
    assert told == [*(one for *_, one in calls), (*place, 400)]
    assert [line["status"] for line in lines if line["model"] == "churn@7"] == [200, 400]  # those that came to a version


def test_a_port_that_is_taken_is_an_error_that_says_so(world: World, shared: Server) -> None:
    port = shared.grpc.rpartition(":")[2]
    with pytest.raises(AssertionError, match="cannot listen"), world.server("--grpc-port", port):
        pass


def test_without_the_extra_the_error_says_how_to_install_it(world: World) -> None:
    program = f"""
import sys
sys.modules["grpc"] = None
from custody.bootstrap import inference
sys.argv = ["x", "--objects", "file:{world.folder}", "--public-key", "{world.public_key.hex()}", "--state-dir", "{world.folder}/s", "--grpc-port", "0"]
inference.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "pip install 'custody-ml[grpc]'" in done.stderr


def test_the_http_side_goes_on_while_grpc_is_used(client: Any, acme: httpx.Client) -> None:
    errors: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(30):
                client.infer("churn", tensors(1), headers=key_of(ACME))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert {acme.post("/v2/models/churn/infer", json=body()).status_code for _ in range(50)} == {200}
    for thread in threads:
        thread.join()
    assert errors == []
