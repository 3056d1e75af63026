"""Open Inference Protocol V2 on the wire: JSON and binary tensors in and out."""

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.serving import Given, dtype_of

_LARGEST_FP32 = float(np.finfo(np.float32).max)
_BARE_NAN = re.compile(rb"[\[,:]\s*-?(NaN|Infinity)")
_LENGTH = struct.Struct("<I")


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that the caller asks for, as JSON or as bytes behind the JSON."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A decoded request; `outputs` empty means the usual ones. size_bytes: of the body it came from."""

    id: str
    parameters: Mapping[str, Any]
    tensors: tuple[Given, ...]
    outputs: tuple[Wanted, ...]
    binary: bool
    size_bytes: int


_decoder = msgspec.json.Decoder(_Request)
_floats, _ints = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(list[int])
_values: dict[str, msgspec.json.Decoder[Any]] = {
    "FP32": _floats,
    "FP64": _floats,
    "INT32": _ints,
    "INT64": _ints,
    "BOOL": msgspec.json.Decoder(list[bool]),
    "BYTES": msgspec.json.Decoder(list[str]),
}
_accepted: dict[str, tuple[type, ...]] = {
    "FP32": (float, int, type(None)),
    "FP64": (float, int, type(None)),
    "INT32": (int,),
    "INT64": (int,),
    "BOOL": (bool,),
    "BYTES": (str,),
}
_any = msgspec.json.Decoder(list[Any])


def read_request(body: bytes, json_length: int | None) -> InferRequest:
    """Decode a body: its JSON part (all of it if `json_length` is None) and the binary tensors behind; else InvalidInput."""
    size = len(body) if json_length is None else json_length
    try:
        request = _decoder.decode(body if json_length is None else memoryview(body)[:size])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(body, error) from error
    tensors, at = [], size
    for one in request.inputs:
        tensor, at = _tensor(one, body, at)
        tensors.append(tensor)
    if at != len(body):
        raise InvalidInput(f"{len(body) - at} bytes are left over behind the tensors that the request describes.")
    binary = bool(request.parameters.get("binary_data_output", False))
    outputs = tuple(_wanted(output, binary) for output in request.outputs or ())
    return InferRequest(request.id, request.parameters, tuple(tensors), outputs, binary, len(body))


def _unreadable(body: bytes, error: Exception) -> InvalidInput:
    if _BARE_NAN.search(body):
        return InvalidInput(
            "The body holds NaN or Infinity, which JSON does not have.", fix="Send null or binary for a missing number."
        )
    return InvalidInput(
        "The body is not an inference request.",
        why=f"{error}.",
        fix="See the V2 protocol: inputs, each with name, datatype, shape, data.",
    )


def _wanted(output: _Output, binary: bool) -> Wanted:
    if output.parameters.get("classification"):
        raise InvalidInput(
            f"Output '{output.name[:80]}': classification is not supported.", fix="Ask for the output without class_count."
        )
    return Wanted(output.name, bool(output.parameters.get("binary_data", binary)))


def _tensor(one: _Input, body: bytes, at: int) -> tuple[Given, int]:
    dtype = dtype_of(one.datatype)
    if not all(0 <= length < 2**63 for length in one.shape):
        raise InvalidInput(f"Input '{one.name[:80]}' has an impossible shape.")
    count = math.prod(one.shape)
    size = one.parameters.get("binary_data_size")
    if size is None:
        values = _from_json(one, count)
    elif type(size) is not int or not 0 <= size <= len(body) - at or bytes(one.data):
        raise InvalidInput(
            f"Input '{one.name[:80]}' announces {str(size)[:20]} bytes behind the JSON, and {len(body) - at} are left.",
            why="The body was cut, or Inference-Header-Content-Length is missing or wrong, or 'data' came as well.",
        )
    elif one.datatype == "BYTES":
        values, at = _texts(one.name, memoryview(body)[at : at + size], count), at + size
    else:
        values, at = _numbers(one, body, at, size, dtype, count), at + size
    return Given(one.name, one.datatype, tuple(one.shape), values), at


