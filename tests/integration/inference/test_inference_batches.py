"""Deployments that keep a part of their rows: sampled as they stand in a journal, as they would be from lines, and nothing lost or doubled."""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inference_world import World, numeric, numeric_body
from test_inference_captures import answered_until_killed, shadow_arm
from test_inference_manifest import until

from custody.adapters.blobs.folder import FolderObjects
from custody.core.digest import Digest
from custody.core.errors import Denied, Unavailable
from custody.core.manifest import Handling
from custody.core.measures.spec import specs_of
from custody.core.measures.summary import merge, summarise
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.inference.captures import pair as pair_module
from custody.inference.captures.batches import BatchShipper, _batches
from custody.inference.captures.journal import Target, left, left_in
from custody.inference.captures.pair import BatchJournal, Pair, room_for
from custody.inference.captures.record import recording
from custody.inference.captures.ship import Shipper
from custody.inference.captures.spool import Spool, write_alone
from custody.inference.metrics import Metrics
from custody.inference.models.scoring import Scored
from custody.serving import PLAIN, complete_lines, line_head
from custody.serving.capture import Capture, CaptureMode
from custody.serving.sampling import Rest, Rule, open_batch, point_of_row, sampled

pytest.importorskip("custody.inference.captures._journal", reason="there was no C compiler when custody was installed")

REFERENCE = Digest("0" * 64)
FRAMES: dict[str, Any] = {  # what a request of n rows asks
    "wide": lambda rng, n: {"x": rng.normal(1, 2, (n, 3)).astype(np.float32)},
    "named": lambda rng, n: {"age": rng.integers(18, 90, n), "paid": rng.random(n) < 0.5, "spend": rng.normal(0, 9, (n, 1))},
    "half": lambda rng, n: {"x": rng.normal(0, 1, n).astype(np.float16), "y": rng.integers(0, 9, n).astype(np.int8)},
}
CALLER = st.tuples(
    st.one_of(st.none(), st.integers(1, 2**41)),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, 9).map(lambda n: f"acme:prod:a:1:m@3:01KJMMA2G00000000000000{n:03d}")),
)


def rule_for(columns: dict[str, Any], share: float) -> Rule:
    known = {**columns, "score": [0.0, 0.25, 0.5, 1.0], "decision": [True, False, True, True]}
    return Rule(share, REFERENCE, specs_of(known))


def head(name: str) -> bytes:
    return line_head(f"acme:prod:{name}:1:m@1:", CaptureMode.LIVE, 0.5)


def kept_and_counted(bodies: list[bytes], specs: Any) -> tuple[list[Capture], dict[Any, Any]]:
    """Return the rows that were kept, and for each target and day what was counted."""
    captures: list[Capture] = []
    counted: dict[Any, list[Rest]] = {}
    for body in bodies:
        some, rest = open_batch(body)
        captures += some
        for one in rest:
            counted.setdefault((one.deployment, one.model, one.mode, one.day, one.share), []).append(one)

    def told(rests: list[Rest]) -> Any:
        at, event = ([one.at for one in rests], [one.event for one in rests])
        times = [(min(low for low, _ in spans), max(high for _, high in spans)) for spans in (at, event)]
        whole = reduce(merge, [one.summary(specs) for one in rests])
        return whole.rows, times, whole.to_json()

    return sorted(captures, key=lambda one: str(one.id)), {name: told(rests) for name, rests in counted.items()}


