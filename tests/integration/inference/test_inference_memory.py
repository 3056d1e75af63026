"""Many models in little memory: loaded when asked for, dropped when others need the room, and never each other's trouble."""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from inference_world import ACME, GLOBEX, Server, World, bearer, body, metric, tabular, text
from test_inference_manifest import bad_onnx, no_parity, until

from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.digest import Digest
from custody.core.errors import Unavailable
from custody.core.manifest import Mode, Service, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.schema import Signature
from custody.core.tenancy import TenantId
from custody.inference.app import InferenceApp
from custody.inference.models.memory import Loaded, Memory, Slot, cost_of
from custody.serving import Model, fixture_arrays

ROOM = f"{3.4 * cost_of(1500) / 2**20:.4f}"  # MiB: three of the small models, not four
SEEDS = range(1, 11)


def key_of(number: int) -> DeploymentKey:
    return DeploymentKey(ACME if number % 2 else GLOBEX, "prod", f"m{number}")


def services(world: World, seeds: range = SEEDS) -> list[Service]:
    return [world.service(world.target(tabular(seed), seed), key=key_of(seed)) for seed in seeds]


def ask(server: Server, number: int) -> httpx.Response:
    key = key_of(number)
    return httpx.post(
        f"{server.url}/tenants/{key.tenant}/v2/models/{key.name}/infer", json=body(), headers=bearer(key.tenant), timeout=30
    )


def expected(number: int) -> list[float]:
    row: dict[str, Any] = {"age": [30.5], "spend": [10.0], "plan": ["basic"]}
    arrays = fixture_arrays(replace(tabular(number).fixture, inputs=row), tabular(number).signature)
    found: list[float] = OnnxModel(tabular(number).onnx, tabular(number).signature).scores(arrays).tolist()
    return found


def test_ten_models_answer_in_the_room_of_three(world: World) -> None:
    world.publish(services(world))
    with world.server("--memory-mb", ROOM) as server:
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
        assert metric(server, "custody_models_loaded") == 3
        for _ in range(2):
            for number in SEEDS:
                answer = ask(server, number).json()
                assert answer["outputs"][0]["data"] == expected(number)
                assert metric(server, "custody_models_loaded") <= 3
        assert metric(server, "custody_models_bytes") <= float(ROOM) * 2**20
        assert metric(server, "custody_model_loads_total") == 3 + 20 - 3  # each comes back after nine others
        assert metric(server, "custody_model_evictions_total") == 17


def test_the_one_that_was_used_last_stays(world: World) -> None:
    world.publish(services(world, range(1, 6)))
    with world.server("--memory-mb", ROOM) as server:
        for number in (4, 1, 5, 1, 2, 1, 3, 1):
            ask(server, number)
        loads = metric(server, "custody_model_loads_total")
        ask(server, 1)
        assert metric(server, "custody_model_loads_total") == loads
        index = httpx.post(f"{server.url}/tenants/acme/v2/repository/index", headers=bearer(ACME)).json()
        assert {one["name"]: one["state"] for one in index} == {"m1": "READY", "m3": "READY", "m5": "READY"}
        assert [one["name"] for one in index if "loaded when it is asked for" in one["reason"]] == ["m5"]


def test_without_a_bound_or_with_enough_room_all_are_loaded_before_the_first_request(world: World) -> None:
    world.publish(services(world, range(1, 5)))
    for flags in ((), ("--memory-mb", "10")):
        with world.server(*flags) as server:
            assert metric(server, "custody_models_loaded") == 4
            ask(server, 4)
            assert (metric(server, "custody_model_loads_total"), metric(server, "custody_model_evictions_total")) == (4, 0)


