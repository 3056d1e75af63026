"""Texts in drift: a sample of them is embedded, and a change of topic is found that lengths do not show."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from lifecycle_world import ACME, BEGIN, SPAM, SPAM_1, World, serve_comments

from custody.core.errors import InvalidInput, NotFound
from custody.core.prediction import PredictionId, unique_at
from custody.lifecycle.alerts import answer_alert, explain_alert
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.preview import preview
from custody.monitoring.alert import AlertKind, AlertState
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch

MUSIC = [
    "song",
    "melody",
    "singer",
    "chorus",
    "guitar",
    "album",
    "lyrics",
    "concert",
    "drums",
    "piano",
    "voice",
    "tune",
    "dance",
    "video",
    "clip",
    "rhythm",
]
GARDEN = [
    "tomato",
    "compost",
    "watering",
    "shovel",
    "seedling",
    "harvest",
    "greenhouse",
    "weeds",
    "lettuce",
    "planting",
    "pruning",
    "soil",
    "roots",
    "hedge",
    "lawn",
    "bulbs",
]


def texts(words: list[str], count: int, seed: int) -> list[str]:
    """Invent texts of six words, all equally long in words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, 6)) for _ in range(count)]


def data(count: int = 600) -> pa.Table:
    """Invent labelled comments about music."""
    labels = [i % 2 for i in range(count)]
    said = [
        f"{text} {'subscribe now' if spam else 'lovely music'}" for text, spam in zip(texts(MUSIC, count, 1), labels, strict=True)
    ]
    times = pa.array([BEGIN + timedelta(minutes=i) for i in range(count)], pa.timestamp("us", "UTC"))
    return pa.table({"text": said, "label": labels, "ts": times})


def answer(world: World, name: str, said: list[str]) -> None:
    """Capture answers to texts."""
    ms = int(world.now.timestamp() * 1000)
    lines = [
        Capture(
            PredictionId(SPAM, 1, SPAM_1, unique_at(ms, f"{name:>6}{i:04}".encode())),
            ms, None, None, CaptureMode.LIVE, None, 0.5, {"text": [text]}, [0.7], [True], 90,
        )
        for i, text in enumerate(said)
    ]  # fmt: skip
    world.put(name, write_batch(b"".join(map(line_of, lines))))
    assert world.seal() == len(said)


def music(count: int, seed: int) -> list[str]:
    return [f"{text} {('lovely music', 'subscribe now')[i % 2]}" for i, text in enumerate(texts(MUSIC, count, seed))]


def found_in_texts(world: World) -> list[str]:
    """Return the levels of the looks at texts, oldest first."""
    return [one.level for one in world.ports.stores.of(ACME).monitors.looks(SPAM, limit=100) if one.reference == "texts"]


def test_another_topic_is_found_and_the_same_one_is_not(world: World) -> None:
    serve_comments(world, data())
    set_monitor(world.ports, world.caller(), SPAM, {"embedding": "hashed", "embedded_share": 1.0, "look_rows": 100})
    for number in range(3):
        answer(world, f"same{number}", music(200, 10 + number))
    assert found_in_texts(world) == ["none"] * 3
    monitors = world.ports.stores.of(ACME).monitors
    for alert in monitors.open_alerts(SPAM):  # the invented scores are all alike, which is an alarm of another kind
        assert alert.check.name != "drift:texts"
        answer_alert(world.ports, world.caller(), SPAM, alert.id, AlertState.RESOLVED, reason="invented scores")
    answer(world, "other", [f"{text} lovely music" for text in texts(GARDEN, 200, 20)])
    assert found_in_texts(world) == ["none"] * 3 + ["alarm"]
    alerts = [one for one in monitors.open_alerts(SPAM) if one.check.name == "drift:texts"]
    assert len(alerts) == 1
    assert explain_alert(world.ports, world.caller(), SPAM, alerts[0].id).agrees
    seen = preview(world.ports, world.caller(), SPAM, {"embedding": "hashed"})
    assert AlertKind.DRIFT in {one.kind for one in seen.alerts}
    assert all("tomato" not in str(one) for one in world.ports.stores.ledger.entries())


def test_only_a_share_is_embedded_and_few_texts_wait(world: World) -> None:
    serve_comments(world, data())
    set_monitor(world.ports, world.caller(), SPAM, {"embedding": "hashed", "embedded_share": 0.25, "look_rows": 100})
    answer(world, "one", music(200, 1))
    assert found_in_texts(world) == []
    answer(world, "two", music(200, 2))
    answer(world, "three", music(200, 3))
    looks = [one for one in world.ports.stores.of(ACME).monitors.looks(SPAM, limit=100) if one.reference == "texts"]
    assert [100 <= one.rows < 250 for one in looks] == [True]


def test_without_an_embedding_texts_are_not_looked_at(world: World) -> None:
    serve_comments(world, data())
    answer(world, "one", music(250, 1))
    assert found_in_texts(world) == []
    assert world.ports.stores.of(ACME).monitors.state(SPAM, "texts:hashed/spam@1") is None


def test_a_policy_with_an_unknown_embedding_is_refused_with_the_known_ones(world: World) -> None:
    serve_comments(world, data())
    with pytest.raises(NotFound, match="no embedding 'hashd'") as refused:
        set_monitor(world.ports, world.caller(), SPAM, {"embedding": "hashd"})
    assert "hashed" in str(refused.value)
    with pytest.raises(InvalidInput, match="embedded_share"):
        set_monitor(world.ports, world.caller(), SPAM, {"embedded_share": 1.5})
