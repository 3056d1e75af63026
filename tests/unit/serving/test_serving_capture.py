"""Capture records: they round-trip, and a batch that is not whole is refused."""

import hashlib
import io
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.serving import (
    Capture,
    CaptureMode,
    Told,
    complete_lines,
    deployment_of,
    is_packed,
    line_after,
    line_head,
    line_of,
    packed,
    read_batch,
    write_batch,
)
from custody.serving.capture import unpacked
from custody.serving.sampling import without

GOLDEN = Path(__file__).parent / "capture_v1.ndjson"
ID = PredictionId(DeploymentKey(TenantId("acme"), "prod", "churn"), 3, ModelRef("churn", 7), unique_at(1772366400000, bytes(10)))
ms = st.integers(0, 2**41)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def captures(draw: st.DrawFn) -> Capture:
    n = draw(st.integers(1, 4))
    values = st.none() | st.booleans() | floats | st.integers(-(2**53), 2**53) | texts
    return Capture(
        id=ID,
        at_ms=draw(ms),
        event_ms=draw(st.none() | ms),
        keys=draw(st.none() | st.lists(texts, min_size=n, max_size=n).map(tuple)),
        mode=draw(st.sampled_from(CaptureMode)),
        of=draw(st.sampled_from([None, ID.of_row(0)])),
        threshold=draw(floats),
        inputs=draw(st.dictionaries(texts, st.lists(values, min_size=n, max_size=n))),
        scores=draw(st.lists(floats, min_size=n, max_size=n)),
        decisions=draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        latency_us=draw(ms),
    )


@given(st.lists(captures(), min_size=1, max_size=3))
def test_a_batch_is_read_back_as_it_was_written(batch: list[Capture]) -> None:
    assert read_batch(write_batch(b"".join(map(line_of, batch)))) == batch


@given(captures(), st.integers(min_value=1))
def test_a_torn_last_line_is_dropped_and_the_rest_is_kept(capture: Capture, cut: int) -> None:
    line = line_of(capture)
    torn = line[: -1 - cut % (len(line) - 1)] if len(line) > 1 else b""
    assert b"".join(complete_lines(io.BytesIO(line + torn))) == line


@given(st.lists(st.integers(1, 700_000), max_size=6), st.integers(0, 700_000))
def test_lines_are_read_in_pieces_and_none_is_cut(lengths: list[int], torn: int) -> None:
    lines = b"".join(b"x" * (length - 1) + b"\n" for length in lengths)
    pieces = list(complete_lines(io.BytesIO(lines + b"y" * torn)))
    assert b"".join(pieces) == lines
    assert all(piece.endswith(b"\n") for piece in pieces)
    batch = packed(pieces)
    assert (zlib.decompress(batch, 31) if is_packed(batch) else batch) == lines


def test_a_batch_is_compressed_where_that_halves_it() -> None:
    words = b'{"text":"the same again and again"}\n' * 2000
    digits = b"".join(b'"%b"\n' % hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(1000))
    assert len(packed([words, words])) < len(words) / 10
    assert packed([digits, digits]) == 2 * digits
    for lines in (words, digits):
        assert b"\n".join([*unpacked(packed([lines, lines])), b""]) == lines * 2
        assert packed([lines, lines]) == packed(iter([lines, lines]))


@given(captures(), st.data())
def test_a_cut_batch_is_refused(capture: Capture, data: st.DataObject) -> None:
    batch = write_batch(line_of(capture))
    with pytest.raises(InvalidInput):
        read_batch(batch[: data.draw(st.integers(0, len(batch) - 1))])


@given(st.binary())
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_batch(garbage)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":3'),
        (b'"id":"acme:', b'"id":"acme;'),
        (b'"mode":"live"', b'"mode":"maybe"'),
        (b'"score":[0.25,0.75]', b'"score":[0.25]'),
        (b'"score":[0.25,0.75]', b'"score":[0.25,null]'),
        (b'"age":[30.5,null]', b'"age":[30.5]'),
        (b'"keys":["a","b"]', b'"keys":["a"]'),
        (b'"age":[30.5,null]', b'"age":"f4:AAAAAA=="'),
        (b'"age":[30.5,null]', b'"age":"f4:AAAA"'),
        (b'"age":[30.5,null]', b'"age":"f4:AAAAAAAAAAA"'),
        (b'"age":[30.5,null]', b'"age":"i4:AAAAAAAAAAA="'),
        (b'"age":[30.5,null]', b'"age":"f4:"'),
        (b'"us":90', b'"us":"90"'),
        (b"}\n", b"}"),
        (b"}\n", b"}\n{}\n"),
    ],
)
def test_a_line_that_breaks_the_format_is_refused(old: bytes, new: bytes) -> None:
    line = GOLDEN.read_bytes()
    assert old in line
    with pytest.raises(InvalidInput):
        read_batch(write_batch(line.replace(old, new)))


