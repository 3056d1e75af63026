"""Every answered prediction is found in the object store, exactly once."""

import shutil
import signal
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from inference_world import ACME, CHURN, Server, World, body, metric, tabular, text
from test_inference_manifest import until

from custody.core.manifest import CaptureRule, Handling, Mode
from custody.core.measures.spec import specs_of
from custody.core.measures.summary import summarise
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.inference.captures.record import Recorder
from custody.inference.captures.shadow import Shadow
from custody.inference.captures.spool import Spool, ship
from custody.inference.metrics import Metrics
from custody.inference.protocols.v2_request import read_request
from custody.serving import CaptureMode, Parameters
from custody.serving.sampling import open_batch, point_of_row


def asked(server: Server, answered: list[str], ended: threading.Event) -> None:
    """Ask until the server is gone."""
    with server.client() as client:
        while not ended.is_set():
            try:
                answer = client.post("/v2/models/churn/infer", json=body())
            except httpx.TransportError:
                return
            assert answer.status_code == 200
            answered.append(answer.json()["parameters"]["prediction_id"])


def test_a_capture_holds_what_was_asked_and_answered(world: World) -> None:
    world.publish([world.service(world.target(tabular(1), 7, threshold=0.25), revision=3)])
    parameters = {"key": ["a", "b"], "event_time": "2026-03-01T12:00:00Z"}
    with world.server() as server, server.client() as client:
        answer = client.post("/v2/models/churn/infer", json=body(2, id="r1", parameters=parameters)).json()
        client.post("/v2/models/churn/infer", json=body(2, id="r2"))
        client.post("/v2/models/churn/infer", json={"inputs": []})
        until(lambda: len(world.captures()) == 2)
    first, second = world.captures()
    assert str(first.id) == answer["parameters"]["prediction_id"]
    assert (first.keys, second.keys) == (("a", "b"), ("r2#0", "r2#1"))
    assert (first.event_ms, second.event_ms) == (1772366400000, None)
    assert first.inputs == {"age": [30.5, 31.5], "spend": [10.0, 10.0], "plan": ["basic", "basic"]}
    assert (first.scores, first.decisions) == (answer["outputs"][0]["data"], answer["outputs"][1]["data"])
    assert (first.mode, first.of, first.threshold) == (CaptureMode.LIVE, None, 0.25)
    assert 0 < first.latency_us < 10_000_000
    assert abs(first.at_ms - first.id.at.timestamp() * 1000) < 10_000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_answered_prediction_is_lost_or_doubled_when_the_process_is_killed_under_load(
    world: World, how: signal.Signals
) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    answered: list[str] = []
    ended = threading.Event()
    for _ in range(2):
        with world.server() as server:
            threads = [threading.Thread(target=asked, args=(server, answered, ended)) for _ in range(3)]
            for thread in threads:
                thread.start()
            before = len(answered)
            until(lambda: len(world.captures()) > 20 and len(answered) > before + 200)  # noqa: B023 - called at once
            server.process.send_signal(how)
            server.process.wait(20)
            for thread in threads:
                thread.join()
    if how is signal.SIGTERM:
        assert world.spooled == []
    with world.server():
        until(lambda: not world.spooled)
    captured = Counter(str(capture.id) for capture in world.captures())
    assert set(answered) <= captured.keys()
    assert set(captured.values()) == {1}
    assert len(captured) - len(set(answered)) <= 6  # written, but killed before the answer left: at most one a connection and run


