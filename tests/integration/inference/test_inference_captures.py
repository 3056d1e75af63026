"""Every answered prediction is found in the object store, exactly once."""

import asyncio
import io
import json
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

import httpx
import msgspec
import numpy as np
import pytest
from inference_world import ACME, CHURN, GLOBEX, Server, World, body, metric, numeric, numeric_body, tabular, text
from test_inference_manifest import until

from custody.adapters.blobs.folder import FolderObjects
from custody.core.digest import Digest
from custody.core.errors import Denied, Unavailable
from custody.core.manifest import CaptureRule, Handling, Mode, Target
from custody.core.measures.spec import specs_of
from custody.core.measures.summary import summarise
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature, Tensor
from custody.core.tenancy import TenantId
from custody.inference.captures import ship as ship_module
from custody.inference.captures.prepare import Preparer
from custody.inference.captures.record import Recorder
from custody.inference.captures.shadow import Shadow
from custody.inference.captures.ship import Shipper
from custody.inference.captures.spool import Spool, ship, write_alone
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Memory, Slot
from custody.inference.models.scoring import Scored
from custody.inference.protocols.v2_request import read_request
from custody.serving import PLAIN, CaptureMode, Parameters, complete_lines, deployment_of, line_head, line_of_one
from custody.serving.sampling import open_batch, point_of_row


def asked(server: Server, answered: list[str], ended: threading.Event, request: dict[str, Any] | None = None) -> None:
    """Ask until the server is gone."""
    with server.client() as client:
        while not ended.is_set():
            try:
                answer = client.post("/v2/models/churn/infer", json=request or body())
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


def answered_until_killed(world: World, how: signal.Signals, request: dict[str, Any], seen: Callable[[], bool]) -> list[str]:
    """Return the predictions that two servers answered, each killed under load after what is to be seen; all is shipped."""
    answered: list[str] = []
    ended = threading.Event()
    for _ in range(2):
        with world.server() as server:
            threads = [threading.Thread(target=asked, args=(server, answered, ended, request)) for _ in range(3)]
            for thread in threads:
                thread.start()
            before = len(answered)
            until(lambda: seen() and len(answered) > before + 200)  # noqa: B023 - called at once
            server.process.send_signal(how)
            server.process.wait(20)
            for thread in threads:
                thread.join()
    if how is signal.SIGTERM:
        assert world.spooled == []
    with world.server():
        until(lambda: not world.spooled)
    return answered


@pytest.mark.parametrize("kind", ["texts", "numbers"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_answered_prediction_is_lost_or_doubled_when_the_process_is_killed_under_load(
    world: World, how: signal.Signals, kind: str
) -> None:
    """Numbers are recorded in the journal first, if that is compiled; texts at once in the spool."""
    model, request = (tabular(1), body()) if kind == "texts" else (numeric(), numeric_body())
    world.publish([world.service(world.target(model))])
    answered = answered_until_killed(world, how, request, lambda: len(world.captures()) > 20)
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
        until(lambda: metric(server, "custody_captured_predictions_total") == 3)
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
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=28, roll_bytes=100)
    assert spool.append(str(CHURN), b"0123456789\n")
    assert spool.append(str(CHURN), b"0123456789\n")
    assert not spool.append(str(CHURN), b"0123456789\n")
    spool.roll()
    (path,) = spool.pending()
    ship(path, world.objects, complete_lines)
    spool.shipped(path)
    assert spool.append(str(CHURN), b"0123456789\n")


def test_a_tenant_that_fills_the_spool_leaves_room_for_another(world: World) -> None:
    ids = names()
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=10_000, roll_bytes=1000)
    line = b"x" * 99 + b"\n"
    taken = 0
    while spool.append(str(CHURN), line):
        taken += 1
    assert taken == 80  # four fifths
    other = str(replace(CHURN, tenant=GLOBEX))
    assert all(spool.append(other, line) for _ in range(15))
    path = spool.begin(other, 100)
    assert path is not None
    assert write_alone(path, line)
    spool.end(path, 100, written=True)
    assert spool.begin(str(CHURN), 100) is None
    again = Spool(world.folder / "spool", lambda: next(ids), most_bytes=10_000)
    assert (again.size_bytes, spool.size_bytes) == (9600, 9600)
    assert not again.append(str(CHURN), line)
    for one in again.pending():
        ship(one, world.objects, complete_lines)
        again.shipped(one)
    assert again.size_bytes == 0
    assert again.append(str(CHURN), line)


