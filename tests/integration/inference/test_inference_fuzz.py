"""Whatever bytes a decoder gets, it decodes or refuses them: the same generators as `make fuzz-serving`, by hypothesis, in process."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inference_world import body, tabular

from custody.core.errors import InvalidInput
from custody.inference.exchange import Refused, whole_of
from custody.inference.protocols.mlflow_request import read_csv, read_json
from custody.inference.protocols.v2_request import _read_floats, read_request
from custody.serving import check_inputs

MOST = 200_000
ROW = {"age": 30.5, "spend": 10.0, "plan": "basic"}
GOOD = [
    json.dumps(body(2)).encode(),
    json.dumps({"dataframe_split": {"columns": list(ROW), "data": [list(ROW.values())]}}).encode(),
    json.dumps({"dataframe_records": [ROW, ROW]}).encode(),
    json.dumps({"inputs": {name: [value] for name, value in ROW.items()}}).encode(),
    json.dumps({"instances": [ROW]}).encode(),
    b'age,spend,plan\n30.5,10,basic\n"1","","x"\n',
]
WORDS = [b"null", b"NaN", b"1e999", b"[[[[", b"{}", b'"\\ud800"', b"\xff\xfe", b"\x00", b"9" * 400, b",", b'"', b"-1"]
PACKS: list[tuple[bytes, Callable[[bytes], bytes]]] = [(b"gzip", gzip.compress), (b"deflate", zlib.compress)]
CHANGES = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 30), st.sampled_from([b"", *WORDS]) | st.binary(max_size=6)), max_size=4
)


def changed(good: bytes, changes: Sequence[tuple[int, int, bytes]]) -> bytes:
    for start, length, new in changes:
        good = good[:start] + new + good[start + length :]
    return good


@pytest.mark.parametrize("read", [read_json, read_csv, lambda content: read_request(content, None)], ids=["json", "csv", "v2"])
@given(good=st.sampled_from(GOOD), changes=CHANGES)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_text_becomes_the_models_inputs_or_is_refused(
    read: Callable[[bytes], Any], good: bytes, changes: Sequence[tuple[int, int, bytes]]
) -> None:
    signature = tabular(1).signature
    try:
        inputs, rows = check_inputs(signature, read(changed(good, changes)).tensors_for(signature))
    except (InvalidInput, Refused):
        return
    assert {len(array) for array in inputs.values()} == {rows}


NUMBERS: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, -2.5, 1e-3, 3e8]}
ASKED = [
    {"inputs": [NUMBERS]},
    {"id": "é", "inputs": [{**NUMBERS, "shape": [4], "parameters": {}}, NUMBERS], "parameters": {"keys": ["a", "b"], "n": {}}},
    {"inputs": [{**NUMBERS, "data": [[1, 2], [3, 4]]}], "outputs": [{"name": "score", "parameters": {"binary_data": True}}]},
]
LONG = b" " * 4000  # in front of a body, it makes it a long one
NUMBER_WORDS = st.sampled_from(["1e400", "3.5e38", "-0", "true", "18446744073709551616", "[1]", '"inputs":[],', "2.0", "\\u00e9"])


@pytest.mark.parametrize("before", [b"", LONG])
@pytest.mark.parametrize("asked", ASKED)
def test_floats_are_read_in_the_quick_way(before: bytes, asked: dict[str, Any]) -> None:
    found = _read_floats(before + json.dumps(asked).encode(), many=bool(before))
    is_nested = isinstance(asked["inputs"][0]["data"][0], list)
    assert (found is None) == (is_nested and not before)  # few nested numbers go the other way


@pytest.mark.parametrize("before", [b"", LONG])
@given(asked=st.sampled_from(ASKED), changes=CHANGES, words=st.lists(st.tuples(st.integers(0, 250), NUMBER_WORDS), max_size=2))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_quick_way_reads_what_the_other_does(
    before: bytes, asked: dict[str, Any], changes: Sequence[tuple[int, int, bytes]], words: list[tuple[int, str]]
) -> None:
    content = before + changed(json.dumps(asked).encode(), [*changes, *((at, 1, word.encode()) for at, word in words)])
    assert told(content, floats=1) == told(content, floats=0)


@pytest.mark.parametrize("count", [10, 600])
@pytest.mark.parametrize("place", ["inputs", "data"])
def test_fields_that_nobody_asked_for_take_no_memory(place: str, count: int) -> None:
    more = {f"{place}\0{number}": 0 for number in range(count)}  # which simdjson finds under the name before the NUL
    numbers = {**NUMBERS, "shape": [5000], "data": [9.5] * 5000, **(more if place == "data" else {})}
    content = json.dumps({"inputs": [numbers], **(more if place == "inputs" else {})}).encode()
    before = told(content, floats=0)
    tracemalloc.start()
    try:
        found = read_request(content, None, floats=1)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()
    assert found.tensors[0].values.tolist() == [9.5] * 5000
    assert told(content, floats=1) == before


def test_rows_that_a_shape_only_claims_take_no_memory() -> None:
    content = LONG + json.dumps({"inputs": [{**NUMBERS, "shape": [10**8, 2], "data": [[1, 2], [3, 4]]}]}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="nested as"):
            read_request(content, None, floats=1)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbf" + json.dumps(ASKED[0]).encode(), b'{"inputs":{}}', b'{"inputs":""}', b'{"inputs":[[]]}']
)
def test_what_is_no_request_is_none_at_any_length(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="not an inference request"):
        read_request(content + LONG, None, floats=1)


def told(content: bytes, *, floats: int) -> object:
    try:
        found = read_request(content, None, floats=floats)
    except InvalidInput as error:
        return str(error)
    tensors = [(one.name, one.datatype, one.shape, one.values.tolist()) for one in found.tensors]
    return found.id, found.parameters, found.outputs, found.binary, found.size_bytes, repr(tensors)


@given(changes=CHANGES, pack=st.sampled_from(PACKS), size=st.integers(0, 2 * MOST))
@settings(max_examples=200, deadline=None)
def test_what_is_compressed_comes_out_whole_or_is_refused(
    changes: Sequence[tuple[int, int, bytes]], pack: tuple[bytes, Callable[[bytes], bytes]], size: int
) -> None:
    encoding, compress = pack
    status, found = inflated(changed(compress(bytes(size)), changes), encoding)
    assert len(found) <= MOST
    assert status in ({200} if size <= MOST and not changes else {413} if not changes else {200, 400, 413})


def inflated(packed: bytes, encoding: bytes) -> tuple[int, bytes]:
    try:
        return 200, whole_of(packed, encoding, MOST)
    except Refused as error:
        return error.status, b""
