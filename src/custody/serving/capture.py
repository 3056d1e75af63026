"""The record of an answered request: one JSON line each, shipped in compressed batches (format version 2).

A column of inputs is a list of values, null for a missing number; a longer one of floats is their bytes, little-endian, in base 64
behind their type: `f4:AACAPw==`, where NaN is missing. Version 1 had lists only.
"""

import binascii
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import orjson
from isal import isal_zlib
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.prediction import CAPTURE_VERSION, SAMPLED_VERSION, PredictionId

Value = float | int | str | bool | None
Column = Sequence[Any] | NDArray[Any]  # n values; a value is a list where the signature's rows are wider than one; or [n, 1]
_MOST_BYTES = 512 * 1024 * 1024
_PACKED = 16  # floats from which on bytes are cheaper than digits
_TYPES: dict[str, Any] = {"f4": np.dtype("<f4"), "f8": np.dtype("<f8")}
_KINDS = {dtype: b'"%b:' % kind.encode() for kind, dtype in _TYPES.items()}
_NUMPY = orjson.OPT_SERIALIZE_NUMPY


class CaptureMode(StrEnum):
    """Who answered: the live target, the canary, or (nobody was answered) the shadow."""

    LIVE = "live"
    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class Capture:
    """One answered request of n rows; row i is the prediction `id.of_row(i)`.

    at_ms: when it was answered; event_ms: when it happened, if the caller said so (both ms since 1970).
    keys: the caller's own names of the rows. of: the live prediction that a shadow's record mirrors.
    inputs: by input name, n values, null where a number was missing. latency_us: microseconds from body to answer.
    share: the chance, in (0, 1], with which each row was kept. places: which rows of the request these are; None means all.
    """

    id: PredictionId
    at_ms: int
    event_ms: int | None
    keys: tuple[str, ...] | None
    mode: CaptureMode
    of: PredictionId | None
    threshold: float
    inputs: Mapping[str, Column]
    scores: Sequence[float] | NDArray[Any]
    decisions: Sequence[bool] | NDArray[Any]
    latency_us: int
    share: float = 1.0
    places: tuple[int, ...] | None = None

    @property
    def rows(self) -> int:
        """Return the number of predictions in the record."""
        return len(self.scores)


class _Line(msgspec.Struct):
    v: int
    id: str
    at: int
    event: int | None
    keys: tuple[str, ...] | None
    mode: CaptureMode
    of: str | None
    threshold: float
    inputs: dict[str, list[Any] | str]
    score: list[float]
    decision: list[bool]
    us: int
    share: float = 1.0
    rows: tuple[int, ...] | None = None


_decoder = msgspec.json.Decoder(_Line)


@lru_cache(4096)
def _name(name: str) -> bytes:
    return orjson.dumps(name) + b":"


def _written(inputs: Mapping[str, Column]) -> bytes:
    """Write inputs as columns: [n, 1] becomes n values, texts become a list."""
    return b"{" + b",".join([_name(name) + _column(column) for name, column in inputs.items()]) + b"}"


def _column(column: Column) -> bytes:
    if isinstance(column, np.ndarray):
        if column.size >= _PACKED and (kind := _KINDS.get(column.dtype)):
            return b"".join((kind, binascii.b2a_base64(column.data, newline=False), b'"'))  # none of these letters is escaped
        if column.shape[1:] == (1,):
            column = column.reshape(-1)
        if column.dtype == object:
            column = column.tolist()
    return orjson.dumps(column, option=_NUMPY)


def line_of(capture: Capture) -> bytes:
    """Write a capture as one line of JSON with its newline; numbers keep their own precision."""
    head = line_head(str(capture.id), capture.mode, capture.threshold, str(capture.of) if capture.of else None)
    return line_after(
        head,
        b"",
        (capture.at_ms, capture.event_ms, capture.keys),
        capture.inputs,
        (orjson.dumps(capture.scores, option=_NUMPY), orjson.dumps(capture.decisions, option=_NUMPY)),
        capture.latency_us,
    )


def line_head(id: str, mode: CaptureMode, threshold: float, of: str | None = None) -> tuple[bytes, bytes]:  # noqa: A002 - the field's word
    """Write what all lines of a target have in common; the id may go on behind the first part."""
    written = orjson.dumps({"mode": mode, "of": of, "threshold": threshold})
    return b'{"v":%d,"id":%s' % (CAPTURE_VERSION, orjson.dumps(id)[:-1]), b"," + written[1:-1] + b',"inputs":'