def test_a_long_line_that_cannot_be_written_is_counted_and_leaves_no_file(tmp_path: Path) -> None:
    """A million rows are recorded in a thread, into a file of their own."""
    arm = shadow_arm(CHURN, None)
    rows = 400_000
    scored = Scored({"text": np.array(["abc"] * rows, dtype=object)}, np.zeros(rows), np.zeros(rows, bool), {}, (b"[]", b"[]"))

    async def recorded(most_bytes: int) -> tuple[int, int, list[int]]:
        ids = names()
        spool, metrics = Spool(tmp_path / str(most_bytes), lambda: next(ids), most_bytes=most_bytes), Metrics()
        recorder = Recorder(spool, metrics)

        async def away(work: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(None, work)

        await recorder.record_long(away, arm, scored, PLAIN, "0" * 26, 0)
        sizes = [path.stat().st_size for path in spool.pending()]
        assert sum(sizes) == spool.size_bytes
        return metrics.counts["captured_predictions"], metrics.counts["shed_predictions"], sizes

    captured, shed, (size,) = asyncio.run(recorded(10_000_000))
    assert (captured, shed) == (rows, 0)
    assert size > 2_000_000
    assert asyncio.run(recorded(1_000_000)) == (0, rows, [])
    (tmp_path / "9000000").mkdir()
    (tmp_path / "9000000/acme").write_text("a file where the tenant's folder should be")
    assert asyncio.run(recorded(9_000_000)) == (0, rows, [])
    assert not write_alone(tmp_path / "nowhere/x", b"line\n")


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
    assert ship(path, world.objects, complete_lines) == 10
    (name,) = world.objects.names("captures/")
    assert world.objects.read(name) == b"whole\n"
    assert name.startswith(f"captures/{ACME}/")


def test_a_batch_that_was_shipped_before_the_process_was_killed_is_not_shipped_twice(world: World) -> None:
    ids = names()
    spool = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000)
    spool.append(str(CHURN), b"line\n")
    spool.roll()
    (path,) = spool.pending()
    copy = path.read_bytes()
    ship(path, world.objects, complete_lines)
    path.write_bytes(copy)  # as if it had been killed before the file was removed
    (again,) = Spool(world.folder / "spool", lambda: next(ids), most_bytes=1000).pending()
    ship(again, world.objects, complete_lines)
    assert len(list(world.objects.names("captures/"))) == 1
    assert not again.exists()