def test_under_load_on_more_models_than_fit_every_answer_is_right(world: World) -> None:
    world.publish(services(world))
    wrong: list[Any] = []
    right = {number: expected(number) for number in SEEDS}

    def work(first: int) -> None:
        for step in range(40):
            number = (first * 3 + step * 7) % 10 + 1
            answer = ask(server, number)
            if answer.status_code != 200 or answer.json()["outputs"][0]["data"] != right[number]:
                wrong.append((number, answer.status_code, answer.text))

    with world.server("--memory-mb", ROOM) as server:
        threads = [threading.Thread(target=work, args=(first,)) for first in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert metric(server, "custody_models_loaded") <= 3
        assert metric(server, "custody_model_evictions_total") > 20
    assert wrong == []


@pytest.mark.parametrize(("bad", "words"), [(bad_onnx, "not an ONNX model"), (no_parity, "differ from the original")])
def test_a_cold_model_that_does_not_load_says_why_and_touches_no_other(world: World, bad: Any, words: str) -> None:
    broken = world.service(bad(world), key=DeploymentKey(ACME, "prod", "broken"))
    world.publish([*services(world, range(1, 6)), broken])
    with world.server("--memory-mb", ROOM) as server, server.client() as client:
        (line,) = [one for one in client.post("/v2/repository/index").json() if one["name"] == "broken"]
        assert line["reason"] == "not in memory and not checked yet: it is loaded when it is asked for"
        for _ in range(3):
            answer = client.post("/v2/models/broken/infer", json=body())
            assert answer.status_code == 503
            assert words in answer.json()["error"]
            assert ask(server, 1).status_code == 200
        assert metric(server, "custody_model_failures_total") == 1  # not tried again at every request
        assert client.get("/v2/models/broken/ready").status_code == 503
        (line,) = [one for one in client.post("/v2/repository/index").json() if one["name"] == "broken"]
        assert (line["state"], words in line["reason"]) == ("UNAVAILABLE", True)
        assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200


def test_a_model_is_ready_when_it_was_checked_once_and_is_checked_when_somebody_asks(world: World) -> None:
    broken = world.service(bad_onnx(world), key=DeploymentKey(ACME, "prod", "broken"))
    world.publish([*services(world, range(1, 6)), broken])
    with world.server("--memory-mb", ROOM) as server, server.client() as client:
        for _ in range(2):
            answer = client.get("/v2/models/broken/ready")
            assert (answer.status_code, "not an ONNX model" in answer.json()["error"]) == (503, True)
        assert (metric(server, "custody_models_loaded"), metric(server, "custody_model_loads_total")) == (2, 3)
        for _ in range(2):
            assert [client.get(f"/v2/models/m{number}/ready").status_code for number in (1, 3, 5)] == [200, 200, 200]
            assert metric(server, "custody_model_loads_total") == 4  # m5 alone, and once: then it was checked


def test_what_replaces_a_served_model_is_checked_before_it_is_served_even_if_it_is_cold(world: World) -> None:
    first = services(world, range(1, 6))
    world.publish(first)
    with world.server("--memory-mb", ROOM) as server, server.client() as client:
        worse = replace(first[4], revision=2, live=bad_onnx(world))
        better = replace(first[0], revision=2, live=world.target(tabular(9), 9))
        world.publish([better, *first[1:4], worse])
        until(lambda: ask(server, 1).json()["outputs"][0]["data"] == expected(9))
        assert ask(server, 5).json()["outputs"][0]["data"] == expected(5)
        assert "not an ONNX model" in client.get("/v2").json()["manifest"]["failures"]["m5"]
        assert metric(server, "custody_models_loaded") <= 3


def test_a_change_of_one_deployment_loads_no_other(world: World) -> None:
    first = services(world, range(1, 7))
    world.publish(first)
    with world.server("--memory-mb", ROOM) as server:
        ask(server, 6)
        loads = metric(server, "custody_model_loads_total")
        target = replace(first[0].live, threshold=0.25)
        sequence = world.publish([replace(first[0], revision=2, live=target), *first[1:]])
        until(lambda: metric(server, "custody_manifest_sequence") == sequence)
        assert metric(server, "custody_model_loads_total") == loads


def test_a_cold_model_is_loaded_while_the_object_store_is_away(world: World) -> None:
    world.publish(services(world, range(1, 6)))
    with world.server("--memory-mb", ROOM) as server:
        shutil.rmtree(world.folder / "objects")
        assert ask(server, 5).status_code == 200
        server.kill()
    with world.server("--memory-mb", ROOM) as server:
        assert {ask(server, number).status_code for number in range(1, 6)} == {200}


def test_a_model_that_is_larger_than_all_the_room_says_so(world: World) -> None:
    world.publish(services(world, range(1, 2)))
    with world.server("--memory-mb", "0.1") as server:
        answer = ask(server, 1)
        assert answer.status_code == 503
        assert "--memory-mb" in answer.json()["error"]


def test_a_cold_shadow_displaces_no_model_in_use_and_what_it_did_not_see_is_counted(world: World) -> None:
    shadowed = world.with_candidate(services(world, range(1, 2))[0], world.target(tabular(8), 8), Mode.SHADOW)
    world.publish([*services(world, range(2, 6)), shadowed])
    with world.server("--memory-mb", ROOM) as server:
        ask(server, 1)
        until(lambda: metric(server, "custody_shadow_dropped_total") == 1)
        assert metric(server, "custody_shadow_predictions_total") == 0
        assert metric(server, "custody_model_evictions_total") <= 1  # for the live one


def test_what_nobody_waits_for_takes_the_room_of_idle_models_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = memory_of(1)
    live, shadow = memory.slot(target(1)), memory.slot(target(2))
    memory.load(live)
    assert not memory.may_take(shadow)
    monkeypatch.setattr("custody.inference.models.memory._IDLE_NS", -1)
    assert memory.may_take(shadow)
    memory.keep([target(1)])  # its trial is over
    assert not memory.may_take(shadow)
    assert memory.may_take(live)


class Held:
    """A model that nobody needs to run."""

    provider, fell_back = "CPUExecutionProvider", False


def memory_of(most: int, make: Callable[[Target], Loaded] | None = None, sizes: int = 1000) -> Memory:
    made = make or (lambda _: Loaded(cast("Model", Held()), 0.0))
    return Memory(lambda _: sizes, made, ThreadPoolExecutor(4), most_bytes=most * cost_of(sizes))


def target(number: int) -> Target:
    return Target(ModelRef("m", 1), Digest(f"{number:064x}"), text().signature, 0.5, None)


def test_what_is_in_use_survives_that_it_is_dropped() -> None:
    memory = memory_of(1)
    held = memory.load(memory.slot(target(1)))
    memory.load(memory.slot(target(2)))
    assert memory.slot(target(1)).loaded is None
    assert isinstance(held.model, Held)
    assert (memory.loaded, memory.bytes, memory.evictions) == (1, cost_of(1000), 1)


def test_callers_of_one_model_share_one_attempt() -> None:
    made: list[Target] = []
    go = threading.Event()

    def make(one: Target) -> Loaded:
        made.append(one)
        go.wait(10)
        return Loaded(cast("Model", Held()), 0.0)

    async def main() -> set[int]:
        memory = memory_of(2, make)
        slot = memory.slot(target(1))
        waiting = [asyncio.create_task(memory.ready(slot, ACME)) for _ in range(20)]
        await asyncio.sleep(0.05)
        waiting[0].cancel()  # one caller going away takes nothing from the others
        go.set()
        return {id(one) for one in await asyncio.gather(*waiting[1:])}

    assert len(asyncio.run(main())) == 1
    assert len(made) == 1


def test_a_tenant_that_loads_many_slow_models_does_not_hold_up_another() -> None:
    go = threading.Event()

    def make(one: Target) -> Loaded:
        if one.artifact != target(99).artifact:
            assert go.wait(10)
        return Loaded(cast("Model", Held()), 0.0)

    async def main() -> None:
        memory = memory_of(50, make)
        slow = [asyncio.create_task(memory.ready(memory.slot(target(number)), ACME)) for number in range(20)]
        await asyncio.sleep(0.05)
        await asyncio.wait_for(memory.ready(memory.slot(target(99)), GLOBEX), 5)
        assert not any(one.done() for one in slow)
        go.set()
        await asyncio.gather(*slow)

    asyncio.run(main())


def test_a_failure_is_told_to_all_who_wait_and_tried_again_later() -> None:
    attempts: list[int] = []

    def make(_: Target) -> Loaded:
        attempts.append(1)
        raise ValueError("no")

    async def main() -> Slot:
        memory = memory_of(2, make)
        slot = memory.slot(target(1))
        for _ in range(2):
            found = await asyncio.gather(*(memory.ready(slot, ACME) for _ in range(5)), return_exceptions=True)
            assert {type(one) for one in found} == {Unavailable}
        assert (len(attempts), memory.bytes, memory.failures) == (1, 0, 1)
        slot.due = 0.0
        with pytest.raises(Unavailable, match="no"):
            await memory.ready(slot, ACME)
        return slot

    slot = asyncio.run(main())
    assert (len(attempts), slot.wait_s) == (2, 2.0)


def test_loads_that_do_not_fit_side_by_side_wait_for_each_other() -> None:
    inside: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def make(_: Target) -> Loaded:
        with lock:
            inside.append(1)
            most.append(len(inside))
        threading.Event().wait(0.01)
        with lock:
            inside.pop()
        return Loaded(cast("Model", Held()), 0.0)

    memory = memory_of(2, make)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: memory.load(memory.slot(target(number))), range(30)))
    assert max(most) <= 2
    assert (memory.loaded, memory.bytes) == (2, 2 * cost_of(1000))