def test_something_behind_the_stream_is_refused() -> None:
    for line, why in ((GOLDEN.read_bytes(), "torn"), (GOLDEN.read_bytes() * 100, "followed by something")):
        with pytest.raises(InvalidInput, match=why):
            read_batch(write_batch(line) + b"x")


def test_the_golden_line_of_format_version_1_is_read() -> None:
    (capture,) = read_batch(zlib.compress(GOLDEN.read_bytes(), wbits=31))
    assert (str(capture.id), capture.keys, capture.inputs["age"], capture.rows) == (str(ID), ("a", "b"), [30.5, None], 2)


def golden(version: int) -> bytes:
    return GOLDEN.with_name(f"capture_v{version}.ndjson").read_bytes()


def test_the_golden_line_of_format_version_2_is_read() -> None:
    (old,) = read_batch(zlib.compress(GOLDEN.read_bytes(), wbits=31))
    (capture,) = read_batch(zlib.compress(golden(2), wbits=31))
    assert capture == replace(
        old, inputs={**old.inputs, "wide": [[round(0.1 * i + j * 0.8, 1) for i in range(1, 9)] for j in (0, 1)]}
    )


def test_the_golden_line_of_format_version_6_is_written_and_holds_several_requests() -> None:
    head = line_head("acme:prod:churn:3:churn@7:", CaptureMode.LIVE, 0.5)
    ages = np.array([30.5, np.nan, 18], np.float32)
    plans, wide = np.array(["basic", "École", "pro"], object), np.arange(6, dtype=np.int64).reshape(3, 2)
    parts = [{"age": ages[part], "plan": plans[part], "wide": wide[part]} for part in (slice(2), slice(2, 3))]
    answered = [b"[0.25,0.75]", b"[0.5]"], [b"[false,true]", b"[true]"]
    uniques = (ID.unique, unique_at(1772366400001, bytes(10)))
    told = [Told(1772366300000, ("a", "b")), Told(of=str(ID))]
    assert line_after(head, 1772366400009, uniques, (90, 85), parts, *answered, told) == golden(6)
    first, second = read_batch(write_batch(golden(6)))
    assert read_batch(write_batch(golden(4))) == [first, second]
    assert (first.id, first.event_ms, first.keys, first.of, first.latency_us) == (ID, 1772366300000, ("a", "b"), None, 90)
    assert first.inputs == {"age": [30.5, None], "plan": ["basic", "École"], "wide": [[0, 1], [2, 3]]}
    assert second == replace(
        first,
        id=replace(ID, unique=uniques[1]),
        event_ms=None,
        keys=None,
        of=ID,
        inputs={"age": [18.0], "plan": ["pro"], "wide": [[4, 5]]},
        scores=[0.5],
        decisions=[True],
        latency_us=85,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":6', b'"v":7'),
        (b'"later":null', b'"later":[1]'),
        (b'"later":null', b'"later":1'),
        (b'"id":"acme:', b'"id":"acme;'),
        (b'"us":[90,85]', b'"us":[90]'),
        (b'"us":[90,85]', b'"us":90'),
        (b'"event":[1772366300000,null]', b'"event":[1772366300000]'),
        (b'"keys":[["a","b"],null]', b'"keys":[["a"],null]'),
        (b'"keys":[["a","b"],null]', b'"keys":[["a","b"]]'),
        (b'"score":[[0.25,0.75],[0.5]]', b'"score":[[0.25,0.75]]'),
        (b'"score":[[0.25,0.75],[0.5]]', b'"score":[[0.25],[0.75,0.5]]'),
        (b'"score":[[0.25,0.75],[0.5]]', b'"score":[[0.25,0.75,0.5],[]]'),
        (b'"plan":["basic","\xc3\x89cole","pro"]', b'"plan":["basic","\xc3\x89cole"]'),
        (b'"plan":["basic","\xc3\x89cole","pro"]', b'"plan":"i4:AAAAAAAAAAAAAAAA"'),
        (b'"age":"f4:', b'"age":"f8:'),
        (b'"unique":["01KJ', b'"unique":["01kj'),
    ],
)
def test_a_line_of_several_requests_that_breaks_the_format_is_refused(old: bytes, new: bytes) -> None:
    assert old in golden(6)
    with pytest.raises(InvalidInput):
        read_batch(write_batch(golden(6).replace(old, new)))