def test_a_disk_that_takes_only_a_part_costs_records_and_no_answers(world: World) -> None:
    """A file may have 64 KiB here, so that the system writes a part of a longer line, as a disk does that becomes full."""
    world.publish([world.service(world.target(tabular(1)))])
    with world.changed("import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))") as server:
        with server.client() as client:
            answers = [client.post("/v2/models/churn/infer", json=body(rows)) for rows in (1, 5000, 1)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert metric(server, "custody_shed_predictions_total") == 5000
        assert server.stop() == 0
    kept = [answers[0], answers[2]]
    assert {str(one.id) for one in world.captures()} == {one.json()["parameters"]["prediction_id"] for one in kept}
    (log,) = world.folder.glob("log-*")
    assert log.read_text().count("were answered and not recorded") == 1


def test_a_file_in_which_nothing_stands_is_no_batch(tmp_path: Path) -> None:
    spool, objects, metrics = Spool(tmp_path / "spool", names().__next__, most_bytes=9), FolderObjects(tmp_path), Metrics()
    assert spool.append(str(CHURN), b"")
    asyncio.run(Shipper(spool, objects, metrics, complete_lines).ship())
    assert (metrics.counts["shipped_batches"], [*objects.names("captures/")], [*spool.pending()]) == (0, [], [])


def test_a_file_that_somebody_removed_is_forgotten_and_one_that_the_store_does_not_find_room_for_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, objects, metrics = Spool(tmp_path / "spool", names().__next__, most_bytes=1000), FolderObjects(tmp_path), Metrics()

    def lost(*_: object) -> bool:
        raise FileNotFoundError

    for _ in range(2):
        spool.append(str(CHURN), b"{}\n")
        spool.roll()
    removed, waits = spool.pending()
    removed.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(FolderObjects, "create", lost)
        asyncio.run(Shipper(spool, objects, metrics, complete_lines).ship())
    assert ([*spool.pending()], spool.size_bytes, metrics.counts["ship_failures"]) == ([waits], 3, 2)
    asyncio.run(Shipper(spool, objects, metrics, complete_lines).ship())
    assert ([*spool.pending()], spool.size_bytes, metrics.counts["shipped_batches"]) == ([], 0, 1)


def test_a_spool_that_cannot_be_written_sheds(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", lambda: "x", most_bytes=1000)
    (tmp_path / "spool/acme").write_text("a file where the tenant's folder should be")
    assert not spool.append(str(CHURN), b"line\n")
    assert spool.size_bytes == 0


class Held:
    """A model that runs when it may, and notes its name; `begun` tells that it waits."""

    provider, fell_back = "CPUExecutionProvider", False

    def __init__(self, name: str = "", noted: list[str] | None = None, *, free: bool = False) -> None:
        self.begun, self.go, self.name, self.noted = (
            threading.Event(),
            threading.Event(),
            name,
            noted if noted is not None else [],
        )
        if free:
            self.go.set()

    def run(self, inputs: Any, outputs: Any = None) -> dict[str, Any]:  # noqa: ARG002 - a model's shape
        self.begun.set()
        assert self.go.wait(20)
        self.noted.append(self.name)
        return {"p": np.full(len(inputs["x"]), 0.5)}

    def scores(self, inputs: Any) -> Any:
        return self.run(inputs)["p"]


def shadow_arm(key: DeploymentKey, model: Held | None, *, takes_s: float = 0.0) -> Arm:
    """Return an arm whose model is in memory, and is said to take so long a row; None leaves it to be loaded."""
    signature = Signature((Tensor("x", "FP32", (-1,)),), (Tensor("p", "FP64", (-1,)),), "p", ("a", "b"))
    target = Target(ModelRef("m", 2), Digest("a" * 64), signature, 0.5, None)
    slot = Slot(target, Loaded(model, takes_s) if model else None)
    line = line_head(str(PredictionId(key, 1, target.model, "")), CaptureMode.SHADOW, 0.5)
    return Arm(key, 1, CaptureMode.SHADOW, target, slot, str(key), {}, line)


def shown(shadow: Shadow, arm: Arm, times: int = 1) -> None:
    request = read_request(b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1.0]}]}', None)
    for _ in range(times):
        shadow.show(arm, request, Parameters(), arm, "01KJMMA2G00000000000000000")


def recorder_of(folder: Path) -> Recorder:
    ids = names()
    return Recorder(Spool(folder, lambda: next(ids), most_bytes=1 << 20), Metrics())