def _from_json(one: _Input, count: int) -> NDArray[Any]:
    try:
        values = _values[one.datatype].decode(one.data)
    except (msgspec.MsgspecError, RecursionError):
        values = _loosely(one)
    if len(values) != count:
        raise InvalidInput(f"Input '{one.name[:80]}': the shape {one.shape[:8]} holds {count} values, got {len(values)}.")
    try:
        if one.datatype == "FP32" and values and not -_LARGEST_FP32 <= min(values) <= max(values) <= _LARGEST_FP32:
            _refuse_overflow(one, values)
        return np.array(values, dtype=dtype_of(one.datatype))
    except OverflowError as error:
        raise InvalidInput(f"Input '{one.name[:80]}' holds a number that does not fit {one.datatype}.") from error


def _refuse_overflow(one: _Input, values: list[float]) -> None:
    if any(abs(value) > _LARGEST_FP32 for value in values):  # NaN (from null) passes
        raise OverflowError(one.name)


def _loosely(one: _Input) -> list[Any]:
    """Read data that is nested, or has null for a missing number; say what came if it is neither."""
    try:
        values = _any.decode(one.data)
        while any(isinstance(value, list) for value in values):
            values = [inner for value in values for inner in value]
    except (msgspec.MsgspecError, RecursionError, TypeError) as error:
        raise InvalidInput(
            f"Input '{one.name[:80]}' needs 'data', a list of {one.datatype} values (or binary_data_size)."
        ) from error
    for index, value in enumerate(values):
        if not isinstance(value, _accepted[one.datatype]) or (isinstance(value, bool) and one.datatype != "BOOL"):
            came = "null" if value is None else type(value).__name__
            raise InvalidInput(f"Input '{one.name[:80]}' must hold {one.datatype} values, got {came} at position {index}.")
    return [math.nan if value is None else value for value in values]


def _numbers(one: _Input, body: bytes, at: int, size: int, dtype: "np.dtype[Any]", count: int) -> NDArray[Any]:
    if size != count * dtype.itemsize:
        raise InvalidInput(
            f"Input '{one.name[:80]}': {one.datatype} {one.shape[:8]} takes {count * dtype.itemsize} bytes, got {size}."
        )
    if one.datatype == "BOOL":
        return np.frombuffer(body, np.uint8, count, at).astype(np.bool_)
    values = np.frombuffer(body, dtype, count, at).copy()  # aligned, and the body can go
    if dtype.kind == "f" and np.isinf(values).any():
        raise InvalidInput(
            f"Input '{one.name[:80]}' holds an infinite number.", fix="Send a finite number, or NaN if it is missing."
        )
    return values


def _texts(name: str, part: memoryview, count: int) -> NDArray[Any]:
    texts: list[str] = []
    at = 0
    try:
        while at < len(part):
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(part, at)[0]
            if at > len(part):
                raise InvalidInput(f"Input '{name[:80]}': element {len(texts)} is cut.")
            texts.append(str(part[start:at], "utf-8"))
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"Input '{name[:80]}': element {len(texts)} is not UTF-8 text behind its 4-byte length.") from error
    if len(texts) != count:
        raise InvalidInput(f"Input '{name[:80]}': the shape holds {count} texts, got {len(texts)}.")
    return np.array(texts, dtype=object)


@dataclass(frozen=True, slots=True)
class Output:
    """An output on its way out."""

    name: str
    datatype: str
    values: NDArray[Any]
    binary: bool


def write_response(head: dict[str, Any], outputs: Sequence[Output]) -> tuple[bytes, int | None]:
    """Return the body, and the length of its JSON part if binary tensors follow (else None).

    JSON has no NaN or infinity: both are written as null. Binary keeps them.
    """
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for output in outputs:
        entry: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.values.shape}
        if output.binary:
            blobs.append(_bytes(output))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            flat = output.values.reshape(-1)
            entry["data"] = flat.tolist() if flat.dtype.kind in "OSU" else np.ascontiguousarray(flat)
        described.append(entry)
    head["outputs"] = described
    text = orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((text, *blobs)), len(text)) if blobs else (text, None)


def _bytes(output: Output) -> bytes:
    if output.datatype != "BYTES":
        return np.ascontiguousarray(output.values, dtype_of(output.datatype)).tobytes()
    texts = [str(value).encode() for value in output.values.reshape(-1)]
    return b"".join(_LENGTH.pack(len(text)) + text for text in texts)
