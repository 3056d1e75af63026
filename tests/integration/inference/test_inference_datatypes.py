"""Every number type of the protocol, through a real model and the real clients: shorter floats, and whole numbers of every width."""

import importlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ml_dtypes
import numpy as np
import pytest
from inference_world import ACME, Model, Server, World, bearer

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.manifest import ParityFixture
from custody.core.refs import DeploymentKey
from custody.core.schema import DATATYPES, Signature, Tensor

onnx: Any = importlib.import_module("onnx")
http: Any = importlib.import_module("tritonclient.http")
grpc: Any = importlib.import_module("tritonclient.grpc")
InferenceServerException: Any = importlib.import_module("tritonclient.utils").InferenceServerException

NUMBERS = [name for name in DATATYPES if name not in {"BYTES", "BOOL"}]
NUMPY = {name: np.dtype(name.lower()) for name in NUMBERS if "INT" in name}
NUMPY |= {"FP16": np.dtype("f2"), "FP32": np.dtype("f4"), "FP64": np.dtype("f8"), "BF16": np.dtype(ml_dtypes.bfloat16)}
ONNX = {"FP16": "FLOAT16", "BF16": "BFLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE"}
ROWS = [[0, 1, 2, 3], [1, 1, 1, 1], [0, 0, 1, 0]]
SCORES = [float(1 / (1 + np.exp(-np.mean(row)))) for row in ROWS]


def mean_of(datatype: str) -> Model:
    """A model of four numbers of one type whose score is the sigmoid of their mean; it gives the mean in the same type."""
    helper, kinds = onnx.helper, onnx.TensorProto
    kind = getattr(kinds, ONNX.get(datatype, datatype))
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["wide"], ["middle"], axes=[1], keepdims=0),
        helper.make_node("Sigmoid", ["middle"], ["p"]),
        helper.make_node("Cast", ["p"], ["probability"], to=kind if datatype in ONNX else kinds.FLOAT),
        helper.make_node("Cast", ["middle"], ["mean"], to=kind),
    ]
    score = datatype if datatype in ONNX else "FP32"
    outputs = [("probability", getattr(kinds, ONNX[score])), ("mean", kind)]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", kind, [None, 4])],
        [helper.make_tensor_value_info(name, one, [None]) for name, one in outputs],
    )
    body = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9).SerializeToString()
    signature = Signature(
        (Tensor("x", datatype, (-1, 4)),),
        (Tensor("probability", score, (-1,)), Tensor("mean", datatype, (-1,))),
        "probability",
        ("no", "yes"),
    )
    return Model(body, signature, ParityFixture({"x": [value for row in ROWS for value in row]}, SCORES, 0.01))


def name_of(datatype: str) -> str:
    return f"mean-{datatype.lower()}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    world = World(tmp_path_factory.mktemp("datatypes"))
    world.publish([world.service(world.target(mean_of(one)), key=DeploymentKey(ACME, "prod", name_of(one))) for one in NUMBERS])
    with world.server("--grpc-port", "0") as server:
        yield server


def asked(module: Any, datatype: str, rows: Any = ROWS, **more: Any) -> list[Any]:
    values = np.array(rows, dtype=NUMPY[datatype])
    tensor = module.InferInput("x", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, **more)
    return [tensor]


def floats(values: Any) -> list[float]:
    return [float(value) for value in values.reshape(-1)]


@pytest.mark.parametrize(
    ("datatype", "binary"), [(one, way) for one in NUMBERS for way in (False, True) if (one, way) != ("BF16", False)]
)
def test_a_number_type_goes_in_and_out_over_http(server: Server, datatype: str, binary: bool) -> None:
    client = http.InferenceServerClient(server.url.removeprefix("http://") + "/tenants/acme")
    outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in ("score", "mean")]
    answer = client.infer(name_of(datatype), asked(http, datatype, binary_data=binary), outputs=outputs, headers=bearer(ACME))
    described = client.get_model_metadata(name_of(datatype), headers=bearer(ACME))
    config = client.get_model_config(name_of(datatype), headers=bearer(ACME))
    client.close()
    assert answer.get_output("mean")["datatype"] == datatype
    assert answer.as_numpy("mean").dtype == NUMPY[datatype]
    assert floats(answer.as_numpy("mean")) == floats(np.array([1.5, 1, 0.25]).astype(NUMPY[datatype]))
    assert answer.as_numpy("score").tolist() == pytest.approx(SCORES, abs=0.01)
    assert described["inputs"] == [{"name": "x", "datatype": datatype, "shape": [-1, 4]}]
    assert config["input"][0]["data_type"] == f"TYPE_{datatype}"


@pytest.mark.parametrize("datatype", NUMBERS)
def test_a_number_type_goes_in_and_out_over_grpc(server: Server, datatype: str) -> None:
    with grpc.InferenceServerClient(server.grpc) as client:
        outputs = [grpc.InferRequestedOutput(name) for name in ("score", "mean")]
        answer = client.infer(name_of(datatype), asked(grpc, datatype), outputs=outputs, headers=bearer(ACME))
        config = client.get_model_config(name_of(datatype), headers=bearer(ACME)).config
        assert grpc.model_config_pb2.DataType.Name(config.input[0].data_type) == f"TYPE_{datatype}"
    assert floats(answer.as_numpy("mean")) == floats(np.array([1.5, 1, 0.25]).astype(NUMPY[datatype]))
    assert answer.as_numpy("score").tolist() == pytest.approx(SCORES, abs=0.01)