def test_what_is_shed_is_warned_of_once_a_minute(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    recorder = Recorder(Spool(tmp_path, lambda: "x", most_bytes=0), metrics)
    arm = shadow_arm(CHURN, None)
    scored = Scored({"x": np.zeros(1)}, np.full(1, 0.5), np.full(1, fill_value=True), {}, (b"[0.5]", b"[true]"))
    for _ in range(3):
        recorder.record(arm, scored, PLAIN, "01KJMMA2G00000000000000000", 0)
        recorder.flush()
    assert metrics.counts["shed_predictions"] == 3
    (said,) = caplog.messages
    assert said.startswith("predictions of acme/prod/churn were answered and not recorded")


def test_a_slow_shadow_holds_up_neither_another_tenants_nor_its_load(tmp_path: Path) -> None:
    never = threading.Event()

    class Loading:
        """A memory in which one model is loaded for ever."""

        def may_take(self, _: Slot) -> bool:
            return True

        async def ready(self, slot: Slot, _: TenantId) -> Loaded:
            if slot.loaded is None:
                await asyncio.get_running_loop().run_in_executor(None, never.wait, 20)
            assert slot.loaded is not None
            return slot.loaded

    async def main() -> None:
        shadow = Shadow(recorder_of(tmp_path), cast("Memory", Loading()))
        slow, beside, quick = Held(), Held(free=True), Held(free=True)
        arms = [
            shadow_arm(DeploymentKey(ACME, "prod", "slow"), slow, takes_s=1),
            shadow_arm(DeploymentKey(ACME, "prod", "cold"), None),
            shadow_arm(DeploymentKey(ACME, "prod", "beside"), beside, takes_s=1),
            shadow_arm(DeploymentKey(GLOBEX, "prod", "quick"), quick),
        ]
        for arm in arms[:2]:
            shown(shadow, arm, 10)
        await asyncio.to_thread(until, slow.begun.is_set)
        for arm in arms[2:]:
            shown(shadow, arm, 10)
        await asyncio.to_thread(until, lambda: arms[3].meter.rows == 10)
        assert slow.noted == beside.noted == []  # of one tenant one at a time
        slow.go.set()
        await asyncio.to_thread(until, lambda: arms[2].meter.rows == 10)
        assert [shadow.waiting(arm) for arm in arms] == [0, 0, 0, 0]  # ten of them are in hand
        never.set()
        await shadow.drain(20)
        assert [arm.meter.rows for arm in arms] == [10, 0, 10, 10]
        assert [arm.meter.failed for arm in arms] == [0, 10, 0, 0]
        assert [arm.meter.dropped for arm in arms] == [0, 0, 0, 0]

    asyncio.run(main())


def test_slow_candidates_of_one_tenant_take_turns(tmp_path: Path) -> None:
    class Slow(Held):
        """A model that takes longer than a turn."""

        def run(self, inputs: Any, outputs: Any = None) -> dict[str, Any]:
            time.sleep(0.006)
            return super().run(inputs, outputs)

    async def main() -> None:
        memory = Memory(lambda _: 1, lambda _: cast("Any", None), ThreadPoolExecutor(1))
        shadow = Shadow(recorder_of(tmp_path), memory)
        order: list[str] = []
        for name in ("one", "two"):
            shown(shadow, shadow_arm(DeploymentKey(ACME, "prod", name), Slow(name, order, free=True), takes_s=1), 5)
        await shadow.drain(20)
        assert order == ["one", "two"] * 5

    asyncio.run(main())


def test_small_requests_are_shown_together_and_one_that_fails_harms_no_other(tmp_path: Path) -> None:
    class Choosy(Held):
        """A model that answers every third request only."""

        def run(self, inputs: Any, outputs: Any = None) -> dict[str, Any]:
            found = super().run(inputs, outputs)
            if len(self.noted) % 3:
                raise ValueError(self.name)
            return found

    async def main() -> None:
        memory = Memory(lambda _: 1, lambda _: cast("Any", None), ThreadPoolExecutor(1))
        recorder = recorder_of(tmp_path)
        shadow, arm = Shadow(recorder, memory), shadow_arm(CHURN, Choosy(free=True))
        shown(shadow, arm, 40)
        await shadow.drain(20)
        assert (arm.meter.rows, arm.meter.failed, arm.meter.dropped, shadow.waiting(arm)) == (13, 27, 0, 0)

    asyncio.run(main())
    (spooled,) = tmp_path.glob("*/*.ndjson")
    lines = [json.loads(line)["unique"] for line in spooled.read_bytes().splitlines()]
    assert sum(map(len, lines)) == 13
    assert len(lines) < 13, "those that were shown together are one line"


def test_where_there_is_no_room_one_of_the_longest_line_is_dropped_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        memory = Memory(lambda _: 1, lambda _: cast("Any", None), ThreadPoolExecutor(1))
        shadow = Shadow(recorder_of(tmp_path), memory, most_bytes=10 * 64 * 1024)
        slow, quick = Held(), Held(free=True)
        flooded, other = shadow_arm(CHURN, slow, takes_s=1), shadow_arm(DeploymentKey(GLOBEX, "prod", "churn"), quick)
        shown(shadow, flooded, 1)
        await asyncio.to_thread(until, slow.begun.is_set)
        shown(shadow, flooded, 20)
        assert (shadow.waiting(flooded), flooded.meter.dropped) == (9, 11)
        shown(shadow, other, 3)
        assert (shadow.waiting(flooded), flooded.meter.dropped) == (6, 14)
        assert (shadow.waiting(other), other.meter.dropped) == (3, 0)
        await asyncio.to_thread(until, lambda: other.meter.rows == 3)
        await shadow.drain(0.0)
        assert (flooded.meter.rows, flooded.meter.dropped, shadow.waiting(flooded)) == (0, 20, 0)
        slow.go.set()

    asyncio.run(main())


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


def test_lines_of_numbers_that_are_all_kept_are_stored_as_they_are_and_not_copied(world: World) -> None:
    world.publish([world.service(world.target(numeric()))])
    noise = np.random.default_rng(1).normal(size=192).tolist()
    asked_for = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [64, 3], "data": noise}]}
    with world.server() as server, server.client() as client:
        answered = client.post("/v2/models/churn/infer", json=asked_for).json()["parameters"]["prediction_id"]
        until(world.captures)
        assert server.stop() == 0  # a process that is killed now may leave a journal of what it has stored
    (capture,) = world.captures()
    (path,) = world.folder.glob("objects/**/*.ndjson")
    assert (str(capture.id), capture.rows, world.spooled) == (answered, 64, [])
    assert path.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o660