def line_after(
    head: tuple[bytes, bytes],
    rest: bytes,
    said: tuple[int, int | None, tuple[str, ...] | None],
    inputs: Mapping[str, Column],
    answered: tuple[bytes, bytes],
    latency_us: int,
) -> bytes:
    """Write a line behind its head. rest: of the id. said: at_ms, event_ms, keys. answered: scores and decisions as JSON."""
    at_ms, event_ms, keys = said
    when = b'","at":%d,"event":null,"keys":null' % at_ms
    if event_ms is not None or keys is not None:
        when = b'","at":%d,"event":%b,"keys":%b' % (at_ms, orjson.dumps(event_ms), orjson.dumps(keys))
    written, behind = _written(inputs), b',"us":%d}\n' % latency_us
    return b"".join((head[0], rest, when, head[1], written, b',"score":', answered[0], b',"decision":', answered[1], behind))


def complete_lines(body: bytes) -> bytes:
    """Drop a torn last line: it belongs to a request that was never answered."""
    return body[: body.rfind(b"\n") + 1]


def write_batch(lines: bytes) -> bytes:
    """Compress lines into a batch; the same lines always give the same bytes."""
    packed: bytes = isal_zlib.compress(lines, 1, 31)
    return packed


def read_batch(body: bytes) -> list[Capture]:
    """Read a batch of captures; anything that is not one whole gzip stream of valid lines is InvalidInput."""
    return read_lines(lambda: unpacked(body))


def read_lines(lines: Callable[[], Sequence[bytes]]) -> list[Capture]:
    """Read lines of captures; one that is not valid is InvalidInput that names its number."""
    number = 0
    try:
        captures = []
        for number, line in enumerate(lines(), start=1):  # noqa: B007 - the number stands in the error below
            captures.append(_capture(_decoder.decode(line)))
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError, InvalidInput) as error:
        raise InvalidInput(
            f"Line {number} of this capture batch cannot be read." if number else "This is not a capture batch.",
            why=str(error),
            facts={"line": number},
        ) from error
    return captures


def unpacked(body: bytes) -> list[bytes]:
    """Return the lines of a batch; ValueError or zlib.error if it is not one whole stream of them."""
    unpacker = zlib.decompressobj(wbits=31)
    lines = unpacker.decompress(body, _MOST_BYTES).split(b"\n")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the compressed stream is cut, too long, or followed by something else")
    if lines.pop():
        raise ValueError("the last line is torn")
    return lines


def _capture(line: _Line) -> Capture:
    if line.v not in {1, CAPTURE_VERSION, SAMPLED_VERSION}:
        raise ValueError(f"format version {line.v} is unknown")
    rows = len(line.score)
    inputs = {name: _unpacked(column, rows) if isinstance(column, str) else column for name, column in line.inputs.items()}
    counts = {len(line.decision), *map(len, inputs.values()), len(line.keys) if line.keys is not None else rows}
    if counts != {rows} or not rows:
        raise ValueError("the columns have different lengths")
    if (line.rows is None) != (line.v != SAMPLED_VERSION) or not 0 < line.share <= 1:
        raise ValueError("the share is missing or not in (0, 1]")
    if line.rows is not None and (len(line.rows) != rows or list(line.rows) != sorted({*line.rows}) or line.rows[0] < 0):
        raise ValueError("the places of the rows are not in order")
    return Capture(
        id=PredictionId.parse(line.id),
        at_ms=line.at,
        event_ms=line.event,
        keys=line.keys,
        mode=line.mode,
        of=PredictionId.parse(line.of) if line.of is not None else None,
        threshold=line.threshold,
        inputs=inputs,
        scores=line.score,
        decisions=line.decision,
        latency_us=line.us,
        share=line.share,
        places=line.rows,
    )


def _unpacked(text: str, rows: int) -> list[Any]:
    """Read floats that were written as bytes; a row of several is a list."""
    kind, _, written = text.partition(":")
    if kind not in _TYPES:
        raise ValueError("a column of bytes has an unknown type")
    values = np.frombuffer(binascii.a2b_base64(written, strict_mode=True), _TYPES[kind])
    if not rows or not values.size or values.size % rows:
        raise ValueError("the columns have different lengths")
    found: list[Any] = orjson.loads(orjson.dumps(values.reshape(rows, -1) if values.size > rows else values, option=_NUMPY))
    return found  # the fewest digits that tell each number in its own precision, as in a list
