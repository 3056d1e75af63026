"""Requests that wait for one arm are run together: everybody gets their own answer, and their own failure."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from inference_world import ACME, CHURN, World, body, metric, metrics_of, tabular
from numpy.typing import NDArray

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.core.manifest import Handling, Target
from custody.core.refs import ModelRef
from custody.core.schema import Signature, Tensor
from custody.inference.batching import Batch
from custody.inference.metrics import Metrics
from custody.inference.models.library import Arm
from custody.inference.models.memory import Loaded, Slot
from custody.inference.models.scoring import Scored
from custody.serving import CaptureMode


class Doubling:
    """A model whose score is twice its input; a negative input breaks the whole run."""

    provider, fell_back = "CPUExecutionProvider", False

    def __init__(self) -> None:
        self.runs: list[int] = []

    def scores(self, inputs: Any) -> NDArray[np.float64]:
        return np.asarray(self.run(inputs)["p"][:, 0], np.float64)

    def run(self, inputs: Any, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        x = inputs["x"]
        self.runs.append(len(x))
        if (x < 0).any():
            raise InvalidInput("negative")
        found = {"p": 2 * x, "echo": x}
        return {name: found[name] for name in outputs or found}


SIGNATURE = Signature(
    (Tensor("x", "FP32", (-1, 1)),), (Tensor("p", "FP32", (-1, 1)), Tensor("echo", "FP32", (-1, 1))), "p", ("a", "b")
)


def batch(most: int, wait_s: float = 0.0) -> tuple[Batch, Loaded, Doubling, Metrics]:
    target = Target(ModelRef("churn", 1), Digest("a" * 64), SIGNATURE, 0.5, None)
    arm = Arm(CHURN, 1, CaptureMode.LIVE, target, Slot(target), str(CHURN), {}, b"")
    model, metrics = Doubling(), Metrics()

    async def away(work: Any) -> Any:
        return work()

    return Batch(arm, most, wait_s, away=away, inline_s=1.0, metrics=metrics), Loaded(model, 1e-6), model, metrics


def rows(*values: float) -> dict[str, NDArray[Any]]:
    return {"x": np.array(values, np.float32).reshape(-1, 1)}


def asked(most: int, *requests: tuple[float, ...], wait_s: float = 0.0) -> tuple[list[Any], list[int], Metrics]:
    async def ask() -> tuple[list[Any], list[int], Metrics]:
        one, loaded, model, metrics = batch(most, wait_s)
        calls = [one.scored(loaded, rows(*values), len(values), ("echo",)) for values in requests]
        return await asyncio.gather(*calls, return_exceptions=True), model.runs, metrics

    return asyncio.run(ask())


@pytest.mark.parametrize("wait_s", [0.0, 0.002])
def test_everybody_gets_the_answer_to_their_own_rows(wait_s: float) -> None:
    found, runs, metrics = asked(100, (0.1,), (0.2, 0.3), (0.4,), wait_s=wait_s)
    assert [[round(score, 3) for score in one.scores] for one in found] == [[0.2], [0.4, 0.6], [0.8]]
    assert [list(one.decisions) for one in found] == [[False], [False, True], [True]]
    assert [one.outputs["echo"].tolist() for one in found] == [rows(*each)["x"].tolist() for each in ((0.1,), (0.2, 0.3), (0.4,))]
    assert [one.written[1] for one in found] == [b"[false]", b"[false,true]", b"[true]"]
    assert runs == [4]
    assert (metrics.counts["batches"], metrics.counts["batched_requests"]) == (1, 3)


def test_no_run_has_more_rows_than_the_limit() -> None:
    found, runs, _ = asked(4, (0.1, 0.1), (0.2,), (0.3, 0.3), (0.4,), (0.5,))
    assert [len(one.scores) for one in found] == [2, 1, 2, 1, 1]
    assert max(runs) <= 4
    assert sum(runs) == 7


def test_the_failure_of_one_request_is_its_own() -> None:
    found, _, _ = asked(100, (0.1,), (-1.0,), (0.4,))
    assert [[round(score, 3) for score in one.scores] for one in (found[0], found[2])] == [[0.2], [0.8]]
    assert isinstance(found[1], InvalidInput)


def test_rows_of_different_shapes_are_answered_apart() -> None:
    async def ask() -> list[Any]:
        one, loaded, _, _ = batch(100)
        wide = {"x": np.zeros((1, 2), np.float32)}
        return [*await asyncio.gather(one.scored(loaded, rows(0.1), 1, ()), one.scored(loaded, wide, 1, ()))]

    first, second = asyncio.run(ask())
    assert [round(score, 3) for score in first.scores] == [0.2]
    assert isinstance(second, Scored)


def test_who_left_is_not_run() -> None:
    async def ask() -> list[int]:
        one, loaded, model, _ = batch(100, 0.01)
        gone = asyncio.create_task(one.scored(loaded, rows(0.1), 1, ()))
        await asyncio.sleep(0)
        gone.cancel()
        await one.scored(loaded, rows(0.2), 1, ())
        return model.runs

    assert asyncio.run(ask()) == [1]


def test_who_left_while_the_batch_waited_for_a_thread_is_not_run() -> None:
    async def ask() -> list[int]:
        one, loaded, model, _ = batch(100)
        thread = asyncio.Event()

        async def away(work: Any) -> Any:
            await thread.wait()
            return work()

        one._away, one._inline_s = away, 0.0
        gone, stays = (asyncio.create_task(one.scored(loaded, rows(value), 1, ())) for value in (0.1, 0.2))
        alone = asyncio.create_task(one.scored(loaded, rows(*[0.3] * 100), 100, ()))  # a batch of its own
        for _ in range(5):
            await asyncio.sleep(0)
        gone.cancel()
        alone.cancel()
        await asyncio.sleep(0)
        thread.set()
        assert [round(score, 3) for score in (await stays).scores] == [0.4]
        return model.runs

    assert asyncio.run(ask()) == [1]


def test_a_server_answers_in_batches_as_it_does_alone(world: World) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    service = world.service(world.target(tabular(1)))
    world.publish([replace(service, handling=Handling(max_batch=64, max_wait_us=20_000))])
    with world.server() as server, server.client() as client, ThreadPoolExecutor(8) as pool:
        wrong = body(1)
        wrong["inputs"][0]["shape"] = [9, 1]
        asks = [body(1 + i % 3) if i != 5 else wrong for i in range(24)]
        answers = list(pool.map(lambda one: client.post("/v2/models/churn/infer", json=one), asks))
        assert [one.status_code for one in answers] == [400 if i == 5 else 200 for i in range(24)]
        found = [one.json()["outputs"][0]["data"] for one in answers if one.status_code == 200]
        assert len({str(one) for one in found if len(one) == 3}) == 1
        assert metric(server, "custody_batched_requests_total") == 23
        assert metric(server, "custody_batches_total") < 23
        (stats,) = client.get("/v2/models/churn/stats").json()["model_stats"]
        assert stats["inference_count"] == sum(1 + i % 3 for i in range(24) if i != 5)
        assert stats["execution_count"] == metric(server, "custody_batches_total")
        assert stats["inference_stats"]["success"]["count"] == 23
        text = metrics_of(server, ACME)
    assert f'custody_model_loaded{{tenant="{ACME}",environment="prod",deployment="churn",mode="live",model="churn@1"}} 1' in text
    assert 'custody_models_by_provider{provider="CPUExecutionProvider"} 1' in text
