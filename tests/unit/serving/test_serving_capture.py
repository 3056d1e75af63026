"""Capture records: they round-trip, and a batch that is not whole is refused."""

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
from custody.serving import Capture, CaptureMode, complete_lines, line_of, read_batch, write_batch

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


@given(st.lists(captures(), max_size=3))
def test_a_batch_is_read_back_as_it_was_written(batch: list[Capture]) -> None:
    assert read_batch(write_batch(b"".join(map(line_of, batch)))) == batch


@given(captures(), st.integers(min_value=1))
def test_a_torn_last_line_is_dropped_and_the_rest_is_kept(capture: Capture, cut: int) -> None:
    line = line_of(capture)
    torn = line[: -1 - cut % (len(line) - 1)] if len(line) > 1 else b""
    assert complete_lines(line + torn) == line


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
    with pytest.raises(InvalidInput, match="followed by something"):
        read_batch(write_batch(GOLDEN.read_bytes()) + b"x")


def test_the_golden_line_of_format_version_1_is_read() -> None:
    (capture,) = read_batch(zlib.compress(GOLDEN.read_bytes(), wbits=31))
    assert (str(capture.id), capture.keys, capture.inputs["age"], capture.rows) == (str(ID), ("a", "b"), [30.5, None], 2)


def test_the_golden_line_of_format_version_2_is_read_and_written() -> None:
    wide = np.linspace(0.1, 1.6, 16, dtype=np.float32).reshape(2, 8)
    golden = GOLDEN.with_name("capture_v2.ndjson").read_bytes()
    (old,) = read_batch(zlib.compress(GOLDEN.read_bytes(), wbits=31))
    (capture,) = read_batch(zlib.compress(golden, wbits=31))
    assert line_of(replace(old, inputs={**old.inputs, "wide": wide})) == golden
    assert capture == replace(
        old, inputs={**old.inputs, "wide": [[round(0.1 * i + j * 0.8, 1) for i in range(1, 9)] for j in (0, 1)]}
    )


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
