"""The record of an answered request: one JSON line each, shipped in compressed batches (format version 1)."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
import orjson
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.prediction import CAPTURE_VERSION, PredictionId

Value = float | int | str | bool | None
Column = Sequence[Any] | NDArray[Any]  # n values; a value is a list where the signature's rows are wider than one
_MOST_BYTES = 512 * 1024 * 1024


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
    inputs: dict[str, list[Any]]
    score: list[float]
    decision: list[bool]
    us: int


_decoder = msgspec.json.Decoder(_Line)


def columns(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Column]:
    """Return a model's inputs as columns: [n, 1] becomes n values, texts become a list."""
    return {name: _column(array.reshape(-1) if array.shape[1:] == (1,) else array) for name, array in arrays.items()}


def _column(array: NDArray[Any]) -> Column:
    return array.tolist() if array.dtype == object else array


def line_of(capture: Capture) -> bytes:
    """Write a capture as one line of JSON with its newline; numbers keep their own precision, NaN becomes null."""
    return orjson.dumps(
        {
            "v": CAPTURE_VERSION,
            "id": str(capture.id),
            "at": capture.at_ms,
            "event": capture.event_ms,
            "keys": capture.keys,
            "mode": capture.mode,
            "of": str(capture.of) if capture.of else None,
            "threshold": capture.threshold,
            "inputs": capture.inputs,
            "score": capture.scores,
            "decision": capture.decisions,
            "us": capture.latency_us,
        },
        option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE,
    )


def complete_lines(body: bytes) -> bytes:
    """Drop a torn last line: it belongs to a request that was never answered."""
    return body[: body.rfind(b"\n") + 1]


def write_batch(lines: bytes) -> bytes:
    """Compress lines into a batch; the same lines always give the same bytes."""
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(lines) + packer.flush()


def read_batch(body: bytes) -> list[Capture]:
    """Read a batch of captures; anything that is not one whole gzip stream of valid lines is InvalidInput."""
    number = 0
    try:
        captures = []
        for number, line in enumerate(_lines(body), start=1):  # noqa: B007 - the number stands in the error below
            captures.append(_capture(_decoder.decode(line)))
    except (zlib.error, msgspec.MsgspecError, ValueError, RecursionError, InvalidInput) as error:
        raise InvalidInput(
            f"Line {number} of this capture batch cannot be read." if number else "This is not a capture batch.",
            why=str(error),
            facts={"line": number},
        ) from error
    return captures


def _lines(body: bytes) -> list[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    lines = unpacker.decompress(body, _MOST_BYTES).split(b"\n")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the compressed stream is cut, too long, or followed by something else")
    if lines.pop():
        raise ValueError("the last line is torn")
    return lines


def _capture(line: _Line) -> Capture:
    if line.v != CAPTURE_VERSION:
        raise ValueError(f"format version {line.v} is unknown")
    counts = {len(line.decision), *map(len, line.inputs.values()), len(line.keys) if line.keys is not None else len(line.score)}
    if counts != {len(line.score)} or not line.score:
        raise ValueError("the columns have different lengths")
    return Capture(
        id=PredictionId.parse(line.id),
        at_ms=line.at,
        event_ms=line.event,
        keys=line.keys,
        mode=line.mode,
        of=PredictionId.parse(line.of) if line.of is not None else None,
        threshold=line.threshold,
        inputs=line.inputs,
        scores=line.score,
        decisions=line.decision,
        latency_us=line.us,
    )