INPUTS_8 = b'{"age":"f4:12","wide":"i8:24","paid":"b1:3"}'
BYTES_8 = np.array([30.5, np.nan, 18], "<f4").tobytes() + np.array([10, 0, 2570], "<i8").tobytes() + b"\1\0\1"


def with_inputs(version: int, inputs: bytes, behind: bytes = b"") -> bytes:
    """Return the golden line with other inputs, as another version, and what stands behind it."""
    before, rest = golden(6).split(b'"inputs":')
    end = b',"share":0.25,"rows":[[3,5],[0]]}\n' if version in {7, 9} else b"}\n"
    return b'{"v":%d%b"inputs":%b%b%b%b' % (version, before[6:], inputs, rest[rest.index(b',"score"') : -2], end, behind)


@pytest.mark.parametrize(("version", "as_text"), [(8, 6), (9, 7)])
def test_lines_of_versions_8_and_9_have_the_bytes_of_their_columns_behind_them(version: int, as_text: int) -> None:
    plain = with_inputs(as_text, b'{"age":[30.5,null,18.0],"wide":[10,0,2570],"paid":[true,false,true]}')
    bare = with_inputs(version, INPUTS_8, BYTES_8)
    assert b"\n" in BYTES_8
    first, second = read_batch(bare)
    assert [first, second] == read_batch(plain)
    assert (first.share, first.places, second.places) == ((0.25, (3, 5), (0,)) if version == 9 else (1.0, None, None))
    for packed_or_not in (bytes, write_batch):
        assert read_batch(packed_or_not(bare + golden(6) + bare + plain)) == [
            first,
            second,
            *read_batch(golden(6)),
            *[first, second] * 2,
        ]
    assert read_batch(without(bare + golden(6), lambda one: one == first) or b"") == [second, *read_batch(golden(6))]
    assert without(bare + golden(6), lambda _: False) is None


@pytest.mark.parametrize(
    ("inputs", "behind"),
    [
        (INPUTS_8, BYTES_8[:-1]),
        (INPUTS_8, BYTES_8 + b"\0"),
        (INPUTS_8, b""),
        (INPUTS_8[:-1], BYTES_8),
        (b"[1]", BYTES_8),
        (b'{"age":[1,2,3]}', b""),
        (b'{"age":12}', BYTES_8),
        (b'{"age":"f4:-12"}', BYTES_8),
        (b'{"age":"f4:0"}', b""),
        (b'{"age":"f4:11"}', BYTES_8[:11]),
        (b'{"age":"f4:8"}', BYTES_8[:8]),
        (b'{"age":"i4:8"}', BYTES_8[:8]),
        (b'{"age":"O8:24"}', b"\0" * 24),
        (b'{"age":"f4:99999999999999999999999"}', BYTES_8),
    ],
)
def test_a_line_whose_bytes_are_not_as_it_says_is_refused(inputs: bytes, behind: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_batch(with_inputs(8, inputs, behind))


@st.composite
def answered_together(draw: st.DrawFn) -> list[Capture]:
    """Draw requests of one target, their inputs as the server has them."""
    kind, width = draw(st.sampled_from([np.float16, np.float32, np.float64])), draw(st.sampled_from([0, 1, 2]))
    found = []
    for number, n in enumerate(draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))):
        words = np.array(draw(st.lists(texts, min_size=n, max_size=n)), object)
        columns = {"x": draw(arrays(kind, (n, width), elements={"allow_infinity": False})), "n": np.arange(n), "t": words}
        one = Capture(
            id=replace(ID, unique=unique_at(number, bytes(10))),
            at_ms=7,
            event_ms=draw(st.none() | ms),
            keys=draw(st.none() | st.lists(texts, min_size=n, max_size=n).map(tuple)),
            mode=CaptureMode.LIVE,
            of=draw(st.sampled_from([None, ID])),
            threshold=0.5,
            inputs=columns,
            scores=[0.5] * n,
            decisions=[True] * n,
            latency_us=number,
        )
        found.append(one)
    return found