def test_what_is_forgotten_while_it_loads_is_used_once_and_not_counted() -> None:
    go, begun = threading.Event(), threading.Event()

    def make(_: Target) -> Loaded:
        begun.set()
        assert go.wait(10)
        return Loaded(cast("Model", Held()), 0.0)

    memory = memory_of(2, make)
    slot = memory.slot(target(1))
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(memory.load, slot)
        assert begun.wait(10)
        memory.keep([])
        go.set()
        assert isinstance(loading.result(10).model, Held)
    assert (memory.loaded, memory.bytes, slot.loaded) == (0, 0, None)


def test_one_file_of_two_tenants_is_in_memory_once(world: World) -> None:
    same = world.target(tabular(1), 1)
    keys = [DeploymentKey(tenant, "prod", "churn") for tenant in (ACME, GLOBEX, TenantId("default"))]
    world.publish([world.service(replace(same, threshold=at / 4), key=key) for at, key in enumerate(keys, start=1)])
    with world.server() as server:
        assert metric(server, "custody_models_loaded") == 1


def test_a_timeout_ends_the_wait_for_a_cold_model_and_not_its_loading(world: World, tmp_path: Path) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    go, loads = threading.Event(), list[int]()

    def load(body: bytes, signature: Signature) -> OnnxModel:
        loads.append(1)
        if len(loads) > 1:
            assert go.wait(20)
        return OnnxModel(body, signature)

    async def calls() -> list[int]:
        app = InferenceApp(world.objects, load, world.public_key, tmp_path / "state")
        headers = [(name.encode(), value.encode()) for name, value in bearer(ACME).items()]

        async def asked(path: str, content: dict[str, Any]) -> int:
            return (await app.respond(app.exchange("POST", path.encode(), headers, json.dumps(content).encode()))).status

        infer = "/tenants/acme/v2/models/churn/infer"
        await app._start()
        found = [await asked("/tenants/acme/v2/repository/models/churn/unload", {})]
        found.append(await asked(infer, body(parameters={"timeout": 20_000})))
        go.set()
        found.append(await asked(infer, body(parameters={"timeout": 20_000_000})))
        await app._stop()
        return found

    assert asyncio.run(calls()) == [200, 504, 200]
    assert len(loads) == 2