def said(server: Server, datatype: str, data: list[Any], binary: bytes = b"") -> tuple[int, str]:
    shape = [1, 4] if binary else [len(data) // 4, 4]
    tensor: dict[str, Any] = {"name": "x", "datatype": datatype, "shape": shape}
    tensor |= {"parameters": {"binary_data_size": len(binary)}} if binary else {"data": data}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {**bearer(ACME), **({"inference-header-content-length": str(len(head))} if binary else {})}
    answer = httpx.post(f"{server.url}/tenants/acme/v2/models/{name_of(datatype)}/infer", content=head + binary, headers=headers)
    return answer.status_code, answer.json().get("error", "")


@pytest.mark.parametrize(
    ("datatype", "data", "words"),
    [
        ("BF16", [1.0] * 4, "BF16, which JSON cannot hold"),
        ("FP16", [70000.0] * 4, "does not fit FP16"),
        ("FP16", [1.0] * 3 + [None], "no number for row 0"),
        ("INT8", [128] * 4, "does not fit INT8"),
        ("UINT8", [-1] * 4, "does not fit UINT8"),
        ("UINT64", [2**64] * 4, "UINT64"),
        ("INT16", [1.5] * 4, "got float at position 0"),
        ("UINT32", [True] * 4, "got bool at position 0"),
    ],
)
def test_a_number_that_its_type_cannot_hold_is_refused(server: Server, datatype: str, data: list[Any], words: str) -> None:
    status, sentence = said(server, datatype, data)
    assert (status, words in sentence) == (400, True), sentence


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_infinity_in_bytes_is_refused_and_a_missing_number_reaches_the_model(server: Server, datatype: str) -> None:
    def packed(value: float) -> bytes:
        return np.array([1, 1, 1, value], NUMPY[datatype]).tobytes()

    assert said(server, datatype, [], packed(1))[0] == 200
    assert "infinite" in said(server, datatype, [], packed(np.inf))[1]
    assert "no number for row 0" in said(server, datatype, [], packed(np.nan))[1]
    assert "take" in said(server, datatype, [], packed(1)[:-1])[1]


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_shorter_floats_are_refused_as_typed_contents(server: Server, datatype: str) -> None:
    pb: Any = importlib.import_module("tritonclient.grpc.service_pb2")
    contents = pb.InferTensorContents(fp32_contents=[1.0] * 4)
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=[1, 4], contents=contents)
    request = pb.ModelInferRequest(model_name=name_of(datatype), inputs=[tensor])
    with grpc.InferenceServerClient(server.grpc) as client, pytest.raises(Exception, match="raw_input_contents"):
        client._client_stub.ModelInfer(request, metadata=tuple(bearer(ACME).items()))


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "UINT64", "INT8"])
def test_what_is_captured_gives_the_same_scores_again(server: Server, world: World, datatype: str) -> None:
    from custody.lifecycle.rows import inputs_of

    model = mean_of(datatype)
    world.publish([world.service(world.target(model), key=DeploymentKey(ACME, "prod", name_of(datatype)))])
    rows = (np.random.default_rng(1).uniform(0, 50, (5, 4))).astype(NUMPY[datatype])
    with world.server() as mine:
        client = http.InferenceServerClient(mine.url.removeprefix("http://") + "/tenants/acme")
        told = client.infer(name_of(datatype), asked(http, datatype, rows, binary_data=True), headers=bearer(ACME))
        client.close()
        mine.stop()
    (capture,) = world.captures()
    given = {name: list(column) for name, column in capture.inputs.items()}
    again = OnnxModel(model.onnx, model.signature).scores(inputs_of(model.signature, given))
    assert again.tolist() == told.as_numpy("score").tolist() == list(capture.scores)


def test_two_large_inputs_of_short_floats_keep_their_values_while_the_model_runs() -> None:
    helper, short = onnx.helper, onnx.TensorProto.BFLOAT16
    nodes = [
        helper.make_node("Cast", ["a"], ["first"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Cast", ["b"], ["second"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Sub", ["first", "second"], ["apart"]),
        helper.make_node("ReduceMean", ["apart"], ["p"], axes=[1], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(name, short, [None, 4]) for name in ("a", "b")]
    outputs = [helper.make_tensor_value_info("p", onnx.TensorProto.FLOAT, [None])]
    graph = helper.make_graph(nodes, "apart", inputs, outputs)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    signature = Signature(
        tuple(Tensor(name, "BF16", (-1, 4)) for name in ("a", "b")), (Tensor("p", "FP32", (-1,)),), "p", ("no", "yes")
    )
    model = OnnxModel(made.SerializeToString(), signature)
    first = np.repeat(np.arange(500, dtype=np.float32)[:, None] % 100, 4, axis=1)
    for shift in (1.0, 2.0, 3.0):
        assert model.scores({"a": first + shift, "b": first}).tolist() == [shift] * 500