def prepared(numbers: Arm, lines: bytes, *, share: float = 1.0) -> bytes | None:
    """Return what is stored of some lines; None if they stay as they are."""
    service = SimpleNamespace(handling=Handling(capture_share=share), captures=CaptureRule())
    served = SimpleNamespace(service=service, arms=(numbers,))
    pieces = Preparer(lambda: cast("Any", SimpleNamespace(served={CHURN: served})), cast("Any", None))(io.BytesIO(lines))
    return None if pieces is None else b"".join(pieces)


def test_whole_lines_of_known_targets_without_texts_stay_as_they_are_and_no_others() -> None:
    arm = replace(shadow_arm(CHURN, None), line=line_head(f"{str(CHURN).replace('/', ':')}:1:churn@1:", CaptureMode.LIVE, 0.5))

    def line(x: Any, head: bytes = arm.line) -> bytes:
        return line_of_one(head, 1, "0" * 26, 1, {"x": x}, b"[0.5]", b"[true]")

    noise = line(np.random.default_rng(1).normal(size=(64, 30)))
    assert prepared(arm, noise * 3) is None
    for others in (b"", line(np.zeros((64, 30))), noise + line([""], b'{"v":4,"id":"acme:prod:churn:2:churn@1:",')):
        assert prepared(arm, others) == others
    assert prepared(arm, noise * 3 + noise[:-1]) == noise * 3
    assert prepared(arm, noise, share=0.5) == noise  # nothing says by what it would be counted
    texts = line([f"write to kim{number}@example.org" for number in range(9)])
    with_texts = replace(arm, target=replace(arm.target, signature=Signature((Tensor("x", "BYTES", (-1,)),), (), "", ("a", "b"))))
    assert b"kim" not in (prepared(with_texts, texts) or b"kim")


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


