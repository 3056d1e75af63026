"""The Open Inference Protocol as an unmodified client speaks it."""

import importlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest
from inference_world import ACME, GLOBEX, KEYS, Server, World, bearer, body, metric, tabular, text
from test_inference_manifest import until

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.manifest import Mode
from custody.core.prediction import PredictionId

triton: Any = importlib.import_module("tritonclient.http")
triton_grpc: Any = importlib.import_module("tritonclient.grpc")
InferenceServerException = importlib.import_module("tritonclient.utils").InferenceServerException


NOBODY = {"authorization": "Bearer nobody"}


@pytest.fixture
def client(shared: Server) -> Iterator[Any]:
    client = triton.InferenceServerClient(shared.url.removeprefix("http://") + "/tenants/acme")
    yield client
    client.close()


def tensors(n: int, *, binary: bool) -> list[Any]:
    columns = {
        "age": np.full((n, 1), 30.5, np.float32),
        "spend": np.full(n, 10, np.float32),
        "plan": np.array([["É"]] * n, object),
    }
    kinds = {"age": "FP32", "spend": "FP32", "plan": "BYTES"}
    found = []
    for name, values in columns.items():
        tensor = triton.InferInput(name, list(values.shape), kinds[name])
        tensor.set_data_from_numpy(values, binary_data=binary)
        found.append(tensor)
    return found


def test_health_and_metadata_are_what_the_client_expects(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn", headers=bearer(ACME))
    assert client.is_model_ready("churn", "7", headers=bearer(ACME))
    assert not client.is_model_ready("churn", "8", headers=bearer(ACME))
    server = client.get_server_metadata(headers=bearer(ACME))
    assert {"binary_tensor_data", "model_repository"} <= set(server["extensions"])
    model = client.get_model_metadata("churn", headers=bearer(ACME))
    assert (model["name"], model["versions"], model["platform"]) == ("churn", ["7"], "onnxruntime_onnx")
    assert {"name": "age", "datatype": "FP32", "shape": [-1, 1]} in model["inputs"]
    assert model["outputs"][0] == {"name": "score", "datatype": "FP64", "shape": [-1]}
    assert client.get_model_config("churn", headers=bearer(ACME))["max_batch_size"] == 0
    stats = client.get_inference_statistics(headers=bearer(ACME))["model_stats"]
    assert {one["name"] for one in stats} == {"churn", "split"}
    assert client.get_inference_statistics("churn", "7", headers=bearer(ACME))["model_stats"][0]["name"] == "churn"
    index = client.get_model_repository_index(headers=bearer(ACME))
    assert {"name": "churn", "version": "7", "state": "READY", "reason": ""} in index


def test_a_model_that_is_unloaded_is_loaded_when_it_is_asked_for_or_by_hand(client: Any) -> None:
    def reason() -> str:
        (split,) = {one["reason"] for one in client.get_model_repository_index(headers=bearer(ACME)) if one["version"] == "8"}
        return str(split)

    ways: tuple[Callable[[], Any], ...] = (
        lambda: client.load_model("split", headers=bearer(ACME)),
        lambda: client.infer("split", tensors(1, binary=True), model_version="8", headers=bearer(ACME)),
    )
    for again in ways:
        client.unload_model("split", unload_dependents=True, headers=bearer(ACME))
        assert "not in memory" in reason()
        assert client.is_model_ready("split", "8", headers=bearer(ACME))
        again()
        assert reason() == ""


def test_a_model_that_another_tenant_uses_too_stays_in_memory(client: Any) -> None:
    client.unload_model("churn", headers=bearer(ACME))
    index = client.get_model_repository_index(headers=bearer(ACME))
    assert [one["reason"] for one in index if one["name"] == "churn"] == [""]


def test_what_the_manifest_says_is_not_said_with_a_load(client: Any, acme: httpx.Client) -> None:
    for more in ({"config": "{}"}, {"config": "{}", "files": {"file:1/model.onnx": b"x"}}):
        with pytest.raises(InferenceServerException, match="signed manifest") as caught:
            client.load_model("churn", headers=bearer(ACME), **more)
        assert caught.value.status() == "400"
    for call in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="There is no"):
            call("nothing", headers=bearer(ACME))
    for body_ in (b"x", b"[]", b'{"parameters":1}'):
        for verb in ("load", "unload"):
            answer = acme.post(f"/v2/repository/models/churn/{verb}", content=body_)
            assert (answer.status_code, "parameters" in answer.json()["error"]) == (400, True)
    assert acme.post("/v2/repository/models/churn/load").status_code == 200


