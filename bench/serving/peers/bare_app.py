"""The least that answers, on the same uvicorn: decode V2 JSON, run the model, encode its scores, with the fastest libraries.

With `binary` behind the port it speaks the binary extension in both directions instead.

No keys, no checks, no routing, no metrics, no records, no decision: what custody adds is measured against this.
"""

import struct
import sys
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import orjson
import simdjson
from front import JSON, Headers, serve
from session import OUTPUT, open_session

T = TypeVar("T")
SESSION, NAME = open_session()
LONG = 1500  # bytes from which on simdjson is the faster one
IS_TEXT = SESSION.get_inputs()[0].type == "tensor(string)"
SHAPE = [-1 if not isinstance(length, int) else length for length in SESSION.get_inputs()[0].shape]
_OUTPUT = b'{"model_name":"bench","model_version":"1","outputs":[{"name":"score","datatype":"FP64","shape":[%d],'
_BEFORE, _BINARY_BEFORE = _OUTPUT + b'"data":', _OUTPUT + b'"parameters":{"binary_data_size":%d}}]}'


class BinaryTensor(msgspec.Struct):
    """A tensor whose values stand elsewhere."""

    name: str
    datatype: str
    shape: list[int]


class Tensor(BinaryTensor):
    """A tensor with its values."""

    data: list[str] if IS_TEXT else list[float]  # type: ignore[valid-type]


class Request(msgspec.Struct, Generic[T]):
    """An infer request."""

    inputs: list[T]


DECODER, BINARY_DECODER = msgspec.json.Decoder(Request[Tensor]), msgspec.json.Decoder(Request[BinaryTensor])


def scored(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the positive class's score of each row."""
    scores: np.ndarray[Any, np.dtype[np.float64]] = SESSION.run([OUTPUT], {NAME: rows})[0][:, -1].astype(np.float64)
    return scores


def rows_in(body: bytes) -> np.ndarray[Any, Any]:
    """Return the only tensor's values."""
    if IS_TEXT:
        return np.array(DECODER.decode(body).inputs[0].data, object)
    if len(body) > LONG:
        numbers: Any = simdjson.Parser().parse(body).at_pointer("/inputs/0/data")  # type: ignore[union-attr]
        return np.frombuffer(numbers.as_buffer(of_type="d")).astype(np.float32)
    data = DECODER.decode(body).inputs[0].data
    return np.frombuffer(struct.pack(f"<{len(data)}f", *data), np.float32)


def answered(_: Headers, body: bytes) -> tuple[Headers, bytes]:
    """Score the rows of one request in JSON."""
    scores = scored(rows_in(body).reshape(SHAPE))
    return JSON, b"".join((_BEFORE % len(scores), orjson.dumps(scores, option=orjson.OPT_SERIALIZE_NUMPY), b"}]}"))


def answered_in_binary(headers: Headers, body: bytes) -> tuple[Headers, bytes]:
    """Score the rows of one request whose numbers stand behind its JSON, as bytes."""
    size = next(int(value) for name, value in headers if name == b"inference-header-content-length")
    shape = BINARY_DECODER.decode(body[:size]).inputs[0].shape
    scores = scored(np.frombuffer(body, np.float32, offset=size).reshape(shape))
    text = _BINARY_BEFORE % (len(scores), 8 * len(scores))
    return [(b"inference-header-content-length", b"%d" % len(text))], text + scores.tobytes()


if __name__ == "__main__":
    serve(answered_in_binary if "binary" in sys.argv[2:] else answered, int(sys.argv[1]))
