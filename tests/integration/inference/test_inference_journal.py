"""The journal: what was answered and is no line yet, in a mapped file that outlives whoever wrote it."""

import errno
import os
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from test_inference_captures import shadow_arm

from custody.bootstrap.serve import adopt
from custody.core.errors import Conflict
from custody.core.prediction import PredictionId
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.inference.captures import journal as module
from custody.inference.captures import record as record_module
from custody.inference.captures.journal import COMPILED, ENOUGH, Journal, left, opened
from custody.inference.captures.lock import locked
from custody.inference.captures.record import Recorder
from custody.inference.captures.spool import Spool
from custody.inference.metrics import Metrics
from custody.inference.models.scoring import Scored
from custody.serving import PLAIN, Parameters, Told, line_after, line_head
from custody.serving.capture import CaptureMode, packed, read_batch

HEAD = line_head("acme:prod:churn:3:churn@7:", CaptureMode.LIVE, 0.5)
UNIQUE = "01KJMMA2G00000000000000000"
WRITTEN = b"[0.5]", b"[true]"

if COMPILED:
    from custody.inference.captures._journal import FORMAT, Frames, lines
else:
    if os.environ.get("CI") == "true":
        pytest.fail("The journal could not be compiled; CI has a C compiler and Python's headers, see .ci/run.")
    pytest.skip("The journal is not compiled: there was no C compiler when custody was installed.", allow_module_level=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal")
    yield made
    made.close()


def numbers(rows: int = 1, value: float = 1.5) -> dict[str, Any]:
    return {"x": np.full((rows, 3), value, np.float32)}


def scored(inputs: dict[str, Any], rows: int = 1) -> Scored:
    return Scored(inputs, np.full(rows, 0.5), np.full(rows, fill_value=True), {}, (b"[0.5]", b"[true]"))


def read(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


MAGIC, BASIS = b"custody journal %d\n" % FORMAT, 0xCBF29CE484222325
FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
WHOLE = st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.bool_])
NAMES = st.sampled_from(["age", "Größe", "a b", "x\\y", 'say "so"', "\u2028", "tab\t", "".join(map(chr, range(40)))])


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(1, 3))
    made = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        wide = st.sampled_from([(rows,), (rows, 1), (rows, 2), (rows, 2, 2)])
        floats = arrays.arrays(draw(FLOATS), draw(wide))
        whole = arrays.arrays(draw(WHOLE), draw(st.sampled_from([(rows,), (rows, 1), (rows, 1, 1)])))
        texts = arrays.arrays(object, draw(st.sampled_from([(rows,), (rows, 1)])), elements=st.text(max_size=5))
        made[name] = draw(st.one_of(floats, whole, texts))
    return made


TOLD = st.builds(
    Told,
    st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    st.one_of(st.none(), st.lists(st.text(st.characters(codec="utf-8"), max_size=4), min_size=1, max_size=2).map(tuple)),
    st.one_of(st.none(), st.just("acme:prod:churn:1:churn@3:01KJMMA2G00000000000000000")),
)


