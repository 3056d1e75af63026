"""Whatever bytes a decoder gets, it decodes or refuses them: the same generators as `make fuzz-serving`, by hypothesis, in process."""

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inference_world import body, tabular

from custody.core.errors import InvalidInput
from custody.inference.exchange import Refused, _inflated
from custody.inference.protocols.mlflow_request import read_csv, read_json
from custody.inference.protocols.v2_request import read_request
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
        return 200, _inflated(packed, encoding, MOST)
    except Refused as error:
        return error.status, b""
