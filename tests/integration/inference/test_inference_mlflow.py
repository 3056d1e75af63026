"""MLflow's scoring protocol: the same model, checks, captures and keys behind `/invocations`."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_world import ACME, CHURN, GLOBEX, Server, World, bearer, body, tabular, text
from test_inference_manifest import until

from custody.core.errors import InvalidInput
from custody.core.manifest import Mode
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey
from custody.core.schema import Signature, Tensor
from custody.inference.protocols.mlflow import labels_of
from custody.inference.protocols.mlflow_request import read_csv, read_json
from custody.serving import CaptureMode, check_inputs

CALL = "/deployments/churn/invocations"
NAMES = ["age", "spend", "plan"]
ROWS: list[list[Any]] = [[30.5, 10.0, "basic"], [70.0, 400.0, "premium"]]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
COLUMNS = {name: [row[at] for row in ROWS] for at, name in enumerate(NAMES)}
FORMS: dict[str, dict[str, Any]] = {
    "split": {"dataframe_split": {"columns": NAMES, "data": ROWS}},
    "split with an index and another order": {
        "dataframe_split": {"index": [7, 9], "columns": NAMES[::-1], "data": [row[::-1] for row in ROWS]}
    },
    "records": {"dataframe_records": RECORDS},
    "columns": {"inputs": COLUMNS},
    "columns as tensors": {"inputs": {name: [[value] for value in values] for name, values in COLUMNS.items()}},
    "instances": {"instances": RECORDS},
    "records with names in another order": {"dataframe_records": [RECORDS[0], dict(reversed(RECORDS[1].items()))]},
    "records that do not name the same": {"dataframe_records": [RECORDS[0], {**RECORDS[1], "comment": "x"}]},
    "numbers as texts": {"dataframe_records": [{**row, "age": f" {row['age']}", "spend": str(row["spend"])} for row in RECORDS]},
    "with a column that the model does not know": {"dataframe_records": [{**row, "comment": "x"} for row in RECORDS]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_answer_of_the_other_protocol(acme: httpx.Client, form: str) -> None:
    request = body(2)
    for tensor in request["inputs"]:
        tensor["data"] = COLUMNS[tensor["name"]]
    same = acme.post("/v2/models/churn/infer", json=request).json()
    answer = acme.post(CALL, json=FORMS[form])
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["scores"] == same["outputs"][0]["data"]
    assert found["predictions"] == [("stays", "leaves")[one] for one in same["outputs"][1]["data"]]
    assert (found["model"], found["threshold"], found["deployment"]) == ("churn@7", 0.5, "acme/prod/churn")
    assert answer.headers["x-custody-prediction-id"] == found["prediction_id"]
    assert PredictionId.parse(found["prediction_id"]).deployment == CHURN


def test_csv_is_read_by_the_signature(acme: httpx.Client) -> None:
    same = acme.post(CALL, json=FORMS["split"]).json()["scores"]
    csv = 'comment,age,spend,plan\n"a ""quoted"" word",30.5,10,basic\n,7e1,400.0,premium\n'
    answer = acme.post(CALL, content=csv, headers={"content-type": "text/csv; charset=utf-8"})
    assert answer.json()["scores"] == same


def test_a_table_of_nothing_but_numbers_without_names_is_for_a_model_with_one_input() -> None:
    wide = Signature((Tensor("x", "FP32", (-1, 2)),), (Tensor("p", "FP32", (-1, 2)),), "p", ("0", "1"))
    split = {"columns": [0, 1], "data": [[1, 2], [3, 4], [5, 6]]}
    documents: list[dict[str, Any]] = [{"inputs": split["data"]}, {"instances": split["data"]}, {"inputs": {"x": split["data"]}}]
    documents += [{"dataframe_split": split}, {"dataframe_split": {"data": split["data"]}}]
    for document in documents:
        arrays, rows = check_inputs(wide, read_json(json.dumps(document).encode()).tensors_for(wide))
        assert (arrays["x"].tolist(), rows) == ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 3)
    with pytest.raises(InvalidInput, match="The rows have no names, and the model has 3 inputs"):
        read_json(b'{"inputs": [[1, 2, 3]]}').tensors_for(tabular(1).signature)


def test_texts_may_come_as_a_plain_list(shared: Server) -> None:
    with shared.client() as client:
        call = "/environments/staging/deployments/toxicity/invocations"
        answers = [client.post(call, json={form: ["awful", "nice day"]}).json() for form in ("inputs", "instances")]
    assert answers[0]["scores"] == answers[1]["scores"]
    assert answers[0]["predictions"] == ["leaves", "stays"]


def test_missing_numbers_come_as_null_or_as_the_nan_that_python_writes() -> None:
    for document in ('{"inputs": {"age": [null]}}', '{"inputs": {"age": [NaN]}}'):
        (age,) = read_json(document.encode()).tensors_for(tabular(1).signature)
        assert age.values.tolist() != age.values.tolist()
    (age,) = read_csv(b"age\n \n").tensors_for(tabular(1).signature)
    assert age.values.tolist() != age.values.tolist()


def test_what_a_record_does_not_name_is_missing_and_truth_values_are_numbers_as_in_a_data_frame() -> None:
    (age,) = read_json(b'{"dataframe_records": [{"age": true}, {"other": 1}, {"age": 2}]}').tensors_for(tabular(1).signature)
    assert str(age.values.tolist()) == "[1.0, nan, 2.0]"


def test_records_for_a_model_of_an_array_name_the_same_since_their_order_tells_what_they_mean() -> None:
    wide = Signature((Tensor("x", "FP32", (-1, 3)),), (Tensor("p", "FP32", (-1, 2)),), "p", ("0", "1"))
    good = read_json(b'{"dataframe_records": [{"a": 1, "b": 2, "c": 3}, {"a": 4, "c": 6, "b": 5}]}')
    assert [one.values.tolist() for one in good.tensors_for(wide)] == [[1, 2, 3, 4, 5, 6]]
    for rows in ('{"a": 1, "c": 3}, {"a": 10, "b": 20, "c": 30}', '{"a": 1, "b": 2}, {"a": 1, "b": 2, "other": 5}'):
        with pytest.raises(InvalidInput, match="row 1 has not the same names as the first row"):
            read_json(f'{{"dataframe_records": [{rows}]}}'.encode()).tensors_for(wide)


def test_records_that_name_next_to_nothing_do_not_become_a_large_table() -> None:
    many = Signature(tuple(Tensor(f"x{i}", "FP32", (-1, 1)) for i in range(30)), (Tensor("p", "FP32", (-1, 2)),), "p", ("0", "1"))
    first = {f"x{i}": 1 for i in range(30)}
    with pytest.raises(InvalidInput, match="leaves out most of what the model needs"):
        read_json(json.dumps({"dataframe_records": [first, *[{}] * 1000]}).encode()).tensors_for(many)
    assert len(read_json(json.dumps({"dataframe_records": [first, {"x1": 5}]}).encode()).tensors_for(many)) == 30


def test_records_that_each_have_another_name_take_the_room_that_the_model_needs() -> None:
    table = read_json(json.dumps({"dataframe_records": [{f"name {row}": row, "age": row} for row in range(20_000)]}).encode())
    (age,) = table.tensors_for(tabular(1).signature)
    assert age.values.tolist() == [*range(20_000)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"[1]", "JSON object"),
        (b"NaN", "JSON object"),
        (b"{NaN", "not JSON"),
        (b"{}", "it has none"),
        (b"[" * 100_000, "not JSON"),
        (json.dumps({"inputs": COLUMNS, "instances": RECORDS}).encode(), "it has inputs, instances"),
        (json.dumps({"inputs": 3}).encode(), "must be a list"),
        (json.dumps({"dataframe_records": {"age": 3}}).encode(), "must be a list"),
        (json.dumps({"dataframe_records": [3]}).encode(), "row 0"),
        (json.dumps({"dataframe_records": [RECORDS[0], 3]}).encode(), "row 1 is not an object"),
        (json.dumps({"dataframe_records": [{"age": 3}, {"plan": "basic"}]}).encode(), "'spend'"),
        (json.dumps({"dataframe_split": {"columns": NAMES}}).encode(), "'data'"),
        (json.dumps({"dataframe_split": {"columns": NAMES, "data": [[1]]}}).encode(), "row 0 is not a list of 3"),
        (json.dumps({"dataframe_split": {"columns": ["age", "age"], "data": [[1, 2]]}}).encode(), "a column twice"),
        (json.dumps({"inputs": {"age": [30.5]}}).encode(), "'plan'"),
        (json.dumps({"inputs": []}).encode(), "no names"),
        (json.dumps({"inputs": {name: [] for name in NAMES}}).encode(), "no rows"),
        (json.dumps({"inputs": {**COLUMNS, "age": [1.0]}}).encode(), "different row counts"),
        (json.dumps({"inputs": {**COLUMNS, "age": [[1.0, 2.0], [3.0, 4.0]]}}).encode(), "takes 1 values a row"),
        (json.dumps({"inputs": {**COLUMNS, "age": [1.0, [2.0]]}}).encode(), "side by side"),
        (json.dumps({"inputs": {**COLUMNS, "age": ["1", ""]}}).encode(), "got str at position 1"),
        (json.dumps({"inputs": {**COLUMNS, "age": [1, "old"]}}).encode(), "the one at position 1 cannot"),
        (json.dumps({"inputs": {**COLUMNS, "age": ["1e999", 2]}}).encode(), "does not fit FP32"),
        (json.dumps({"inputs": {**COLUMNS, "age": [1e300, 1]}}).encode(), "does not fit FP32"),
        (b'{"inputs": {"age": [Infinity], "spend": [NaN], "plan": ["basic"]}}', "does not fit FP32"),
        (json.dumps({"inputs": {**COLUMNS, "plan": [5, "basic"]}}).encode(), "got int at position 0"),
        (json.dumps({"inputs": {**COLUMNS, "age": [[1.0, 2.0], []]}}).encode(), "lists of different lengths"),
        (b'{"dataframe_records": []}', "'dataframe_records' has no rows"),
        (json.dumps({"inputs": COLUMNS, "params": [1]}).encode(), "'params'"),
        (json.dumps({"inputs": COLUMNS, "params": {"key": ["one"]}}).encode(), "1 keys for 2 rows"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why_in_mlflows_shape(acme: httpx.Client, content: bytes, words: str) -> None:
    answer = acme.post(CALL, content=content)
    assert answer.status_code == 400, answer.text
    found = answer.json()
    assert words in found["message"]
    assert (found["error_code"], found["error"]) == ("BAD_REQUEST", found["message"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "'age'"),
        (b"age,spend,plan\n1,2\n", "Line 2"),
        (b"age,age\n1,2\n", "twice"),
        (b"age,spend,plan\nold,2,basic\n", "'age' must hold FP32"),
        (b"age,spend,plan\n1,inf,basic\n", "does not fit FP32"),
        (b"age,spend,plan\n1,2,basic\n1_000,2,basic\n", "the one at position 1 cannot"),
        ("age,spend,plan\n\u0661\u0662,2,basic\n".encode(), "the one at position 0 cannot"),
        (b'age,spend,plan\n1,2,"basic\n', "not CSV"),
        (b"\xff\xfe", "not CSV"),
    ],
)
def test_csv_that_cannot_be_answered_says_why(acme: httpx.Client, content: bytes, words: str) -> None:
    answer = acme.post(CALL, content=content, headers={"content-type": "text/csv"})
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["message"]


MIXED = Signature(
    (Tensor("n", "INT64", (-1, 1)), Tensor("yes", "BOOL", (-1, 1)), Tensor("words", "BYTES", (-1, 1))), (), "", ("", "")
)


def test_frames_are_taken_as_they_were_trained_on() -> None:
    """Booleans are whole numbers to a model, whole numbers beside missing ones are floats, and no text is the empty one."""
    rows: list[dict[str, Any]] = [{"n": True, "yes": 1, "words": None}, {"n": 30.0, "yes": False, "words": "a"}]
    found, _ = check_inputs(MIXED, read_json(json.dumps({"dataframe_records": rows}).encode()).tensors_for(MIXED))
    assert {name: array.reshape(-1).tolist() for name, array in found.items()} == {
        "n": [1, 30],
        "yes": [True, False],
        "words": ["", "a"],
    }
    found, _ = check_inputs(MIXED, read_csv(b"n,yes,words\nTrue,1,\n30.0,false,a\n").tensors_for(MIXED))
    assert found["n"].reshape(-1).tolist() == [1, 30]
    wrongs: list[dict[str, Any]] = [{"n": 30.5}, {"yes": 2}, {"yes": 0.5}]
    for wrong in wrongs:
        table = read_json(json.dumps({"dataframe_records": [{**rows[1], **wrong}]}).encode())
        with pytest.raises(InvalidInput, match="must hold"):
            check_inputs(MIXED, table.tensors_for(MIXED))


def test_a_model_of_an_array_takes_frames_of_as_many_columns() -> None:
    wide = Signature((Tensor("input", "FP32", (-1, 3)),), (), "", ("", ""))
    frames = [
        read_json(b'{"dataframe_records": [{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": 6}]}'),
        read_json(b'{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3], [4, 5, 6]]}}'),
        read_json(b'{"instances": {"a": [1, 4], "b": [2, 5], "c": [3, 6]}}'),
        read_csv(b"a,b,c\n1,2,3\n4,5,6\n"),
    ]
    for frame in frames:
        found, _ = check_inputs(wide, frame.tensors_for(wide))
        assert found["input"].tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(InvalidInput, match="is missing"):
        check_inputs(wide, read_csv(b"a,b\n1,2\n").tensors_for(wide))
    with pytest.raises(InvalidInput, match="different row counts"):
        read_json(b'{"inputs": {"a": [1, 2], "b": [1], "c": [1]}}').tensors_for(wide)
    with pytest.raises(InvalidInput, match="different lengths"):
        read_json(b'{"instances": [[1, 2, 3, 4], [5, 6]]}').tensors_for(wide)


def test_other_tenants_deployments_are_nothing_in_mlflows_words_too(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server() as server:
        for headers in ({}, bearer(GLOBEX)):
            for verb in ("invocations", "ping"):
                texts = {
                    httpx.post(f"{server.url}/tenants/acme/deployments/{name}/{verb}", headers=headers, json={}).text.replace(
                        name, ""
                    )
                    for name in ("churn", "nope")
                }
                assert len(texts) == 1
                assert "error_code" in texts.pop()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.sampled_from(["age", "data", "columns"]), v, max_size=3),
    max_leaves=10,
)


@given(form=st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances"]), data=json_values)
@settings(max_examples=300, deadline=None)
def test_any_document_is_read_or_refused(form: str, data: Any) -> None:
    for signature in (tabular(1).signature, text().signature):
        try:
            check_inputs(signature, read_json(json.dumps({form: data}).encode()).tensors_for(signature))
        except InvalidInput:
            continue


@given(st.binary(max_size=40) | st.text(st.sampled_from('age,plan"\n01.'), max_size=40).map(str.encode))
def test_any_csv_is_read_or_refused(content: bytes) -> None:
    try:
        check_inputs(tabular(1).signature, read_csv(content).tensors_for(tabular(1).signature))
    except InvalidInput:
        return


def test_keys_and_tenants_are_those_of_the_other_protocol(shared: Server) -> None:
    def status(path: str, headers: dict[str, str]) -> tuple[int, str]:
        answer = httpx.post(f"{shared.url}{path}", headers=headers, json=FORMS["split"])
        return answer.status_code, answer.json().get("error_code", "")

    assert status("/tenants/acme/deployments/churn/invocations", {}) == (401, "UNAUTHENTICATED")
    assert status("/tenants/acme/deployments/churn/invocations", bearer(GLOBEX)) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert status("/tenants/globex/deployments/churn/invocations", bearer(GLOBEX)) == (200, "")
    assert status("/deployments/churn/invocations", bearer(None)) == (200, "")
    assert status("/invocations", bearer(GLOBEX)) == (200, "")  # its only deployment
    assert status("/invocations", bearer(ACME)) == (404, "RESOURCE_DOES_NOT_EXIST")  # it has two
    assert status("/invocations", bearer(None)) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert status("/invocations", {}) == (401, "UNAUTHENTICATED")
    assert httpx.get(f"{shared.url}/invocations", headers=bearer(GLOBEX)).status_code == 405


@pytest.mark.parametrize("prefix", ["", "/tenants/acme/deployments/churn"])
def test_ping_health_and_version_answer_as_a_model_server_of_mlflow_does(shared: Server, prefix: str) -> None:
    for path in ("ping", "health"):
        answer = httpx.get(f"{shared.url}{prefix}/{path}", headers=bearer(ACME))
        assert (answer.status_code, answer.text) == (200, "\n")
    answer = httpx.get(f"{shared.url}{prefix}/version", headers=bearer(ACME))
    assert (answer.status_code, answer.text[0].isdigit()) == (200, True)


def test_health_of_a_deployment_needs_its_key_and_of_the_server_none(shared: Server) -> None:
    assert httpx.get(f"{shared.url}/ping").status_code == 200
    assert httpx.get(f"{shared.url}/tenants/acme/deployments/churn/ping").status_code == 401
    assert httpx.get(f"{shared.url}/tenants/acme/deployments/churn/ping", headers=bearer(GLOBEX)).status_code == 404


def test_a_server_without_a_manifest_does_not_ping(world: World) -> None:
    with world.server() as server:
        assert httpx.get(f"{server.url}/ping").status_code == 503
        assert httpx.post(f"{server.url}/invocations", json={}).json()["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_an_invocation_is_captured_like_any_other_and_params_say_what_parameters_say(world: World) -> None:
    candidate = world.target(tabular(2), 2, threshold=0.9)
    world.publish([world.with_candidate(world.service(world.target(tabular(1))), candidate, Mode.SHADOW)])
    params = {"key": ["a", "b"], "event_time": "2026-03-01T12:00:00Z", "temperature": 0.5}
    with world.server() as server, server.client() as client:
        answer = client.post("/deployments/churn/invocations", json={**FORMS["records"], "params": params}).json()
        until(lambda: len(world.captures()) == 2)
    live, shadow = sorted(world.captures(), key=lambda one: one.mode is CaptureMode.SHADOW)
    assert (str(live.id), live.keys, live.event_ms) == (answer["prediction_id"], ("a", "b"), 1772366400000)
    assert live.inputs == COLUMNS
    assert live.scores == answer["scores"]
    assert (str(shadow.of), shadow.inputs) == (answer["prediction_id"], COLUMNS)


def test_a_deployment_that_is_not_loaded_says_so(world: World) -> None:
    broken = replace(world.target(tabular(1)), artifact=world.objects.put(b"this is no model"))
    world.publish([world.service(broken)])
    with world.server() as server, server.client() as client:
        for answer in (client.post(CALL, json=FORMS["split"]), client.get("/deployments/churn/ping")):
            assert answer.status_code == 503
            assert "not an ONNX model" in answer.json()["message"]
        assert httpx.post(f"{server.url}/invocations", headers=bearer(ACME), json={}).status_code == 503


SIGNATURES: list[tuple[str, tuple[str, str], tuple[object, object]]] = [
    ("INT64", ("0", "1"), (0, 1)),
    ("INT64", ("-1", "1"), (-1, 1)),
    ("INT64", ("false", "true"), (False, True)),
    ("BOOL", ("false", "true"), (False, True)),
    ("INT64", ("stays", "leaves"), ("stays", "leaves")),
    ("BYTES", ("0", "1"), ("0", "1")),
    ("BYTES", ("false", "true"), ("false", "true")),
]


@pytest.mark.parametrize(("datatype", "classes", "labels"), SIGNATURES)
def test_predictions_are_the_labels_that_the_models_own_predict_gives(
    datatype: str, classes: tuple[str, str], labels: tuple[object, object]
) -> None:
    outputs = (Tensor("label", datatype, (-1,)), Tensor("p", "FP32", (-1, 2)))
    found = labels_of(Signature((Tensor("x", "FP32", (-1, 1)),), outputs, "p", classes))
    assert [(type(one), one) for one in found] == [(type(one), one) for one in labels]


def test_large_tables_are_read_off_the_event_loop_and_answered_whole(acme: httpx.Client) -> None:
    table = {"columns": NAMES, "data": ROWS * 5000}
    calls: list[Callable[[], httpx.Response]] = [
        lambda: acme.post(CALL, json={"dataframe_split": table}),
        lambda: acme.post(CALL, content="age,spend,plan\n" + "30.5,10,basic\n" * 10_000, headers={"content-type": "text/csv"}),
    ]
    for call in calls:
        assert len(call().json()["predictions"]) == 10_000


def test_the_plain_path_means_prod(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)), key=DeploymentKey(GLOBEX, "staging", "churn"))])
    with world.server() as server:  # `/invocations` means `prod`, and this tenant has nothing there
        assert httpx.post(f"{server.url}/invocations", headers=bearer(GLOBEX), json=FORMS["split"]).status_code == 404
        path = "/tenants/globex/environments/staging/deployments/churn/invocations"
        assert httpx.post(f"{server.url}{path}", headers=bearer(GLOBEX), json=FORMS["split"]).status_code == 200
