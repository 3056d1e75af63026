"""Lines of the protocol that no client call shows by itself: statuses, headers, reserved names, what JSON cannot hold."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from inference_world import body

from custody.core.errors import InvalidInput
from custody.core.refs import DeploymentKey
from custody.inference.protocols.v2_answer import Output, write_response

INFER = "/v2/models/churn/infer"


@pytest.mark.parametrize("version", ["", "/versions/7"])
@pytest.mark.parametrize("path", ["", "/ready", "/config", "/stats"])
def test_every_question_about_a_model_is_answered_with_200(acme: httpx.Client, version: str, path: str) -> None:
    answer = acme.get(f"/v2/models/churn{version}{path}")
    assert answer.status_code == 200
    assert answer.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/stats")),
        *(("POST", f"/v2/repository/{path}") for path in ("index", "models/churn/load", "models/churn/unload")),
    ],
)
def test_every_question_about_the_server_is_answered_with_200(acme: httpx.Client, method: str, path: str) -> None:
    assert acme.request(method, path).status_code == 200


@pytest.mark.parametrize("accepted", ["gzip, deflate, br", "br", "gzip", "*"])
def test_answers_are_not_compressed_whatever_is_accepted(acme: httpx.Client, accepted: str) -> None:
    for answer in (
        acme.post(INFER, json=body(500), headers={"accept-encoding": accepted}),
        acme.get("/v2/models/churn", headers={"accept-encoding": accepted}),
    ):
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers


def test_no_deployment_takes_the_path_of_all_statistics() -> None:
    with pytest.raises(InvalidInput, match=r"'stats' is not a deployment name.*It is taken"):
        DeploymentKey.parse("acme/prod/stats")


def test_an_empty_tensor_of_no_bytes_is_read_and_has_no_row(acme: httpx.Client) -> None:
    inputs = body()["inputs"]
    for one in inputs:
        del one["data"]
        one |= {"shape": [0, 1], "parameters": {"binary_data_size": 0}}
    head = json.dumps({"inputs": inputs}).encode()
    answer = acme.post(INFER, content=head, headers={"inference-header-content-length": str(len(head))})
    assert (answer.status_code, "has no rows" in answer.json()["error"]) == (400, True)


def test_a_result_that_is_no_number_is_null_in_json_and_itself_in_bytes() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf])
    for datatype, dtype in (("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8")):
        text, length = write_response({}, [Output("x", datatype, values.astype(dtype), binary=False)])
        assert (json.loads(text)["outputs"][0]["data"], length) == ([1.0, None, None, None], None)
        whole, length = write_response({}, [Output("x", datatype, values.astype(dtype), binary=True)])
        found: Any = np.frombuffer(whole[length:], dtype)
        assert np.array_equal(found, values.astype(dtype), equal_nan=True)


def test_short_floats_are_rounded_to_the_nearest_and_told_as_numbers_in_json() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, 3.4e38, np.nan, -0.0], np.float32)
    whole, length = write_response({}, [Output("x", "BF16", values, binary=True)])
    assert np.frombuffer(whole[length:], "<u2").tolist() == [0x3F80, 0x3F80, 0x3F82, 0x7F80, 0x7FC0, 0x8000]
    text, _ = write_response({}, [Output("x", "BF16", values[:1], binary=False)])
    assert json.loads(text)["outputs"][0]["data"] == [1.0]