def test_captures_wait_while_the_object_store_is_away_and_are_shipped_when_it_is_back(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server() as server, server.client() as client:
        shutil.rmtree(world.folder / "objects")
        (world.folder / "objects").write_text("a file where the store was")
        ids = [client.post("/v2/models/churn/infer", json=body()).json()["parameters"]["prediction_id"] for _ in range(3)]
        until(lambda: metric(server, "custody_ship_failures_total") > 0)
        assert metric(server, "custody_captured_predictions_total") == 3
        assert metric(server, "custody_spool_bytes") > 0
        (world.folder / "objects").unlink()
        until(lambda: not world.spooled)
        assert sorted(str(capture.id) for capture in world.captures()) == sorted(ids)
        until(lambda: metric(server, "custody_spool_bytes") == 0)


def test_a_shadow_sees_every_request_and_its_records_point_to_the_live_ones(world: World) -> None:
    live, candidate = world.target(tabular(1), 1), world.target(tabular(2), 2, threshold=0.9)
    world.publish([world.with_candidate(world.service(live), candidate, Mode.SHADOW)])
    with world.server() as server, server.client() as client:
        answers = [client.post("/v2/models/churn/infer", json=body(id=f"r{i}")).json() for i in range(10)]
        assert {answer["model_version"] for answer in answers} == {"1"}
        assert client.post("/v2/models/churn/versions/2/infer", json=body()).status_code == 404
        until(lambda: metric(server, "custody_shadow_predictions_total") == 10)
        until(lambda: len(world.captures()) == 20)
    shadows = {str(one.of): one for one in world.captures() if one.mode is CaptureMode.SHADOW}
    for answer in answers:
        shadow = shadows[answer["parameters"]["prediction_id"]]
        assert (str(shadow.id.model), shadow.threshold, shadow.keys) == ("churn@2", 0.9, (answer["id"],))
        assert shadow.scores != answer["outputs"][0]["data"]


def test_a_shadow_that_needs_other_inputs_breaks_nothing(world: World) -> None:
    world.publish([world.with_candidate(world.service(world.target(tabular(1))), world.target(text(), 2), Mode.SHADOW)])
    with world.server() as server, server.client() as client:
        assert client.post("/v2/models/churn/infer", json=body()).status_code == 200
        until(lambda: metric(server, "custody_shadow_failures_total") == 1)
        assert client.post("/v2/models/churn/infer", json=body()).status_code == 200


def test_a_canarys_captures_carry_its_mode_and_model(world: World) -> None:
    world.publish([world.with_candidate(world.service(world.target(tabular(1))), world.target(tabular(2), 2), Mode.CANARY, 1.0)])
    with world.server() as server, server.client() as client:
        client.post("/v2/models/churn/infer", json=body())
        until(world.captures)
    (capture,) = world.captures()
    assert (capture.mode, str(capture.id.model)) == (CaptureMode.CANARY, "churn@2")


def names() -> Iterator[str]:
    return iter(f"01KJMMA2G{i:017d}" for i in range(1000))


def test_a_full_spool_sheds_new_lines_and_takes_them_again_when_there_is_room(world: World) -> None:
    ids = names()
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=25, roll_bytes=100)
    assert spool.append(str(CHURN), b"0123456789\n")
    assert spool.append(str(CHURN), b"0123456789\n")
    assert not spool.append(str(CHURN), b"0123456789\n")
    spool.roll()
    (path,) = spool.pending()
    spool.shipped(path, ship(path, world.objects, bytes))
    assert spool.append(str(CHURN), b"0123456789\n")


def test_a_spool_starts_a_new_file_at_its_size_limit_and_finds_all_of_them_again(world: World) -> None:
    ids = names()
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000, roll_bytes=20)
    for _ in range(5):
        spool.append(str(CHURN), b"0123456789\n")
    found = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000)
    paths = list(found.pending())
    assert [path.stat().st_size for path in paths] == [22, 22, 11]
    assert found.size_bytes == 55


def test_a_torn_last_line_is_not_shipped(world: World) -> None:
    ids = names()
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000)
    spool.append(str(CHURN), b"whole\n")
    spool.append(str(CHURN), b"torn")
    spool.roll()
    (path,) = spool.pending()
    assert ship(path, world.objects, bytes) == 10
    (name,) = world.objects.names("captures/")
    assert zlib.decompress(world.objects.read(name) or b"", 31) == b"whole\n"
    assert name.startswith(f"captures/{ACME}/")


def test_a_batch_that_was_shipped_before_the_process_was_killed_is_not_shipped_twice(world: World) -> None:
    ids = names()
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000)
    spool.append(str(CHURN), b"line\n")
    spool.roll()
    (path,) = spool.pending()
    copy = path.read_bytes()
    ship(path, world.objects, bytes)
    path.write_bytes(copy)  # as if it had been killed before the file was removed
    (again,) = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000).pending()
    ship(again, world.objects, bytes)
    assert len(list(world.objects.names("captures/"))) == 1
    assert not again.exists()