@given(answered_together())
def test_requests_written_together_are_read_as_if_each_had_a_line(every: list[Capture]) -> None:
    line = line_after(
        line_head(str(ID).removesuffix(ID.unique), CaptureMode.LIVE, 0.5),
        7,
        [one.id.unique for one in every],
        [one.latency_us for one in every],
        [one.inputs for one in every],
        [orjson.dumps(one.scores) for one in every],
        [orjson.dumps(one.decisions) for one in every],
        [Told(one.event_ms, one.keys, str(one.of) if one.of else None) for one in every],
    )
    assert line.count(b"\n") == 1
    assert read_batch(write_batch(line)) == read_batch(write_batch(b"".join(map(line_of, every))))


@pytest.mark.parametrize("kind", [np.float32, np.int64])
@pytest.mark.parametrize("count", [1, 2])
def test_rows_are_written_in_order_however_an_array_is_laid_out(kind: Any, count: int) -> None:
    capture = Capture(ID, 0, None, None, CaptureMode.LIVE, None, 0.5, {}, [0.5] * 2, [True] * 2, 1)
    head = line_head(str(ID).removesuffix(ID.unique), CaptureMode.LIVE, 0.5)
    columns = {"x": np.asfortranarray(np.arange(6, dtype=kind).reshape(2, 3)), "y": np.arange(4, dtype=kind)[::2]}
    try:
        line = line_after(
            head, 0, [ID.unique] * count, [1] * count, [columns] * count, [b"[0.5,0.5]"] * count, [b"[true,true]"] * count
        )
    except (TypeError, BufferError):
        assert count > 1  # each is then written alone
        return
    read = read_batch(write_batch(line))
    assert read == [replace(capture, inputs={"x": [[0, 1, 2], [3, 4, 5]], "y": [0, 2]})] * count


def test_inputs_of_different_widths_are_not_written_together() -> None:
    head, parts = line_head("a:b:c:1:m@1:", CaptureMode.LIVE, 0.5), [{"x": np.zeros((1, n), np.float32)} for n in (2, 4)]
    with pytest.raises(ValueError, match="dimension"):
        line_after(head, 1, ["u"] * 2, [1] * 2, parts, [b"[0.5]"] * 2, [b"[true]"] * 2)


@given(
    arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 40), st.sampled_from([1, 3])),
        elements={"allow_infinity": False},
    )
)
def test_bytes_and_digits_say_the_same_numbers(values: NDArray[Any]) -> None:
    n = len(values)
    found = {"x": values}
    capture = Capture(ID, 0, None, None, CaptureMode.LIVE, None, 0.5, found, [0.5] * n, [True] * n, 1)
    (read,) = read_batch(write_batch(line_of(capture)))
    said = json.loads(orjson.dumps(values.reshape(-1) if values.shape[1] == 1 else values, option=orjson.OPT_SERIALIZE_NUMPY))
    assert read.inputs == {"x": said}


def test_arrays_become_columns_with_their_own_precision() -> None:
    found = {"x": np.array([[0.1], [np.nan]], np.float32), "word": np.array([["a"], ["b"]], object), "wide": np.zeros((2, 2))}
    capture = Capture(ID, 0, None, None, CaptureMode.LIVE, None, 0.5, found, np.array([0.5, 1.0]), np.array([True, True]), 1)
    (read,) = read_batch(write_batch(line_of(capture)))
    assert read.inputs == {"x": [0.1, None], "word": ["a", "b"], "wide": [[0.0, 0.0], [0.0, 0.0]]}


def test_a_line_of_any_version_names_its_deployment() -> None:
    assert {str(deployment_of(golden(version))) for version in (1, 2, 4)} == {"acme/prod/churn"}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"v":4,"id":7}',
        b'{"v":4,"id":"acme:b"}',
        b'{"v":4,"id":"..:b:c:1"}',
        b'{"v":4,"id":"\xff\xff:b:c:1"}',
    ],
)
def test_a_line_that_names_no_deployment_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidInput):
        deployment_of(line)