def test_what_is_not_supported_says_so(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="not supported"):
        client.get_log_settings(headers=bearer(ACME))
    with pytest.raises(InferenceServerException, match="not supported"):
        client.get_system_shared_memory_status(headers=bearer(ACME))


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True, None])
@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
def test_json_binary_and_compression_give_the_same_answer(
    client: Any, binary_in: bool, binary_out: bool | None, compression: str | None
) -> None:
    names = ["decision", "score", "label", "probabilities"]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names] if binary_out is not None else None
    result = client.infer(
        "churn",
        tensors(3, binary=binary_in),
        outputs=outputs,
        request_id="order-1",
        headers=bearer(ACME),
        request_compression_algorithm=compression,
    )
    answer = result.get_response()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("churn", "7", "order-1")
    scores, decisions = result.as_numpy("score"), result.as_numpy("decision")
    assert scores.dtype == np.float64
    rows = {"age": np.full(3, 30.5), "spend": np.full(3, 10.0), "plan": np.array(["É"] * 3, object)}
    assert scores.tolist() == OnnxModel(tabular(1).onnx, tabular(1).signature).scores(rows).tolist()
    assert decisions.tolist() == (scores >= 0.5).tolist()
    if outputs:
        assert [one["name"] for one in answer["outputs"]] == names
        assert np.allclose(result.as_numpy("probabilities")[:, 1], scores)
        assert result.as_numpy("label").shape == (3,)


def test_json_and_binary_inputs_may_mix(client: Any) -> None:
    mixed = [tensors(2, binary=True)[0], *tensors(2, binary=False)[1:]]
    plain = client.infer("churn", tensors(2, binary=False), headers=bearer(ACME))
    assert client.infer("churn", mixed, headers=bearer(ACME)).as_numpy("score").tolist() == plain.as_numpy("score").tolist()


def test_the_scores_are_the_original_models(acme: httpx.Client) -> None:
    fixture = tabular(1).fixture
    n = len(fixture.scores)
    kinds = {"age": "FP32", "spend": "FP32", "plan": "BYTES"}
    inputs = [{"name": name, "datatype": kinds[name], "shape": [n], "data": column} for name, column in fixture.inputs.items()]
    answer = acme.post("/v2/models/churn/infer", json={"inputs": inputs}).json()
    assert answer["outputs"][0]["data"] == pytest.approx(fixture.scores, abs=1e-4)
    assert answer["outputs"][1]["data"] == [score >= 0.5 for score in answer["outputs"][0]["data"]]


def test_an_answer_says_which_prediction_it_is(acme: httpx.Client) -> None:
    answer = acme.post("/v2/models/churn/infer", json=body()).json()
    parameters = answer["parameters"]
    identifier = PredictionId.parse(parameters["prediction_id"])
    assert (str(identifier.deployment), identifier.revision, str(identifier.model)) == ("acme/prod/churn", 3, "churn@7")
    assert (parameters["deployment"], parameters["revision"], parameters["model"], parameters["threshold"]) == (
        "acme/prod/churn",
        3,
        "churn@7",
        0.5,
    )
    assert "id" not in answer


def test_other_environments_have_their_own_path(acme: httpx.Client) -> None:
    request = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["awful people"]}]}
    path = "/environments/staging/v2/models/toxicity"
    assert acme.post(f"{path}/infer", json=request).json()["outputs"][1]["data"] == [True]
    assert acme.get(f"{path}/ready").status_code == 200
    assert acme.get("/v2/models/toxicity").status_code == 404
    assert acme.get("/environments/prod/v2/models/churn").status_code == 200


def test_the_default_tenant_has_the_short_path(shared: Server) -> None:
    with httpx.Client(base_url=shared.url, headers={"x-custody-key": "team-key"}) as team:
        assert team.post("/v2/models/churn/infer", json=body()).json()["parameters"]["deployment"] == "default/prod/churn"
        assert team.get("/tenants/globex/v2/models/churn").status_code == 200


