"""A candidate beside the live version: what it decides otherwise, on the same traffic and on labels."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from lifecycle_world import ACME, CHURN, CHURN_1, World

from custody.core.manifest import Mode
from custody.core.prediction import PredictionId, unique_at
from custody.deployment.revision import Revision
from custody.lifecycle.beside import Beside, compare, keep_comparison
from custody.lifecycle.captured import rows_between
from custody.lifecycle.overview import describe
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, release
from custody.lifecycle.watch import Seen, evaluate_now, watch
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

LIVE, OTHER = 0.4, 0.5


def seal(
    world: World, name: str, mode: CaptureMode, scores: Sequence[float], of: Sequence[PredictionId] = ()
) -> list[PredictionId]:
    """Seal answers of one arm, 100 us each, but for the last, which took 10 ms."""
    world.now += timedelta(minutes=1)
    start, threshold = int(world.now.timestamp() * 1000), LIVE if mode is CaptureMode.LIVE else OTHER
    ids = [PredictionId(CHURN, 2, CHURN_1, unique_at(start + i, f"{name:>7}{i:03}".encode())) for i in range(len(scores))]
    lines = [
        line_of(
            Capture(
                *(one, start + i, None, None, mode, of[i] if of else None, threshold, {"age": [0.5]}),
                *([score], [score >= threshold], 10_000 if i == len(scores) - 1 else 100),
            )
        )
        for i, (one, score) in enumerate(zip(ids, scores, strict=True))
    ]
    world.put(name, write_batch(b"".join(lines)))
    assert world.seal() == len(scores)
    return ids


def staged(world: World, mode: Mode) -> Revision:
    world.live()
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, OTHER, mode, 0.5 if mode is Mode.CANARY else 0.0))
    return head(world)


def head(world: World) -> Revision:
    found = world.ports.stores.of(ACME).deployments.head(CHURN)
    assert found is not None
    return found


def compared(world: World, revision: Revision) -> Beside:
    found = compare(world.ports, revision, world.now)
    assert found is not None
    return found


def test_a_shadow_is_compared_on_the_predictions_that_it_mirrors(world: World) -> None:
    revision = staged(world, Mode.SHADOW)
    scores = [0.9] * 30 + [0.45] * 10 + [0.1] * 60
    ids = seal(world, "old", CaptureMode.LIVE, [*scores, 0.9])  # the last one was not mirrored
    order = [*range(50, 100), *range(50)]
    mirrored = [0.6 if i == 99 else scores[i] for i in order]  # one no that becomes a yes, ten that become a no
    seal(world, "new", CaptureMode.SHADOW, mirrored, [ids[i] for i in order])
    assert describe(world.ports, world.caller(), CHURN).row.predictions == 101, "a shadow answers nobody"
    found = compared(world, revision)
    assert (found.live.rows, found.candidate.rows, found.gained, found.lost) == (100, 100, 1, 10)
    assert found.otherwise is not None
    assert found.otherwise.value == pytest.approx(0.11)
    assert found.difference is None
    assert found.live.rate.value == pytest.approx(0.4)
    assert found.candidate.rate.value == pytest.approx(0.31)
    assert (found.live.latency_p50_ms, found.candidate.latency_p95_ms) == (None, None), "a shadow is only scored"
    assert (
        "of 100 rows that both were asked, churn@1 decides 11 % (6.25 to 18.6) otherwise: 1 for 'Yes', 10 against"
        in found.sentence
    )


def test_a_large_request_and_its_shadow_are_compared_though_they_are_batches_of_their_own(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custody.lifecycle.beside.NEWEST", 5)
    revision = staged(world, Mode.SHADOW)
    ids = [PredictionId(CHURN, 2, CHURN_1, unique_at(int(world.now.timestamp() * 1000), letter * 10)) for letter in (b"o", b"n")]
    at, scores, decisions = int(world.now.timestamp() * 1000), [0.9] * 8, [True] * 8
    for one, mode, of, threshold in ((ids[0], CaptureMode.LIVE, None, LIVE), (ids[1], CaptureMode.SHADOW, ids[0], OTHER)):
        capture = Capture(one, at, None, None, mode, of, threshold, {"age": [0.5] * 8}, scores, decisions, 90)
        world.put(mode.value, write_batch(line_of(capture)))
    assert world.seal() == 16
    assert compared(world, revision).live.rows == 8


def test_the_label_of_a_prediction_counts_for_the_shadow_that_mirrors_it(world: World) -> None:
    revision = staged(world, Mode.SHADOW)
    ids = seal(world, "old", CaptureMode.LIVE, [0.9] * 20 + [0.45] * 20)
    seal(world, "new", CaptureMode.SHADOW, [0.9] * 20 + [0.45] * 20, ids)
    rows = [(f"{one}.0", "Yes" if i < 20 else "No") for i, one in enumerate(ids)]  # the first row of each, as some number it
    record(world.ports, world.caller(), CHURN, rows)
    found = compared(world, revision)
    accuracy = [{one.metric: one for one in side.metrics}["accuracy"] for side in (found.live, found.candidate)]
    assert [(one.value, one.n) for one in accuracy] == [(0.5, 40), (1.0, 40)]


def test_a_canary_is_compared_on_what_each_was_asked(world: World) -> None:
    revision = staged(world, Mode.CANARY)
    seal(world, "early", CaptureMode.LIVE, [0.9] * 50)  # before the canary answered: of another time
    seal(world, "new", CaptureMode.CANARY, [0.9] * 16 + [0.1] * 4)
    seal(world, "old", CaptureMode.LIVE, [0.9] * 20 + [0.1] * 60)
    found = compared(world, revision)
    assert found.difference is not None
    assert found.difference.value == pytest.approx(0.55)
    assert "a difference of +55.0 points" in found.sentence
    assert found.otherwise is None
    assert 0.3 < found.difference.low < 0.55 < found.difference.high < 0.75
    assert found.candidate.latency_p50_ms == pytest.approx(0.1)
    assert found.candidate.latency_p95_ms is not None
    assert 0.1 < found.candidate.latency_p95_ms < 10


def test_what_was_answered_before_the_candidate_came_is_left_out(world: World) -> None:
    world.live()
    seal(world, "before", CaptureMode.LIVE, [0.9] * 10)
    world.now += timedelta(minutes=1)
    release(world.ports, world.caller(), Plan(CHURN, CHURN_1, OTHER, Mode.CANARY, 0.5))
    revision = head(world)
    assert compare(world.ports, revision, world.now) is None
    seal(world, "new", CaptureMode.CANARY, [0.9] * 5)
    assert compare(world.ports, revision, world.now) is None, "the live version has not answered since"
    seal(world, "old", CaptureMode.LIVE, [0.9] * 7)
    assert compared(world, revision).live.rows == 7


def test_only_the_newest_batches_are_read(world: World) -> None:
    world.live()
    for number in range(4):
        seal(world, f"some{number}", CaptureMode.LIVE, [0.9] * 10)
    counts = {newest: rows_between(world.ports, CHURN, newest=newest) for newest in (1, 10, 11, 1000)}
    assert {newest: rows.num_rows for newest, rows in counts.items() if rows is not None} == {1: 10, 10: 10, 11: 20, 1000: 40}


def test_the_worker_keeps_the_comparison_without_any_label_and_so_does_who_asks(world: World) -> None:
    staged(world, Mode.CANARY)
    assert describe(world.ports, world.caller(), CHURN).beside is None
    seal(world, "new", CaptureMode.CANARY, [0.9] * 4)
    seal(world, "old", CaptureMode.LIVE, [0.9] * 8)
    watch(world.ports, world.now, Seen())
    kept = describe(world.ports, world.caller(), CHURN).beside
    assert kept is not None
    assert kept == replace(compared(world, head(world)), at=kept.at)
    seal(world, "more", CaptureMode.CANARY, [0.1] * 4)
    evaluate_now(world.ports, world.caller(), CHURN)
    newer = describe(world.ports, world.caller(), CHURN).beside
    assert newer is not None
    assert newer.candidate.rows == 8


def test_versions_that_know_other_classes_are_not_compared(world: World) -> None:
    revision = staged(world, Mode.CANARY)
    seal(world, "new", CaptureMode.CANARY, [0.9] * 4)
    seal(world, "old", CaptureMode.LIVE, [0.9] * 8)
    candidate = revision.service.candidate
    assert candidate is not None
    turned = replace(candidate.target, signature=replace(candidate.target.signature, classes=("Yes", "No")))
    service = replace(revision.service, candidate=replace(candidate, target=turned))
    assert compare(world.ports, replace(revision, service=service), world.now) is None


def test_a_comparison_of_another_version_of_custody_is_as_none(world: World) -> None:
    revision = staged(world, Mode.CANARY)
    with world.ports.stores.change(ACME, world.caller().actor, world.now) as change:
        change.monitors.set_state(CHURN, f"beside:{revision.number}", '{"version": 9}')
    assert describe(world.ports, world.caller(), CHURN).beside is None


def test_without_a_candidate_nothing_is_compared(world: World) -> None:
    world.live()
    seal(world, "old", CaptureMode.LIVE, [0.9] * 8)
    keep_comparison(world.ports, head(world), world.caller().actor, world.now)
    assert describe(world.ports, world.caller(), CHURN).beside is None