@given(
    st.lists(st.tuples(st.sampled_from(["churn", "fraud"]), columns(), st.one_of(st.none(), TOLD)), min_size=1, max_size=8),
    st.integers(1, 4),
)
def test_a_journal_gives_the_lines_that_would_have_been_written_without_it(
    tmp_path_factory: pytest.TempPathFactory, asked: list[tuple[str, dict[str, Any], Told | None]], together: int
) -> None:
    path = tmp_path_factory.mktemp("law") / "journal"
    journal = Journal(path)
    groups: dict[tuple[object, ...], list[tuple[str, dict[str, Any], Told | None]]] = {}
    for number, (name, inputs, told) in enumerate(asked):
        unique = f"{number:026d}"
        shapes = (told in {None, Told()}, *((column, array.dtype, array.shape[1:]) for column, array in inputs.items()))
        said = (None, None, None) if told is None else (told.event_ms, told.keys, told.of)
        taken = journal.add(f"acme/prod/{name}", HEAD, unique, 0, inputs, WRITTEN, *said)
        assert taken is not any(array.ndim > 2 and array.dtype.kind != "f" for array in inputs.values())
        if taken:
            groups.setdefault((name, shapes), []).append((unique, inputs, told))
        if number % together == together - 1:
            journal.commit()
    made = journal.lines()
    assert left(path) == (None, made)
    assert len(made) == len(groups)
    for line, ((place, _), of) in zip(made, groups.items(), strict=True):
        found = read(line.text)
        uniques, all_inputs, said = zip(*of, strict=True)
        scores, decisions = [WRITTEN[0]] * len(of), [WRITTEN[1]] * len(of)
        all_told = None if said.count(None) == len(said) else [Told() if one is None else one for one in said]
        assert found["later"] is None or min(found["later"]) == 0 < max(found["later"]) < 1000
        written = line_after(HEAD, found["at"], uniques, found["us"], all_inputs, scores, decisions, all_told)
        assert line.text == written.replace(b'"later":null', b'"later":' + orjson.dumps(found["later"]))
        assert line[:2] == (f"acme/prod/{place}", sum(len(next(iter(one.values()))) for one in all_inputs))
    journal.close()
    assert not path.exists()


def test_a_line_says_when_it_was_answered_and_how_long_that_took(journal: Journal) -> None:
    began = time.perf_counter_ns() - 5_000_000
    for since in (began, began - 1_000_000):
        journal.add("acme/prod/churn", HEAD, UNIQUE, since, numbers(), WRITTEN, None, None, None)
    journal.commit()
    (line,) = journal.lines()
    (capture, later) = read_batch(packed((line.text,)))
    assert abs(capture.at_ms - time.time() * 1000) < 5_000
    assert 5_000 <= capture.latency_us < 5_000_000
    assert later.latency_us - capture.latency_us == 1000


@pytest.mark.parametrize(
    "inputs",
    [
        {"x": np.array([b"a"], object)},
        {"x": np.array([None], object)},
        {"x": np.array(["\ud800"], object)},
        {"x": np.empty(1, object)},
        {"x": np.array([["a", "b"]], object)},
        {"x": ["a"]},
        {"x": np.array(["a"])},
        {"x": np.zeros((2, 3), np.float32).T},
        {"x": np.zeros(3, ">f4")},
        {"x": np.zeros((0, 3), np.float32)},
        {"x": np.array(1.0)},
        {"x": np.zeros((1, 2), np.int64)},
        {"x": np.zeros(1, np.complex64)},
        {"x": np.zeros(1, "M8[s]")},
        {"x": np.zeros((1,) * 9)},
        {f"x{n}": np.zeros(1) for n in range(65)},
        {},
        {"\ud800": np.zeros(1)},
        {7: np.zeros(1)},
        {"x": np.zeros(1024 * 1024)},
    ],
)
def test_what_it_cannot_take_leaves_nothing_in_it(journal: Journal, inputs: dict[str, Any]) -> None:
    journal.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
    assert not journal.add("acme/prod/churn", HEAD, UNIQUE, 0, inputs, WRITTEN, None, None, None)
    assert not journal.add("acme/prod/churn", HEAD, "\ud800", 0, numbers(), WRITTEN, None, None, None)
    journal.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
    (line,) = journal.lines()
    assert line.rows == len(read(line.text)["unique"]) == 2


def test_a_buffer_of_any_size_is_not_written_beyond() -> None:
    def end_in(room: int) -> int:
        whole = bytearray(1000)
        frames = Frames(memoryview(whole)[:room])
        frames.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
        assert not any(whole[room:])
        return frames.commit()

    end = end_in(1000)
    assert 200 < end < 990
    assert [end_in(room) for room in range(65, end + 10)] == [64] * (end - 65) + [end] * 10


