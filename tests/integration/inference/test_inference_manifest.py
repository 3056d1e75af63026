"""Following the manifest: new revisions, bad ones, and none at all."""

import asyncio
import shutil
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from inference_world import ACME, CHURN, Server, World, body, metric, tabular, text

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.digest import Digest
from custody.core.refs import DeploymentKey
from custody.inference.app import InferenceApp
from custody.inference.models.memory import cost_of

OTHER = DeploymentKey(ACME, "prod", "other")


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def revision(client: httpx.Client, name: str = "churn") -> int:
    answer = client.post(f"/v2/models/{name}/infer", json=body())
    assert answer.status_code == 200, answer.text
    return int(answer.json()["parameters"]["revision"])


class Load(threading.Thread):
    """Asks without a pause and keeps every answer."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server, self.answers, self.ended = server, list[httpx.Response](), threading.Event()

    def run(self) -> None:
        with self.server.client() as client:
            while not self.ended.is_set():
                self.answers.append(client.post("/v2/models/churn/infer", json=body()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()


def test_a_new_revision_goes_live_under_load_without_a_failed_request(world: World) -> None:
    world.publish([world.service(world.target(tabular(1), 1), revision=1)])
    with world.server() as server, Load(server) as one, Load(server) as two:
        until(lambda: one.answers and two.answers)
        for number in (2, 3):
            world.publish([world.service(world.target(tabular(number), number), revision=number)])
            until(lambda number=number: f'"revision":{number},' in one.answers[-1].text)  # type: ignore[misc]
    answers = [*one.answers, *two.answers]
    assert {answer.status_code for answer in answers} == {200}
    for load in (one, two):
        revisions = [answer.json()["parameters"]["revision"] for answer in load.answers]
        assert revisions == sorted(revisions)
    assert {answer.json()["model_version"] for answer in answers} == {"1", "2", "3"}


def test_a_restart_serves_from_its_cache_while_the_object_store_is_away(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)), revision=4), world.service(world.target(text()), key=OTHER)])
    with world.server() as server, server.client() as client:
        assert revision(client) == 4
        server.kill()
    shutil.rmtree(world.folder / "objects")
    with world.server() as server, server.client() as client:
        assert revision(client) == 4
        assert client.get("/v2/models/other/ready").status_code == 200
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200


def test_a_server_without_a_manifest_lives_but_is_not_ready_and_becomes_so(world: World) -> None:
    with world.server() as server, server.client() as client:
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 503
        assert client.post("/v2/models/churn/infer", json=body()).status_code == 503
        world.publish([world.service(world.target(tabular(1)))])
        until(lambda: httpx.get(f"{server.url}/v2/health/ready").status_code == 200)
        assert revision(client) == 1


def bad_onnx(world: World) -> Any:
    return replace(world.target(tabular(1)), artifact=world.objects.put(b"this is no model"))


def other_signature(world: World) -> Any:
    return replace(world.target(tabular(1)), signature=text().signature)


def no_parity(world: World) -> Any:
    fixture = replace(tabular(1).fixture, scores=[0.5] * len(tabular(1).fixture.scores))
    return replace(world.target(tabular(1)), parity=world.objects.put(msgspec.json.encode(fixture)))


def absent(world: World) -> Any:
    return replace(world.target(tabular(1)), artifact=Digest("0" * 64))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (bad_onnx, "not an ONNX model"),
        (other_signature, "Its inputs are"),
        (no_parity, "differ from the original"),
        (absent, "no object"),
    ],
)
def test_a_model_that_does_not_load_keeps_its_old_revision_and_the_others_move_on(world: World, bad: Any, words: str) -> None:
    good = world.target(tabular(1))
    world.publish([world.service(good), world.service(good, key=OTHER)])
    with world.server() as server, server.client() as client:
        failures = metric(server, "custody_manifest_failures_total")
        world.publish([world.service(bad(world), revision=2), world.service(world.target(tabular(2), 2), revision=2, key=OTHER)])
        until(lambda: revision(client, "other") == 2)
        assert revision(client) == 1
        metadata = client.get("/v2").json()["manifest"]
        assert (metadata["sequence"], metadata["current"]) == (2, False)
        assert words in metadata["failures"]["churn"]
        assert metric(server, "custody_manifest_failures_total") > failures
        server.kill()
    shutil.rmtree(world.folder / "objects")
    with world.server() as server, server.client() as client:  # the mixture survives a restart without the store
        assert (revision(client), revision(client, "other")) == (1, 2)
    assert words in (log := "".join(path.read_text() for path in world.folder.glob("log-*")))
    assert "Traceback" not in log


def test_a_service_that_never_loaded_says_so_and_comes_when_it_is_mended(world: World) -> None:
    target = world.target(tabular(1))
    body_of = world.objects.get(target.artifact)
    hidden = world.folder / "objects/objects" / target.artifact[:2] / target.artifact[2:]
    hidden.unlink()
    world.publish([world.service(target)])
    with world.server() as server, server.client() as client:
        answer = client.post("/v2/models/churn/infer", json=body())
        assert answer.status_code == 503
        assert "not loaded" in answer.json()["error"]
        assert client.post("/v2/repository/index").json()[0]["state"] == "UNAVAILABLE"
        assert client.get("/v2/models/churn/ready").status_code == 503
        world.objects.put(body_of)
        until(lambda: client.get("/v2/models/churn/ready").status_code == 200)
        until(lambda: client.get("/v2").json()["manifest"] == {"sequence": 1, "current": True, "failures": {}})


def test_a_manifest_that_is_forged_or_old_or_garbage_changes_nothing(world: World) -> None:
    good = world.target(tabular(1))
    world.publish([world.service(good, revision=5)], sequence=5)
    with world.server() as server, server.client() as client:
        seen = metric(server, "custody_manifest_failures_total")
        for publish in (
            lambda: world.publish([], sequence=9, key=Ed25519PrivateKey.generate()),
            lambda: world.publish([], sequence=4),
            lambda: world.objects.publish("manifest/current", b"garbage"),
        ):
            publish()
            until(lambda seen=seen: metric(server, "custody_manifest_failures_total") > seen)  # type: ignore[misc]
            seen = metric(server, "custody_manifest_failures_total")
            assert revision(client) == 5
            assert client.get("/v2").json()["manifest"]["current"] is False
        world.publish([world.service(good, revision=6)], sequence=6)
        until(lambda: revision(client) == 6)
        assert metric(server, "custody_manifest_sequence") == 6
        assert client.get("/v2").json()["manifest"]["current"] is True


def test_a_deployment_that_was_removed_and_a_key_that_was_revoked_are_gone(world: World) -> None:
    target = world.target(tabular(1))
    world.publish([world.service(target), world.service(target, key=OTHER)])
    with world.server() as server, server.client() as client:
        assert revision(client, "other") == 1
        world.publish([world.service(target)])
        until(lambda: client.get("/v2/models/other").status_code == 404)
        assert revision(client) == 1


def test_a_new_threshold_or_revision_of_the_same_file_loads_nothing(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server() as server, server.client() as client:
        shutil.rmtree(world.folder / "objects/objects")  # whatever had to be loaded would now fail ...
        shutil.rmtree(world.folder / "state/objects")
        (world.folder / "state/objects").mkdir()
        target = replace(world.target(tabular(1), threshold=0.99), artifact=world.target(tabular(1)).artifact)
        shutil.rmtree(world.folder / "objects/objects")  # ... also what describing the target stored again
        world.publish([world.service(target, revision=2)])
        until(lambda: revision(client) == 2)
        answer = client.post("/v2/models/churn/infer", json=body()).json()
        assert (answer["parameters"]["threshold"], answer["outputs"][1]["data"]) == (0.99, [False])


def in_this_process(world: World, load: Any, work: Callable[[InferenceApp], Awaitable[None]], **more: Any) -> None:
    async def run() -> None:
        app = InferenceApp(world.objects, load, world.public_key, world.folder / "state", **more)
        await app._start()
        try:
            await work(app)
        finally:
            await app._stop()

    asyncio.run(run())


async def reached(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


def copied(world: World) -> Path:
    """Return a copy of the state folder, as it would be found after a sudden end."""
    shutil.copytree(world.folder / "state", world.folder / "state-copied")
    return world.folder / "state-copied"


def test_a_slow_model_of_one_deployment_holds_up_no_rollback_of_another_and_no_key(world: World) -> None:
    """The rollback comes with the slow model in one manifest, and in the next one while it is being loaded."""
    one, two, slow = (world.target(tabular(seed), seed) for seed in (1, 2, 3))
    begun, go, new = threading.Event(), threading.Event(), replace(CHURN, name="new")

    def load(body: bytes, signature: Any) -> OnnxModel:
        if body == tabular(3).onnx:
            begun.set()
            assert go.wait(30)
        return OnnxModel(body, signature)

    world.publish([world.service(one), world.service(two, key=OTHER)])

    async def work(app: InferenceApp) -> None:
        def serves() -> dict[str, int]:
            return {key.name: served.service.revision for key, served in app.view.state.served.items()}

        assert serves() == {"churn": 1, "other": 1}
        world.publish([world.service(two, 2), world.service(slow, 2, key=OTHER), world.service(slow, key=new)])
        await reached(begun.is_set)
        await reached(lambda: serves() == {"churn": 2, "other": 1})
        assert app.view.state.failures == {new: "Its model is being loaded."}  # 503, and not 404
        newest = world.publish([world.service(one, 3), world.service(slow, 2, key=OTHER), world.service(slow, key=new)])
        await reached(lambda: serves() == {"churn": 3, "other": 1})
        assert app.view.state.sequence < newest  # not all of it is served yet
        kept = sorted(path.name for path in (world.folder / "state/manifests").iterdir())
        assert kept[-1] == f"{newest:020d}.json"  # a restart begins with it
        again = InferenceApp(world.objects, OnnxModel, world.public_key, copied(world))
        await again._follower.start()
        assert again.view.state.served[CHURN].service.revision == 3
        await again._stop()
        go.set()
        await reached(lambda: app.view.state.sequence == newest)
        assert (serves(), app.view.state.failures) == ({"churn": 3, "other": 2, "new": 1}, {})
        assert app._follower.problem == ""

    in_this_process(world, load, work)


def test_a_model_that_fails_its_check_is_tried_once_and_takes_no_room_of_others(world: World) -> None:
    wrong = replace(tabular(3), fixture=replace(tabular(3).fixture, scores=[0.99] * len(tabular(3).fixture.scores)))
    one, two, bad = world.target(tabular(1), 1), world.target(tabular(2), 2), world.target(wrong, 3)
    world.publish([world.service(one), world.service(two, key=OTHER)])

    async def work(app: InferenceApp) -> None:
        memory = app._follower._library.memory
        world.publish([world.service(bad, 2), world.service(two, key=OTHER)])
        await reached(lambda: "differ" in app._follower.problem)
        evicted = memory.evictions
        tries = app.metrics.counts["manifest_failures"]
        await reached(lambda: app.metrics.counts["manifest_failures"] > tries + 1)
        assert (memory.failures, memory.evictions) == (1, evicted)
        assert app.view.state.served[CHURN].service.revision == 1
        world.publish([world.service(two, 3), world.service(two, key=OTHER)])
        await reached(lambda: app.view.state.served[CHURN].service.revision == 3)
        assert app._follower._library._refused == {}

    in_this_process(world, OnnxModel, work, memory_bytes=2 * cost_of(2000))


def test_a_full_disk_keeps_no_model_in_memory_that_nobody_needs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish([world.service(world.target(tabular(1), 1))])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def work(app: InferenceApp) -> None:
        monkeypatch.setattr("custody.inference.models.cache._write", full)
        for seed in (2, 3, 4):
            world.publish([world.service(world.target(tabular(seed), seed), seed)])
            await reached(lambda: app.view.state.served[CHURN].service.revision == seed)  # noqa: B023 - awaited here
        await reached(lambda: app._follower._library.memory.loaded == 1)

    in_this_process(world, OnnxModel, work)


def test_two_servers_cannot_share_a_state_folder(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)), key=CHURN)])
    with world.server(), pytest.raises(AssertionError, match="Another inference server uses this state folder"), world.server():
        pass
