"""Open Inference Protocol V2, the way in: JSON and binary tensors."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.schema import Signature
from custody.inference.asked import Wanted
from custody.inference.protocols.values import array_of, flattened, raw, typed
from custody.serving import Given, dtype_of

_BARE_NAN = re.compile(rb"[\[,:]\s*-?(NaN|Infinity)")


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


class _FloatInput(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]
    parameters: dict[str, Any] = {}


class _FloatRequest(msgspec.Struct):
    inputs: list[_FloatInput]
    id: str = ""
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] = {}


@dataclass(slots=True)  # not frozen: made for every request, and that costs three times as much
class InferRequest:
    """A decoded request; `outputs` empty means the usual ones. size_bytes: of the body it came from."""

    id: str
    parameters: Mapping[str, Any]
    tensors: tuple[Given, ...]
    outputs: tuple[Wanted, ...]
    binary: bool
    size_bytes: int

    def tensors_for(self, signature: Signature) -> tuple[Given, ...]:  # noqa: ARG002 - other protocols need it
        """Return the tensors as they came: this protocol names and types each."""
        return self.tensors


_decoder, _float_decoder = msgspec.json.Decoder(_Request), msgspec.json.Decoder(_FloatRequest)
_floats, _ints = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(list[int])
_values: dict[str, msgspec.json.Decoder[Any]] = {
    **dict.fromkeys(("FP16", "FP32", "FP64"), _floats),
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"), _ints),
    "BOOL": msgspec.json.Decoder(list[bool]),
    "BYTES": msgspec.json.Decoder(list[str]),
}
_any = msgspec.json.Decoder(list[Any])


def read_request(body: bytes, json_length: int | None, *, floats: bool = False) -> InferRequest:
    """Decode a body: its JSON part (all of it if `json_length` is None) and the binary tensors behind; else InvalidInput.

    floats: FP32 numbers in JSON are expected, and tried first in one pass; what is not like that is read all the same.
    """
    quick = _read_floats(body) if floats and json_length is None else None
    return quick if quick is not None else _read(body, json_length)


def _read_floats(body: bytes) -> InferRequest | None:
    try:
        request = _float_decoder.decode(body)
        tensors = [_floats_of(one) for one in request.inputs]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, RuntimeWarning):
        return None  # said in words by the other way
    return _asked(request, tuple(tensors), len(body))


def _floats_of(one: _FloatInput) -> Given:
    """Return a tensor; ValueError if it is nested, missing, of another type, or (nearly) too large for the datatype."""
    shape, values = tuple(one.shape), np.array(one.data, np.float32)  # an overflow is a RuntimeWarning, which may be an error
    if (
        one.datatype != "FP32"
        or one.parameters
        or not shape
        or min(shape) <= 0
        or math.prod(shape) != len(values)
        or not math.isfinite(values.dot(values))
    ):
        raise ValueError(one.name)
    return Given(one.name, "FP32", shape, values)


def _asked(request: _Request | _FloatRequest, tensors: tuple[Given, ...], size: int) -> InferRequest:
    binary = _flag("binary_data_output", request.parameters, default=False) if request.parameters else False
    outputs = tuple(_wanted(output, binary) for output in request.outputs) if request.outputs else ()
    return InferRequest(request.id, request.parameters, tensors, outputs, binary, size)


def _read(body: bytes, json_length: int | None) -> InferRequest:
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
    return _asked(request, tuple(tensors), len(body))


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


def refuse_classification(name: str, parameters: Mapping[str, object]) -> None:
    """Refuse an output that is asked for as classes with names: it would change the answer."""
    if parameters.get("classification"):
        raise InvalidInput(
            f"Output '{name[:80]}': classification is not supported.", fix="Ask for the output without class_count."
        )


def check_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape whose lengths are possible, else InvalidInput."""
    if not all(0 <= length < 2**63 for length in shape):
        raise InvalidInput(f"Input '{name[:80]}' has an impossible shape.")
    return tuple(shape)


def _wanted(output: _Output, binary: bool) -> Wanted:
    refuse_classification(output.name, output.parameters)
    return Wanted(output.name, _flag("binary_data", output.parameters, default=binary))


def _flag(name: str, parameters: Mapping[str, object], *, default: bool) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise InvalidInput(f"Parameter '{name}' must be true or false.")
    return found


def _tensor(one: _Input, body: bytes, at: int) -> tuple[Given, int]:
    dtype_of(one.datatype)
    shape = check_shape(one.name, one.shape)
    count = math.prod(shape)
    size = one.parameters.get("binary_data_size")
    if size is None:
        values = _from_json(one, count)
    elif type(size) is not int or not 0 <= size <= len(body) - at or bytes(one.data):
        raise InvalidInput(
            f"Input '{one.name[:80]}' announces {str(size)[:20]} bytes behind the JSON, and {len(body) - at} are left.",
            why="The body was cut, or Inference-Header-Content-Length is missing or wrong, or 'data' came as well.",
        )
    else:
        values, at = raw(one.name, one.datatype, count, memoryview(body)[at : at + size]), at + size
    return Given(one.name, one.datatype, shape, values), at


def _from_json(one: _Input, count: int) -> NDArray[Any]:
    if one.datatype == "BF16":
        raise InvalidInput(
            f"Input '{one.name[:80]}' is BF16, which JSON cannot hold.",
            fix="Send it as bytes behind the JSON, with binary_data_size.",
        )
    try:
        values = _values[one.datatype].decode(one.data)
    except (msgspec.MsgspecError, RecursionError):
        values = _loosely(one)
    if len(values) != count:
        raise InvalidInput(f"Input '{one.name[:80]}': the shape {one.shape[:8]} holds {count} values, got {len(values)}.")
    return array_of(one.name, one.datatype, values)


def _loosely(one: _Input) -> list[Any]:
    """Read data that is nested, or has null for a missing number; say what came if it is neither."""
    try:
        values = flattened(_any.decode(one.data))
    except (msgspec.MsgspecError, RecursionError, TypeError) as error:
        raise InvalidInput(
            f"Input '{one.name[:80]}' needs 'data', a list of {one.datatype} values (or binary_data_size)."
        ) from error
    return typed(one.name, one.datatype, values)