def test_a_spool_that_cannot_be_written_sheds(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", lambda: "x", most_bytes=1000)
    (tmp_path / "spool/acme").write_text("a file where the tenant's folder should be")
    assert not spool.append(str(CHURN), b"line\n")
    assert spool.size_bytes == 0


def test_a_shadow_queue_that_is_full_drops_and_counts(tmp_path: Path) -> None:
    metrics, memory = Metrics(), cast("Any", None)
    shadow = Shadow(Recorder(Spool(tmp_path, lambda: "x", most_bytes=1), metrics), metrics, memory, most=2, most_bytes=100)
    request = read_request(b'{"inputs":[]}', None)
    of = PredictionId(CHURN, 1, ModelRef("churn", 1), "01KJMMA2G00000000000000000")
    arm: Any = None  # nobody works on the queue
    for _ in range(3):
        shadow.show(arm, request, Parameters(), of)
    assert metrics.counts["shadow_dropped"] == 1
    shadow = Shadow(
        Recorder(Spool(tmp_path, lambda: "x", most_bytes=1), metrics), metrics, memory, most_bytes=2 * request.size_bytes
    )
    for _ in range(3):
        shadow.show(arm, request, Parameters(), of)
    assert metrics.counts["shadow_dropped"] == 2


def test_a_large_batch_is_answered_and_captured_whole(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server() as server, server.client() as client:
        answer = client.post("/v2/models/churn/infer", json=body(20_000)).json()
        assert answer["outputs"][0]["shape"] == [20_000]
        until(world.captures)
    (capture,) = world.captures()
    assert capture.rows == 20_000
    assert capture.scores == answer["outputs"][0]["data"]


def test_personal_data_in_a_text_is_removed_before_the_object_store_sees_it(world: World) -> None:
    scrubbed, kept = DeploymentKey(ACME, "prod", "toxicity"), DeploymentKey(ACME, "staging", "toxicity")
    service = world.service(world.target(text()), key=kept)
    world.publish([replace(service, key=scrubbed), replace(service, captures=CaptureRule(scrub=False))])
    asked_for = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 1], "data": ["write to kim@example.org"]}]}
    with world.server() as server, server.client() as client:
        for path in ("/v2/models/toxicity/infer", "/environments/staging/v2/models/toxicity/infer"):
            assert client.post(path, json=asked_for).status_code == 200
        until(lambda: len(world.captures()) == 2)
    stored = {capture.id.deployment: capture.inputs["text"] for capture in world.captures()}
    assert stored == {scrubbed: ["write to [EMAIL]"], kept: ["write to kim@example.org"]}


def test_a_share_of_the_rows_is_kept_and_all_are_counted(world: World) -> None:
    target = world.target(tabular(1), 7)
    columns: dict[str, Any] = {
        "age": [30.0, 31, 40, 50],
        "spend": [1.0, 10, 5, 7],
        "plan": ["basic"] * 4,
        "score": [0.1, 0.2, 0.7, 0.5],
    }
    reference = summarise({**columns, "decision": [True, False, True, True]}, specs_of({**columns, "decision": [True, False]}))
    digest = world.objects.put(msgspec.json.encode(reference.to_json()))
    service = replace(world.service(replace(target, reference=digest)), handling=Handling(capture_share=0.3))
    world.publish([service])
    with world.server() as server, server.client() as client:
        answers = [client.post("/v2/models/churn/infer", json=body(20)).json() for _ in range(10)]
    ids = [PredictionId.parse(one["parameters"]["prediction_id"]).of_row(row) for one in answers for row in range(20)]
    with world.server():
        until(lambda: not world.spooled)
    batches = [open_batch(world.objects.read(name) or b"") for name in world.objects.names("captures/")]
    kept = {one.id.of_row(place) for captures, _ in batches for one in captures for place in one.places or ()}
    assert kept == {one for one in ids if point_of_row(one) < 0.3}
    assert 20 < len(kept) < 120
    rest = [one for _, rest in batches for one in rest]
    assert sum(one.rows for one in rest) == 200 - len(kept)
    assert all(one.summary(reference.specs).column("spend").finite == one.rows for one in rest)