@given(
    st.sampled_from(sorted(FRAMES)),
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 40), CALLER), min_size=1, max_size=12),
    st.sampled_from([1e-9, 0.1, 0.5, 0.97, 1.0]),
    st.integers(0, 2**32),
)
def test_rows_are_sampled_from_a_journal_as_they_are_from_lines(
    tmp_path_factory: pytest.TempPathFactory, kind: str, requests: list[tuple[str, int, Any]], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    journal = BatchJournal(tmp_path_factory.mktemp("law") / "journal", 1 << 20)
    for number, (name, rows, (event, has_keys, of)) in enumerate(requests):
        keys = tuple(f'k"{row},]' for row in range(rows)) if has_keys else None
        scores = rng.random(rows).astype(rng.choice(["f4", "f8"])) * 10.0 ** rng.integers(-9, 3)
        written = orjson.dumps(scores, option=orjson.OPT_SERIALIZE_NUMPY), orjson.dumps((rng.random(rows) < 0.5).tolist())
        unique = f"01KJMMA2G0000000000000{number:02d}" + "".join(rng.choice(list("0AZ"), 2))
        assert journal.add(f"acme/prod/{name}", head(name), unique, 0, FRAMES[kind](rng, rows), written, event, keys, of)
        if rng.random() < 0.5:
            journal.commit()
    journal.commit()
    rule = rule_for(columns_of(kind), share)
    files: dict[str, list[bytes]] = {}
    for line in journal.lines():
        files.setdefault(line.place, []).append(line.text)
    expected = kept_and_counted([sampled(lines, {(ModelRef("m", 1), 0.5): rule}) for lines in files.values()], rule.specs)
    batches = _batches(journal, lambda _: rule if share < 1 else None, room_for(journal))
    found = kept_and_counted([bytes(body) for _, body in batches.values()], rule.specs)
    assert found == expected
    assert sum(rows for rows, _ in batches.values()) == sum(rows for _, rows, _ in requests)
    journal.close()


def columns_of(kind: str) -> dict[str, Any]:
    """Return columns of some rows, as specs are made of them."""
    rng = np.random.default_rng(0)
    made = FRAMES[kind](rng, 50)
    found: dict[str, Any] = {}
    for name, values in made.items():
        if values.ndim > 1 and values.shape[1] > 1:
            found |= {f"{name}.{place}": values[:, place] for place in range(values.shape[1])}
        else:
            found[name] = values.reshape(-1) if values.dtype.kind == "f" else values.reshape(-1).tolist()
    return found


@given(
    st.lists(
        st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1, width=32), st.integers(-(2**70), 2**70)),
        min_size=1,
    )
)
def test_scores_are_read_as_python_reads_them(tmp_path_factory: pytest.TempPathFactory, scores: list[float]) -> None:
    journal = BatchJournal(tmp_path_factory.mktemp("scores") / "journal", 1 << 20)
    texts = [repr(score) for score in scores]
    written = f"[{','.join(texts)}]".encode(), b"[%b]" % b",".join([b"true"] * len(texts))
    inputs = {"is": np.zeros(len(texts), bool), "x": np.zeros(len(texts), np.float32)}
    assert journal.add("acme/prod/a", head("a"), "0" * 26, 0, inputs, written, None, None, None)
    journal.commit()
    ((_, line, gone),) = journal.sampled(lambda _: 1e-12, room_for(journal))
    assert line is None
    assert gone is not None
    assert all(column.flags.aligned for column in gone.columns.values() if isinstance(column, np.ndarray))
    assert gone.columns["score"].tobytes() == np.array([float(text) for text in texts]).tobytes()  # type: ignore[union-attr]
    journal.close()