def test_keys_open_their_own_tenant_only_and_nothing_tells_what_others_have(shared: Server) -> None:
    def said(path: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = httpx.post(f"{shared.url}{path}", headers=headers, json=body())
        return answer.status_code, answer.json()["error"].replace(path, "PATH")

    assert said("/tenants/acme/v2/models/churn/infer", {})[0] == 401
    assert said("/tenants/acme/v2/models/churn/infer", {"authorization": "Bearer wrong"})[0] == 401
    assert said("/tenants/acme/v2/models/churn/infer", {"authorization": "Basic acme-key"})[0] == 401
    others = said("/tenants/acme/v2/models/churn/infer", bearer(GLOBEX))
    assert others[0] == 404
    assert others == said("/tenants/nobody/v2/models/churn/infer", bearer(GLOBEX))
    assert others == said("/tenants/globex/v2/models/nothing/infer", bearer(GLOBEX))
    assert others == said("/v2/models/churn/infer", bearer(GLOBEX))


def test_health_needs_no_key_and_is_the_same_for_tenants_that_do_not_exist(shared: Server) -> None:
    for tenant in ("acme", "nobody"):
        assert httpx.get(f"{shared.url}/tenants/{tenant}/v2/health/ready").status_code == 200
    assert httpx.get(f"{shared.url}/v2/health/live").status_code == 200
    assert httpx.get(f"{shared.url}/tenants/acme/v2").status_code == 401


def test_a_wrong_method_is_told_the_right_one(acme: httpx.Client) -> None:
    answer = acme.get("/v2/models/churn/infer")
    assert (answer.status_code, answer.json()) == (405, {"error": "Use POST for this path."})
    assert answer.headers["allow"] == "POST"


def test_a_version_can_be_asked_for_but_only_one_that_answers(acme: httpx.Client) -> None:
    for version in ("7", "8"):
        answers = [acme.post(f"/v2/models/split/versions/{version}/infer", json=body()).json() for _ in range(5)]
        assert {answer["model_version"] for answer in answers} == {version}
    assert acme.post("/v2/models/split/versions/9/infer", json=body()).status_code == 404


def test_an_entity_keeps_its_arm_and_the_share_is_split(acme: httpx.Client) -> None:
    def arm(entity: str) -> str:
        answer = acme.post("/v2/models/split/infer", json=body(parameters={"entity": entity})).json()
        assert answer["parameters"]["model"] == f"churn@{answer['model_version']}"
        return str(answer["parameters"]["prediction_id"]).split(":")[4]

    arms = {f"c{i}": arm(f"c{i}") for i in range(40)}
    assert set(arms.values()) == {"churn@7", "churn@8"}
    assert {entity: arm(entity) for entity in arms} == arms


def test_a_timeout_that_cannot_be_kept_is_an_error_and_not_a_late_answer(acme: httpx.Client) -> None:
    assert acme.post("/v2/models/churn/infer", json=body(parameters={"timeout": 1})).status_code == 504
    assert acme.post("/v2/models/churn/infer", json=body(parameters={"timeout": 30_000_000})).status_code == 200


def test_metrics_count_by_deployment_and_status(shared: Server, acme: httpx.Client) -> None:
    acme.post("/v2/models/churn/infer", json=body())
    acme.post("/v2/models/churn/infer", content=b"{")
    found = acme.get(f"{shared.url}/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in found.text.splitlines() if not line.startswith("#"))
    deployment = 'tenant="acme",environment="prod",deployment="churn"'
    labels = f'{deployment},mode="live",model="churn@7"'
    assert int(lines[f'custody_requests_total{{{labels},status="200"}}']) >= 1
    assert int(lines[f'custody_requests_total{{{deployment},mode="",model="",status="400"}}']) >= 1
    assert lines[f'custody_request_seconds_bucket{{{labels},le="+Inf"}}'] == lines[f"custody_request_seconds_count{{{labels}}}"]
    assert lines["custody_manifest_sequence"] == "1"


def test_metrics_name_only_the_tenants_that_the_callers_key_may_call(shared: Server, acme: httpx.Client) -> None:
    acme.post("/v2/models/churn/infer", json=body())

    def tenants(**headers: str) -> set[str]:
        found = httpx.get(f"{shared.url}/metrics", headers=headers)
        assert "custody_manifest_sequence 1\n" in found.text  # what is the process's own is told to all
        return set(re.findall(r'tenant="([^"]+)"', found.text))

    assert tenants() == set()
    assert tenants(**bearer(ACME)) == {"acme"}
    assert tenants(**bearer(GLOBEX)) == {"globex"}
    assert tenants(**{"x-custody-key": KEYS[ACME]}) == {"acme"}
    assert tenants(**bearer(None)) == {"acme", "globex", "default"}
    unknown = httpx.get(f"{shared.url}/metrics", headers=NOBODY)
    assert (unknown.status_code, "does not know the key" in unknown.json()["error"]) == (401, True)


def test_metrics_are_told_before_there_is_a_manifest_whatever_the_key(world: World) -> None:
    with world.server() as server:
        assert httpx.get(f"{server.url}/metrics", headers=NOBODY).status_code == 200


def test_statistics_are_those_of_the_version_that_answered(world: World) -> None:
    live = world.service(world.target(tabular(1), 7))
    split = world.with_candidate(live, world.target(tabular(2), 8), Mode.CANARY, 0.0)
    world.publish([split])
    with world.server("--grpc-port", "0") as server, server.client() as client:

        def counted(path: str) -> dict[str, tuple[int, int, int]]:
            stats = client.get(f"/v2/models/{path}stats").json()["model_stats"]
            counts = [
                (one["inference_count"], one["execution_count"], one["inference_stats"]["success"]["count"]) for one in stats
            ]
            return dict(zip((one["version"] for one in stats), counts, strict=True))

        for _ in range(2):
            client.post("/v2/models/churn/infer", json=body())
        for _ in range(5):
            client.post("/v2/models/churn/versions/8/infer", json=body(3))
        seven, eight = {"7": (2, 2, 2)}, {"8": (15, 5, 5)}
        for path, expected in {"": seven | eight, "churn/": seven | eight, "churn/versions/7/": seven}.items():
            assert counted(path) == expected
        with triton_grpc.InferenceServerClient(server.grpc) as other:
            (found,) = other.get_inference_statistics("churn", "8", headers=bearer(ACME)).model_stats
            assert (found.version, found.inference_count, found.execution_count) == ("8", 15, 5)
        assert metric(server, 'custody_requests_total{mode="live",model="churn@7",status="200"}') == 2
        assert metric(server, 'custody_request_seconds_count{mode="canary",model="churn@8"}') == 5
        world.publish([world.service(split.candidate.target, 2) if split.candidate else live])  # promoted: it begins anew as live
        until(lambda: counted("churn/") == {"8": (0, 0, 0)})
        client.post("/v2/models/churn/infer", json=body())
        world.publish([replace(live, revision=3, live=world.target(tabular(2), 8, threshold=0.25))])
        until(lambda: client.post("/v2/models/churn/infer", json=body()).json()["parameters"]["revision"] == 3)
        assert counted("churn/")["8"][0] >= 2  # another threshold, the same version: it goes on
        assert (
            metric(server, 'custody_requests_total{mode="canary",model="churn@8",status="200"}') == 5
        )  # it ended, its counts stay
        world.publish([replace(split, revision=4)])
        until(lambda: counted("churn/") == seven | eight)  # and go on when it is back


def test_what_a_canary_cannot_answer_is_its_own_failure(world: World) -> None:
    world.publish([world.with_candidate(world.service(world.target(tabular(1), 7)), world.target(text(), 8), Mode.CANARY, 1.0)])
    with world.server("--grpc-port", "0") as server, server.client() as client:
        assert client.post("/v2/models/churn/infer", json=body()).status_code == 400
        assert client.post("/v2/models/churn/infer", content=b"{").status_code == 400  # before a version was chosen
        assert client.post("/v2/models/churn/versions/7/infer", json=body()).status_code == 200
        with triton_grpc.InferenceServerClient(server.grpc) as other, pytest.raises(InferenceServerException):
            other.infer("churn", [], headers=bearer(ACME))
        assert metric(server, 'custody_requests_total{mode="canary",model="churn@8",status="400"}') == 2
        assert metric(server, 'custody_requests_total{deployment="churn",mode="",model="",status="400"}') == 1
        assert metric(server, 'custody_requests_total{mode="live",model="churn@7"}') == 1
        stats = client.get("/v2/models/churn/stats").json()["model_stats"]
        assert {one["version"]: one["inference_stats"]["fail"]["count"] for one in stats} == {"7": 0, "8": 2}


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15)])
def test_a_compressed_body_is_bounded_while_it_is_inflated(acme: httpx.Client, encoding: str, wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    bomb = packer.compress(bytes(200 * 1024 * 1024)) + packer.flush()
    answer = acme.post("/v2/models/churn/infer", content=bomb, headers={"content-encoding": encoding})
    assert answer.status_code == 413
    cut = acme.post("/v2/models/churn/infer", content=bomb[:100], headers={"content-encoding": encoding})
    assert cut.status_code == 400
    assert acme.post("/v2/models/churn/infer", content=b"{}", headers={"content-encoding": "br"}).status_code == 415