def test_very_many_deployments_are_shipped_in_turns_the_longest_waiting_first(tmp_path: Path) -> None:
    spool, metrics = Spool(tmp_path / "spool", names().__next__, most_bytes=1 << 20), Metrics()
    shipper = Shipper(spool, FolderObjects(tmp_path), metrics, complete_lines)
    for count in (250, 150):  # as many answer again before their next turn
        for number in range(count):
            assert spool.append(f"acme/prod/{number}", b"line\n")

    async def main() -> None:
        shipped = []
        working = asyncio.create_task(shipper.work())
        while spool.size_bytes:
            await asyncio.sleep(0)
            shipped.append(metrics.counts["shipped_batches"])
        working.cancel()
        assert {100, 200, 250} <= {*shipped}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ship_module, "_ROLL_S", 0.05)
        asyncio.run(main())


def test_a_file_that_cannot_be_read_is_told_of_once_and_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool, objects, metrics = (
        Spool(tmp_path / "spool", iter("ab").__next__, most_bytes=1 << 20),
        FolderObjects(tmp_path),
        Metrics(),
    )
    for deployment, line in (("one", b"no line of a capture\n"), ("two", b'{"v":4,"id":"acme:prod:two:"}\n')):
        assert spool.append(f"acme/prod/{deployment}", line)

    def prepare(file: IO[bytes]) -> Iterator[bytes]:
        for piece in complete_lines(file):
            assert deployment_of(piece).tenant == ACME
            yield piece

    shipper = Shipper(spool, objects, metrics, prepare)
    for _ in range(2):
        asyncio.run(shipper.ship())
    assert [*objects.names("captures/")] == ["captures/acme/b.ndjson"]
    assert [path.name for path in spool.pending()] == ["a.ndjson"]
    assert (metrics.counts["ship_failures"], metrics.counts["shipped_batches"]) == (2, 1)
    assert caplog.text.count("cannot be shipped") == 1


def test_a_tenant_whose_keys_are_gone_holds_up_no_other_and_a_store_that_is_away_makes_no_more_files(tmp_path: Path) -> None:
    ids = names()
    spool, metrics = Spool(tmp_path / "spool", lambda: next(ids), most_bytes=1 << 20), Metrics()
    objects = FolderObjects(tmp_path)
    away: list[Exception] = []

    class Sealed:
        def create(self, name: str, body: bytes) -> bool:
            if away:
                raise away[0]
            if "/acme/" in name:
                raise Denied("The keys of acme were destroyed.")
            return objects.create(name, body)

    shipper = Shipper(spool, cast("Any", Sealed()), metrics, complete_lines)
    for tenant in (ACME, GLOBEX):
        assert spool.append(f"{tenant}/prod/churn", b"line\n")
    asyncio.run(shipper.ship())
    assert [name.split("/")[1] for name in objects.names("captures/")] == [GLOBEX]
    for trouble in (Unavailable("away"), ConnectionError("away")):
        away[:] = [trouble]
        for _ in range(5):
            assert spool.append(f"{GLOBEX}/prod/churn", b"line\n")
            asyncio.run(shipper.ship())
        assert (len([*spool.pending()]), spool.open_files) == (2, 1)  # what was closed before is tried again
        away.clear()
        asyncio.run(shipper.ship())
        asyncio.run(shipper.ship())
        assert ([path.parent.name for path in spool.pending()], spool.open_files) == ([ACME], 0)