def test_arguments_of_another_type_are_refused() -> None:
    frames = Frames(bytearray(1000))
    other: list[tuple[Any, ...]] = [
        ("a", HEAD, UNIQUE, 0, [], WRITTEN, None, None, None),
        ("a", HEAD, UNIQUE, 0, numbers(), (b"",), None, None, None),
        ("a", HEAD, UNIQUE, 0, numbers(), (b"", ""), None, None, None),
        (b"a", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None),
        ("a", "HEAD", UNIQUE, 0, numbers(), WRITTEN, None, None, None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, "now", None, None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, 2**63, None, None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, "key", None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, (), None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, ("a", 1), None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, ("\ud800",), None),
        ("a", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, b"id"),
    ]
    assert [frames.add(*arguments) for arguments in other] == [False] * 12
    wrong: list[tuple[Any, ...]] = [(), ("a", HEAD, UNIQUE, "0", numbers(), WRITTEN, None, None, None)]
    for arguments in wrong:
        with pytest.raises(TypeError):
            frames.add(*arguments)
    for buffer in (b"0" * 1000, "text", None):
        with pytest.raises((TypeError, BufferError)):
            Frames(buffer)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="64 bytes"):
        Frames(bytearray(64))
    assert frames.commit() == 64


def test_one_that_is_full_takes_no_more_and_goes_on_when_it_is_emptied(tmp_path: Path, journal: Journal) -> None:
    taken, path = 0, tmp_path / "journal"
    while journal.add("acme/prod/churn", HEAD, f"{taken:026d}", 0, numbers(100), WRITTEN, None, None, None):
        taken += 1
        assert journal.commit() > 0
    assert journal.commit() > ENOUGH
    assert sum(line.rows for line in journal.lines()) == 100 * taken
    journal.clear()
    assert not any(path.read_bytes()[64:])  # nothing of what people sent
    assert journal.lines() == []
    assert journal.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
    assert [line.rows for line in journal.lines()] == [1]


@given(st.integers(32, 64 + 24 + 2 * 240 - 1), st.integers(1, 255))
def test_one_that_was_damaged_is_told(tmp_path_factory: pytest.TempPathFactory, at: int, change: int) -> None:
    path = tmp_path_factory.mktemp("damage") / "journal"
    journal = Journal(path)
    for _ in range(2):
        journal.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
    end = journal.commit()
    body = bytearray(path.read_bytes())
    body[at] ^= change
    path.write_bytes(body)
    if at >= end or 48 <= at < 64:
        assert len(left(path)[1]) == 1
    else:
        with pytest.raises(ValueError, match=r"damaged|missing"):
            left(path)
    journal.close()


def test_pages_of_different_times_are_told(tmp_path: Path) -> None:
    """A machine that loses its power writes some pages, and others not: here those behind the first are older."""
    path = tmp_path / "journal"
    journal = Journal(path)
    found = []
    for value in (1.5, 2.5):
        journal.clear()
        for number in range(40):
            journal.add("acme/prod/churn", HEAD, f"{number:026d}", 0, numbers(1, value), WRITTEN, None, None, None)
        journal.commit()
        found.append(path.read_bytes())
    journal.close()
    older, newer = found
    assert len(older) == len(newer)
    path.write_bytes(newer[:4096] + older[4096:])
    with pytest.raises(ValueError, match="damaged"):
        left(path)
    path.write_bytes(bytes(4096) + older[4096:])
    with pytest.raises(ValueError, match="another version"):
        left(path)
    path.write_bytes(bytes(len(older)))
    assert left(path) == (None, [])


