"""What a retraining learns from: the base data and labelled traffic, in one table of the base's own types."""

from datetime import datetime
from pathlib import Path

import pytest
from lifecycle_world import ACME, CHURN, GLOBEX, SPAM, SPAM_1, World, serve_comments

from custody.bootstrap.recipes import LocalSteps
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DatasetRef, DeploymentKey
from custody.core.tenancy import HOUSE
from custody.data.split import Split, part_of
from custody.lifecycle.record import record
from custody.lifecycle.release import Plan, release
from custody.lifecycle.retrain import STATE, assemble, read_request, request_retrain, retrain_next
from custody.lifecycle.rows import table_of
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch


def label_traffic(world: World, texts: list[str], labels: list[str]) -> None:
    """Capture answers to texts, and say what was true."""
    ms = int(world.now.timestamp() * 1000)
    ids = [PredictionId(SPAM, 1, SPAM_1, unique_at(ms, f"comments{i:02}".encode())) for i in range(len(texts))]
    pairs = zip(ids, texts, strict=True)
    lines = [
        Capture(one, ms, None, None, CaptureMode.LIVE, None, 0.5, {"text": [text]}, [0.7], [True], 90) for one, text in pairs
    ]
    world.put("comments", write_batch(b"".join(map(line_of, lines))))
    assert world.seal() == len(texts)
    record(world.ports, world.caller(tenant=ACME), SPAM, list(zip(map(str, ids), labels, strict=True)))


def test_labelled_traffic_joins_data_whose_labels_are_numbers_and_moves_no_row_between_training_and_holdout(world: World) -> None:
    serve_comments(world)
    label_traffic(world, ["come to my channel", "what a song"], ["1", "0"])
    head = world.ports.stores.of(ACME).deployments.head(SPAM)
    assert head is not None
    shelf = world.ports.stores.of(HOUSE)
    base = shelf.datasets.get(DatasetRef("comments", 1))
    made = assemble(world.ports, world.caller(), head, base)
    old, new = (table_of(one, world.ports.stores.objects, world.ports.tables) for one in (base, made))
    assert new.schema.types == old.schema.types
    assert new.slice(old.num_rows).select(["text", "label"]).to_pylist() == [
        {"text": "come to my channel", "label": 1},
        {"text": "what a song", "label": 0},
    ]
    for side in (Split.TRAIN, Split.HOLDOUT):
        before, after = part_of(old, side, base.holdout), part_of(new, side, made.holdout)
        assert after.slice(0, before.num_rows).equals(before)


def test_a_retraining_that_breaks_holds_no_other_up(world: World, tmp_path: Path) -> None:
    ref = world.live()
    theirs = DeploymentKey(GLOBEX, "prod", "churn")
    release(world.ports, world.caller(), Plan(theirs, ref))
    for key in (CHURN, theirs):
        request_retrain(world.ports, world.caller(tenant=key.tenant), key, "please")
    answers = iter([ZeroDivisionError("nobody foresaw this")])

    def clock() -> datetime:
        for unforeseen in answers:
            raise unforeseen
        return world.caller().now

    with pytest.raises(ExceptionGroup, match="some retrainings broke"):
        retrain_next(world.ports, LocalSteps(world.ports, tmp_path, trusted=False), clock)
    requests = [read_request(world.ports.stores.of(key.tenant).monitors.state(key, STATE)) for key in (CHURN, theirs)]
    outcomes = sorted(request.outcome for request in requests if request)
    assert outcomes[0] == ""
    assert "no captured traffic to learn from" in outcomes[1]