@pytest.mark.parametrize(
    ("written", "inputs"),
    [
        ((b"[0.5]", b"[true,true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"[0.5,0.5", b"[true,true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"[0.5,0.5,0.5]", b"[true,true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"[0.5,null]", b"[true,true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"", b"[true,true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"[0.5,%b]" % (b"1" * 80), b"[true,true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"[0.5,0.5]", b"[true]"), {"x": np.zeros((2, 3), np.float32)}),
        ((b"[0.5,0.5]", b"[true,true]"), {"x": np.array(["a", "b"], object)}),
    ],
)
def test_what_cannot_be_sampled_is_refused(tmp_path: Path, written: tuple[bytes, bytes], inputs: dict[str, Any]) -> None:
    journal = BatchJournal(tmp_path / "journal", 1 << 20)
    assert journal.add("acme/prod/a", head("a"), "0" * 26, 0, inputs, written, None, None, None)
    journal.commit()
    with pytest.raises(ValueError, match="cannot be sampled"):
        list(journal.sampled(lambda _: 1e-12, room_for(journal)))
    with pytest.raises(ZeroDivisionError):
        list(journal.sampled(lambda _: 1 / 0, room_for(journal)))
    journal.close()


@given(st.integers(0, 2**32))
def test_damaged_frames_are_refused_or_read_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    journal = BatchJournal(tmp_path_factory.mktemp("damaged") / "journal", 1 << 16)
    for number in range(3):
        inputs = FRAMES[rng.choice(["wide", "named"])](rng, 4)
        said = (5, ("a", "b", "c", "d"), None) if number else (None, None, None)
        assert journal.add("acme/prod/a", head("a"), "0" * 26, 0, inputs, (b"[0.5,1,2e3,4]", b"[true,true,false,true]"), *said)
    end = journal.commit()
    places = rng.integers(64 + 32, end, 3)
    for place in places:
        journal._map[int(place)] = int(rng.choice([0, 1, 255, ord('"'), ord(","), int(rng.integers(256))]))
    for share in (0.5, 1.0):
        with contextlib.suppress(Exception):  # but not a signal
            list(journal.sampled(lambda _: share, room_for(journal)))  # noqa: B023 - called at once
    journal.close()


class Store(FolderObjects):
    """A folder that fails as it is told: trouble by what a name begins with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.trouble: dict[str, Exception] = {}
        self.hang: threading.Event | None = None

    def create(self, name: str, body: bytes | memoryview) -> bool:
        if self.hang is not None:
            assert self.hang.wait(20)
        for start, error in self.trouble.items():
            if name.startswith(start):
                raise error
        return super().create(name, body)


class Process:
    """The part of an inference process that keeps records, in a state folder."""

    def __init__(self, folder: Path, objects: Store) -> None:
        folder.mkdir(exist_ok=True)
        numbers = iter(range(1000))
        self.metrics, self.objects = Metrics(), objects
        self.spool = Spool(folder / "spool", lambda: f"{os.urandom(4).hex()}{next(numbers)}", most_bytes=1 << 24)
        self.pair = Pair(folder)
        self.recorder = recording(folder, self.spool, self.metrics, self.pair)
        self.batches = BatchShipper(self.pair, self.recorder, objects, self.metrics, self.rule)
        self.shipper = Shipper(self.spool, objects, self.metrics, complete_lines, self.recorder.settle)
        self.rule_of: Callable[[Target], Rule | None] = lambda _: rule_for({"x": [0.0, 1.0, 2.0]}, 0.5)

    def rule(self, target: Target) -> Rule | None:
        return self.rule_of(target)

    def answer(self, name: str, number: int, rows: int = 10, inputs: Any = None, *, is_sampled: bool = False) -> None:
        key = DeploymentKey(TenantId(name), "prod", "churn")
        arm = replace(shadow_arm(key, None), is_numeric=True, is_sampled=is_sampled)
        written = orjson.dumps([0.5] * rows), orjson.dumps([True] * rows)
        values = {"x": np.zeros(rows, np.float32)} if inputs is None else inputs
        found = Scored(values, np.full(rows, 0.5), np.full(rows, fill_value=True), {}, written)
        self.recorder.record(arm, found, PLAIN, f"01KJMMA2G0{number:016d}", 0)
        self.recorder.flush()

    def counted(self) -> tuple[int, int]:
        return self.metrics.counts["captured_predictions"], self.metrics.counts["shed_predictions"]


def rows_of(objects: Store) -> Counter[str]:
    """Return how many rows of each deployment are in batches, kept or counted, each id at most once."""
    ids: Counter[Any] = Counter()
    rows = Counter[str]()
    for name in objects.names("captures/"):
        captures, rests = open_batch(objects.read(name) or b"")
        for one in captures:
            ids.update(one.id.of_row(place) for place in one.places or range(one.rows))
            rows[str(one.id.deployment)] += one.rows
        for rest in rests:
            rows[rest.deployment] += rest.rows
    assert not ids or max(ids.values()) == 1
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "objects")


def test_what_is_answered_is_in_a_batch_and_no_line_is_in_the_spool(tmp_path: Path, store: Store) -> None:
    process = Process(tmp_path / "state", store)
    assert asyncio.run(process.batches.ship()) == 0
    for number in range(20):
        process.answer("acme" if number % 3 else "globex", number)
    assert process.counted() == (0, 0)
    assert asyncio.run(process.batches.ship()) == 2
    assert process.counted() == (200, 0)
    assert rows_of(store) == {"acme/prod/churn": 130, "globex/prod/churn": 70}
    process.answer("acme", 99)
    asyncio.run(process.batches.close(5))
    assert rows_of(store).total() == 210
    process.answer("acme", 100)  # what ends late goes to the spool
    assert process.spool.size_bytes > 0
    assert not list((tmp_path / "state").glob("sampled*"))


def test_where_very_many_answer_those_that_keep_all_rows_go_by_the_spool_for_a_while(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(tmp_path / "state", store)
    process.rule_of = lambda target: rule_for({"x": [0.0, 1.0]}, 0.5) if target.place.startswith("half") else None

    async def main() -> None:
        for number in range(101):
            process.answer(f"tenant{number}", number)
        store.hang = threading.Event()
        shipping = asyncio.create_task(process.batches.ship())
        await asyncio.to_thread(until, lambda: process.pair.is_crowded)
        process.answer("tenant0", 101)  # already while the first ones are stored
        store.hang.set()
        assert await shipping == 101
        process.answer("half", 102, is_sampled=True)
        assert await process.batches.ship() == 1
        assert process.counted() == (1020, 0)
        process.recorder.settle()
        assert process.counted() == (1030, 0)
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1e12)
        assert await process.batches.ship() == 0
        process.answer("tenant0", 103)
        assert await process.batches.ship() == 1

    asyncio.run(main())
    asyncio.run(process.shipper.ship())
    assert rows_of(store).total() == 1040


def test_a_deployment_that_cannot_be_stored_goes_to_the_spool_alone_and_is_sampled_there(tmp_path: Path, store: Store) -> None:
    process = Process(tmp_path / "state", store)
    store.trouble = {"captures/acme": Denied("Its keys were destroyed.")}
    for number in range(20):
        process.answer("acme" if number % 2 else "globex", number)
    asyncio.run(process.batches.ship())
    assert rows_of(store) == {"globex/prod/churn": 100}
    assert process.counted() == (200, 0)
    assert process.metrics.counts["ship_failures"] == 1
    store.trouble = {}
    asyncio.run(process.shipper.ship())
    assert rows_of(store) == {"globex/prod/churn": 100, "acme/prod/churn": 100}


def test_while_the_store_is_away_records_go_to_the_spool_and_afterwards_straight_to_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(tmp_path / "state", store)
    store.trouble = {"": Unavailable("away")}

    async def main() -> None:
        process.answer("acme", 1)
        await process.batches.ship()
        assert process.counted() == (10, 0)
        process.answer("acme", 2)
        process.recorder.settle()
        assert process.counted() == (20, 0)
        assert await process.batches.ship() == 0
        store.trouble = {}
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 1e12)
        await process.batches.ship()
        process.answer("acme", 3)
        assert await process.batches.ship() == 1

    asyncio.run(main())
    asyncio.run(process.shipper.ship())
    assert rows_of(store).total() == 30


@pytest.mark.parametrize("stored", ["nothing", "one", "all"])
@pytest.mark.parametrize("again", [False, True])
def test_a_process_that_is_killed_at_any_moment_loses_and_doubles_nothing(
    tmp_path: Path, store: Store, stored: str, again: bool
) -> None:
    process = Process(tmp_path / "state", store)
    for number in range(30):
        process.answer("acme" if number % 2 else "globex", number)
    if stored != "nothing":  # killed before the journal is cleared
        store.trouble = {"captures/acme": Unavailable("away")} if stored == "one" else {}
        journal = process.pair.turn()
        assert journal is not None
        process.batches._shipped(journal)
        store.trouble = {}
    if again:  # and the next one while it wrote to the spool
        name, lines = _left(tmp_path / "state")
        spool = Spool(tmp_path / "state" / "spool", lambda: "x", most_bytes=1 << 24)
        path = spool.begin(lines[0].place, len(lines[0].text), f"{name}-0")
        assert path is not None
        assert write_alone(path, lines[0].text)
        (tmp_path / "state" / "spool" / "acme").mkdir(exist_ok=True)
        (tmp_path / "state" / "spool" / "acme" / f"{name}-0.new").write_bytes(b"half a li")
    following = Process(tmp_path / "state", store)
    assert not list((tmp_path / "state").glob("sampled*"))
    asyncio.run(following.shipper.ship())
    assert rows_of(store) == {"acme/prod/churn": 150, "globex/prod/churn": 150}
    assert not following.spool.size_bytes


def _left(folder: Path) -> tuple[str, Any]:
    ((name, lines),) = [found for found in map(left, left_in(folder)) if found[1]]
    assert name is not None
    return name, lines


def test_a_deployment_whose_reference_is_not_there_waits_alone(tmp_path: Path, store: Store) -> None:
    process = Process(tmp_path / "state", store)
    usual = process.rule_of

    def without(target: Target) -> Rule | None:
        if target.place.startswith("acme/"):
            raise Denied("Its keys were destroyed.")
        return usual(target)

    process.rule_of = without
    for number in range(20):
        process.answer("acme" if number % 2 else "globex", number)
    asyncio.run(process.batches.ship())
    assert rows_of(store) == {"globex/prod/churn": 100}
    assert process.counted() == (200, 0)
    process.answer("globex", 20)
    assert asyncio.run(process.batches.ship()) == 1
    assert process.spool.size_bytes > 0
    asyncio.run(process.shipper.ship())
    assert rows_of(store) == {"globex/prod/churn": 110, "acme/prod/churn": 100}


@pytest.mark.parametrize("was_away", [False, True])
def test_a_store_that_hangs_while_the_server_stops_takes_nothing_away(tmp_path: Path, store: Store, was_away: bool) -> None:
    process = Process(tmp_path / "state", store)
    go_on = threading.Event()

    async def main() -> None:
        working = asyncio.create_task(process.batches.work())
        process.answer("acme", 1)
        store.hang = go_on
        if was_away:
            process.batches._again = 1.0
        process.pair.full.set()
        await asyncio.sleep(0.1)
        process.answer("acme", 2)
        await process.batches.close(0.1)
        working.cancel()
        await asyncio.sleep(0.1)
        process.answer("acme", 3)
        process.recorder.settle()
        go_on.set()

    asyncio.run(main())
    following = Process(tmp_path / "state", store)
    asyncio.run(following.shipper.ship())
    assert rows_of(store) == {"acme/prod/churn": 30}


def test_a_stopped_server_takes_nothing_into_its_journals(tmp_path: Path, store: Store) -> None:
    process = Process(tmp_path / "state", store)
    process.answer("acme", 1)

    async def main() -> None:
        await process.batches.close(5)
        process.batches._again = 1.0
        assert await process.batches.ship() == 0
        process.answer("acme", 2)

    asyncio.run(main())
    assert process.spool.size_bytes > 0
    assert not list((tmp_path / "state").glob("sampled*"))


def test_whatever_goes_wrong_while_records_are_kept_nothing_is_lost(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path / "state", store)
    store.trouble = {"": Unavailable("away")}
    for number in range(3):
        process.answer("acme", number)

    def failing(*_: object) -> Any:
        raise MemoryError

    monkeypatch.setattr(process.spool, "begin", failing)
    asyncio.run(process.batches.ship())
    assert "cannot be read" in caplog.text
    monkeypatch.undo()
    process.answer("acme", 3)
    process.recorder.settle()
    store.trouble = {}
    following = Process(tmp_path / "state", store)
    asyncio.run(following.shipper.ship())
    assert rows_of(store) == {"acme/prod/churn": 40}


def test_a_long_journal_is_sampled_in_several_steps(tmp_path: Path, store: Store) -> None:
    process = Process(tmp_path / "state", store)
    inputs = {"x": np.random.default_rng(0).normal(size=5000).astype(np.float32)}
    for number in range(90):
        process.answer(f"tenant{number % 7}", number, 5000, inputs)
    process.recorder.settle()
    assert process.counted() == (0, 0)
    assert asyncio.run(process.batches.ship()) == 7
    assert rows_of(store).total() == process.counted()[0] == 450_000


@pytest.mark.parametrize("more", [1, 8, 23, 24, 100])
def test_an_end_that_is_damaged_is_found(tmp_path: Path, more: int) -> None:
    journal = BatchJournal(tmp_path / "journal", 1 << 16)
    end = 0
    for _ in range(2):
        assert journal.add("acme/prod/a", head("a"), "0" * 26, 0, {"x": np.zeros(1)}, (b"[0.5]", b"[true]"), None, None, None)
        end = journal.commit()
    journal._map[32:40] = (end + more).to_bytes(8, "little")
    with pytest.raises(ValueError, match="damaged"):
        list(journal.sampled(lambda _: 0.5, room_for(journal)))
    journal.close()


def test_full_journals_and_what_does_not_fit_go_the_usual_way(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_module, "_SIZE", 64 * 1024)
    monkeypatch.setattr(pair_module, "_ENOUGH", 32 * 1024)
    process = Process(tmp_path / "state", store)
    assert not process.pair.full.is_set()
    for number in range(300):
        process.answer("acme", number, 100)
    assert process.pair.full.is_set()
    process.recorder.settle()
    assert 0 < process.counted()[0] < 30_000
    asyncio.run(process.batches.ship())
    assert process.counted() == (30_000, 0)
    process.answer("acme", 300, 100, {"x": np.array(["a"] * 100, object)})  # of texts, which an arm that is sampled never has
    asyncio.run(process.batches.ship())
    assert process.counted() == (30_100, 0)
    asyncio.run(process.shipper.ship())
    assert rows_of(store) == {"acme/prod/churn": 30_100}


def test_a_journal_that_was_closed_holds_no_room_on_the_disk(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "journal", 1 << 16)
    held = weakref.ref(journal)
    journal.close()
    del journal
    assert held() is None


def test_where_there_is_no_room_for_the_journals_rows_are_recorded_all_the_same(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path / "state", store)
    caplog.set_level(logging.INFO, "custody.inference")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(3):
        process.answer("acme", number)
    asyncio.run(process.batches.ship())
    asyncio.run(process.batches.close(1))
    process.recorder.settle()
    assert process.counted() == (30, 0)
    assert caplog.text.count("No space left on device") == 1
    assert not list((tmp_path / "state").glob("sampled*"))


def test_a_journal_that_cannot_be_read_is_left_to_the_next_process(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(tmp_path / "state", store)
    process.answer("acme", 1)
    (journal, _) = process.pair._journals

    def failing(*_: object) -> Any:
        raise MemoryError

    journal.lines = journal.sampled = failing  # type: ignore[method-assign,assignment]
    asyncio.run(process.batches.ship())
    assert "cannot be read" in caplog.text
    process.answer("acme", 2)
    process.recorder.settle()
    assert process.counted() == (10, 0)
    following = Process(tmp_path / "state", store)
    assert following.counted() == (10, 0)
    asyncio.run(following.shipper.ship())
    assert rows_of(store).total() == 20


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_is_killed_under_load_has_kept_or_counted_each_answer_once(world: World, how: signal.Signals) -> None:
    columns = {"x.0": [0.0, 1.0, 2.0], "score": [0.1, 0.2, 0.7], "decision": [True, False, True]}
    target = world.target(numeric(), 7)
    names = [f"x.{place}" for place in range(3)]
    known: dict[str, Any] = {**dict.fromkeys(names, columns["x.0"]), "score": columns["score"], "decision": columns["decision"]}
    reference = summarise(known, specs_of(known))
    digest = world.objects.put(msgspec.json.encode(reference.to_json()))
    world.publish([replace(world.service(replace(target, reference=digest)), handling=Handling(capture_share=0.3))])

    def found() -> tuple[Counter[PredictionId], int]:
        kept: Counter[PredictionId] = Counter()
        rest = 0
        for name in world.objects.names("captures/"):
            captures, rests = open_batch(world.objects.read(name) or b"")
            kept.update(one.id for one in captures)
            rest += sum(one.rows for one in rests)
        return kept, rest

    journals = (world.folder / "state").glob
    answered = answered_until_killed(
        world, how, numeric_body(), lambda: found()[1] > 20 and bool(list(journals("**/sampled-*.journal")))
    )
    kept, rest = found()
    assert {one for one in map(PredictionId.parse, answered) if point_of_row(one) < 0.3} <= kept.keys()
    assert all(point_of_row(one) < 0.3 for one in kept)
    assert set(kept.values()) == {1}
    assert 0 <= len(kept) + rest - len(set(answered)) <= 6  # written, but killed before the answer left