def mixed(total: int, words: bytearray) -> int:
    """Mix whole words into a sum, as `_journal.c` does."""
    lanes = [total, BASIS, BASIS, BASIS]
    for number, (word,) in enumerate(struct.iter_unpack("<Q", words[: len(words) // 8 * 8])):
        lanes[number % 4] = (lanes[number % 4] ^ word) * 0x100000001B3 % 2**64
    for lane in lanes[1:]:
        lanes[0] = (lanes[0] ^ lane) * 0x100000001B3 % 2**64
    return lanes[0]


def summed(words: bytearray, sum_at: int, begin: int, middle: int, end: int) -> None:
    """Write the checksum of a head and of what follows until `end`."""
    struct.pack_into("<I", words, sum_at, 0)
    total = mixed(mixed(BASIS ^ 1, words[begin:middle]), words[middle:end])
    struct.pack_into("<I", words, sum_at, (total ^ total >> 32) % 2**32)


def summed_frames(body: bytearray) -> None:
    first = 24
    while first + 32 <= len(body):
        (size,) = struct.unpack_from("<I", body, first)
        end = min(first + max(size, 32), len(body))
        summed(body, first + 20, first, first + 32, end)
        first = end


def test_a_line_is_of_one_day_and_says_when_each_was_answered() -> None:
    buffer, midnight = bytearray(2000), 20_000 * 86_400_000
    frames = Frames(buffer)
    ends = [64]
    for _ in range(3):
        frames.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
        ends.append(frames.commit())
    for begin, at_ms in zip(ends, (midnight - 1, midnight, midnight + 5), strict=False):
        struct.pack_into("<q", buffer, begin + 8, at_ms)
        summed(buffer, begin + 4, begin, begin + 24, begin + 24)
    assert [(line[0], line[2], line[10]) for line in lines(buffer[64 : ends[3]], 1)] == [
        (midnight - 1, 1, b"0"),
        (midnight, 2, b"0,5"),
    ]


@given(st.binary(max_size=60), st.integers(0, 300), st.sampled_from(["", "batch", "all"]))
def test_whatever_stands_in_a_file_no_more_than_an_error_comes_of_it(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, right: str
) -> None:
    """Even where the checksums are right; a process that finds it starts all the same."""
    buffer = bytearray(1000)
    frames = Frames(buffer)
    for _ in range(2):
        frames.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
    body = buffer[64 : frames.commit()]
    whole = bytes(body)
    summed_frames(body)
    summed(body, 4, 0, 24, 24)
    assert body == whole
    body[at : at + len(noise)] = noise[: max(0, len(body) - at)]
    if right == "all":
        summed_frames(body)
    if right:
        summed(body, 4, 0, 24, 24)
    with suppress(ValueError):
        assert 1 <= len(lines(bytes(body), 1)) <= 2
    folder = tmp_path_factory.mktemp("noise")
    head = MAGIC.ljust(32) + struct.pack("<qQ", 64 + len(body), 1).ljust(32)
    (folder / "journal").write_bytes(head + body)
    recorder(folder, None)[0].recover(folder / "journal")
    assert not (folder / "journal").exists()


def test_what_was_safe_outlives_a_process_that_is_killed(tmp_path: Path) -> None:
    script = """
import sys, time, numpy as np
from pathlib import Path
from custody.inference.captures.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(3):
    journal.add("acme/prod/churn", b'{"v":4,', f"{number:026d}", 0, {"x": np.zeros(2)}, (b"[0.5]", b"[true]"), None, None, None)
    if number < 2:
        journal.commit()
print(flush=True)
time.sleep(60)
"""
    path = tmp_path / "journal"
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert [read(line.text)["unique"] for line in left(path)[1]] == [["0" * 26, "0" * 25 + "1"]]


def recorder(folder: Path, journal: Journal | None) -> tuple[Recorder, Spool]:
    names = count()
    spool = Spool(folder / "spool", lambda: f"{os.urandom(4).hex()}{next(names)}", most_bytes=10_000_000)
    return Recorder(spool, Metrics(), journal), spool


def uniques(folder: Path) -> Counter[str]:
    lines = [line for path in folder.glob("spool/*/*.ndjson") for line in path.read_bytes().splitlines()]
    return Counter(unique for line in lines for unique in read(line)["unique"])


def test_what_nobody_was_told_yet_survives_that_the_journal_is_emptied(tmp_path: Path, journal: Journal) -> None:
    """The metrics may be asked for, or the spool rolled, between a prediction and its answer."""
    arm, (writing, spool) = shadow_arm(DeploymentKey(TenantId("acme"), "prod", "churn"), None), recorder(tmp_path, journal)
    for number in range(4):
        writing.record(arm, scored(numbers()), PLAIN, f"{number:026d}", 0)
        if number != 1:
            writing.settle()
        writing.flush()
    writing.settle()
    writing.settle()
    assert uniques(tmp_path) == Counter(f"{number:026d}" for number in range(4))
    assert spool.size_bytes == sum(path.stat().st_size for path in tmp_path.glob("spool/*/*"))


def test_what_it_cannot_take_is_recorded_beside_it(tmp_path: Path, journal: Journal) -> None:
    arm, (writing, _) = shadow_arm(DeploymentKey(TenantId("acme"), "prod", "churn"), None), recorder(tmp_path, journal)
    writing.record(arm, scored(numbers()), PLAIN, "0" * 26, 0)
    writing.record(arm, scored({"x": np.zeros((1, 2), np.int64)}), PLAIN, "1" * 26, 0)
    writing.record(arm, scored(numbers()), Parameters(event_ms=5), "2" * 26, 0)
    writing.record(arm, scored(numbers()), Parameters(key="\ud800"), "3" * 26, 0)  # shed: nobody can write it
    mirrored = PredictionId(arm.key, 1, ModelRef("m", 1), UNIQUE)
    writing.record(arm, scored(numbers()), PLAIN, "4" * 26, 0, mirrored)
    writing.flush()
    found = [read(line.text) for line in journal.lines()]
    told = [(one["unique"], one["event"], one["of"]) for one in found]
    assert told == [(["0" * 26], None, None), (["2" * 26, "4" * 26], [5, None], [None, str(mirrored)])]
    assert set(uniques(tmp_path)) == {"1" * 26}
    writing.close()
    assert uniques(tmp_path).total() == 4
    assert not list(tmp_path.glob("*journal*"))
    writing.record(arm, scored(numbers()), PLAIN, "5" * 26, 0)
    writing.flush()  # what ends late goes to the spool
    assert uniques(tmp_path).total() == 5


def test_a_journal_that_fails_is_left_to_the_next_process_and_captures_go_on(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    arm, (writing, _) = shadow_arm(DeploymentKey(TenantId("acme"), "prod", "churn"), None), recorder(tmp_path, journal)
    writing.record(arm, scored(numbers()), PLAIN, "0" * 26, 0)
    writing.flush()

    def failing() -> NoReturn:
        raise MemoryError

    journal.lines = failing  # type: ignore[method-assign]
    writing.settle()
    assert "cannot be read" in caplog.text
    writing.record(arm, scored(numbers()), PLAIN, "1" * 26, 0)
    writing.flush()
    writing.close()
    assert set(uniques(tmp_path)) == {"1" * 26}
    recorder(tmp_path, None)[0].recover(tmp_path / "journal")
    assert set(uniques(tmp_path)) == {"0" * 26, "1" * 26}


def test_a_journal_is_emptied_before_it_is_full_and_counts_what_the_spool_refuses(tmp_path: Path, journal: Journal) -> None:
    arm, metrics = shadow_arm(DeploymentKey(TenantId("acme"), "prod", "churn"), None), Metrics()
    writing = Recorder(Spool(tmp_path / "spool", lambda: os.urandom(4).hex(), most_bytes=400_000), metrics, journal)
    for number in range(100):
        writing.record(arm, scored(numbers(1000), 1000), PLAIN, f"{number:026d}", 0)
        writing.flush()
        assert journal.commit() <= ENOUGH
    writing.settle()
    captured, shed = metrics.counts["captured_predictions"], metrics.counts["shed_predictions"]
    assert captured + shed == 100_000
    assert captured == 1000 * uniques(tmp_path).total() > 0
    assert shed == metrics.shed["acme/prod/churn"] > 0


@pytest.mark.parametrize("written", [0, 1, 2])
def test_what_was_killed_while_a_journal_was_emptied_is_in_the_spool_once(tmp_path: Path, written: int) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    for number, (name, rows) in enumerate((("churn", 1), ("fraud", 1), ("churn", 12_000), ("churn", 1))):  # a long line is ended
        assert journal.add(f"acme/prod/{name}", HEAD, f"{number:026d}", 0, numbers(rows), WRITTEN, None, None, None)
        journal.commit()
    assert [line.rows for line in journal.lines()] == [12_001, 1, 1]
    dying, spool = recorder(tmp_path, None)
    for line in journal.lines()[:written]:
        spool.append(line.place, line.text)
    spool.append("acme/prod/churn", journal.lines()[written].text[:-9])  # the last one is torn
    journal.close = lambda: None  # type: ignore[method-assign]  # it is killed
    del dying, spool
    again, spool = recorder(tmp_path, None)
    again.recover(path)
    assert not path.exists()
    spool.roll()
    shipped = [line for file in spool.pending() for line in file.read_bytes().split(b"\n")]
    whole = [line for line in shipped if line.endswith(b"}")]
    assert Counter(unique for line in whole for unique in read(line)["unique"]) == Counter(f"{n:026d}" for n in range(4))


@pytest.mark.parametrize(
    "body",
    [
        b"custody journal 1\n" + bytes(100),
        MAGIC + b"\xff" * 100,
        MAGIC,
        MAGIC.ljust(64),
    ],
)
def test_a_journal_that_cannot_be_read_is_kept_and_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, body: bytes) -> None:
    (tmp_path / "journal").write_bytes(body)
    writing, spool = recorder(tmp_path, None)
    writing.recover(tmp_path / "journal")
    (kept,) = tmp_path.glob("unreadable-*")
    assert kept.read_bytes() == body
    assert spool.size_bytes == 0
    (said,) = caplog.messages
    assert kept.name in said


def test_a_journal_that_cannot_be_opened_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "journal").mkdir()
    recorder(tmp_path, None)[0].recover(tmp_path / "journal")
    assert "Is a directory" in caplog.text


def test_a_journal_waits_for_an_installation_that_can_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.add("acme/prod/churn", HEAD, UNIQUE, 0, numbers(), WRITTEN, None, None, None)
    journal.commit()
    writing, spool = recorder(tmp_path, None)
    with monkeypatch.context() as patched:
        patched.setattr(record_module, "COMPILED", False)
        writing.recover(path)
    assert (path.exists(), spool.size_bytes) == (True, 0)
    assert "where there is a C compiler" in caplog.text
    writing.recover(path)
    assert (path.exists(), uniques(tmp_path)) == (False, Counter({UNIQUE: 1}))


def test_there_is_none_where_it_cannot_be_written_safely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "journal"
    with monkeypatch.context() as patched:
        patched.setattr(module, "_is_written_in_place", lambda _: True)
        made = opened(tmp_path)
        assert made is not None
        assert opened(tmp_path) is None  # another process has it
        made.close()

        def full(*_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(os, "posix_fallocate", full)
        assert opened(tmp_path) is None
        assert not path.exists()
    with monkeypatch.context() as patched:
        patched.setattr(module, "_IN_PLACE", {b"btrfs"})
        assert opened(tmp_path) is None
    with monkeypatch.context() as patched:
        patched.setattr(module, "COMPILED", False)
        assert opened(tmp_path) is None
    assert [said.rpartition(": ")[2] for said in caplog.messages][:2] == ["File exists", "No space left on device"]
    assert len(caplog.messages) == 4
    monkeypatch.setattr(module, "_IN_PLACE", {b"proc"})
    assert module.why_none(Path("/proc")) is None


def test_the_journals_of_workers_that_are_no_more_are_left_to_the_first(tmp_path: Path) -> None:
    for place in ("", "worker-2", "worker-3"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "journal").write_text(place or "alone")
    (tmp_path / "worker-3/0123.journal").write_text("waited")
    (tmp_path / "worker-3/unreadable-1").write_text("odd")
    (tmp_path / "worker-3/journal.bak").write_text("somebody's copy")
    adopt(tmp_path, 1)
    found = {path.name: path.read_text() for path in (tmp_path / "worker-0").iterdir()}
    assert sorted(found.values()) == ["alone", "odd", "waited", "worker-2", "worker-3"]
    assert found["unreadable-1"] == "odd"
    assert sum(name.endswith(".journal") for name in found) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["worker-0"]


def test_a_worker_that_still_runs_keeps_its_folder(tmp_path: Path) -> None:
    (tmp_path / "worker-1").mkdir()
    (tmp_path / "worker-1/journal").write_text("alive")
    with locked(tmp_path / "worker-1"), pytest.raises(Conflict, match="Another inference server"):
        adopt(tmp_path, 1)
    assert (tmp_path / "worker-1/journal").read_text() == "alive"
