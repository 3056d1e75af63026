"""Open Inference Protocol V2, the way in: JSON and binary tensors."""

import codecs
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.schema import Signature
from custody.inference.asked import Wanted
from custody.inference.protocols.values import array_of, flattened, raw, typed
from custody.serving import Given, dtype_of

T = TypeVar("T")
_PLACE = re.compile(r"\(byte (\d+)\)")
_FP32 = dtype_of("FP32")
_SHORT = 1500  # bytes of a body, for each of its tensors, up to which numbers are cheaper read as Python objects
_ASKED, _DESCRIBED = frozenset(("id", "outputs", "parameters")), frozenset(("name", "datatype", "shape", "parameters"))
_MOST_FIELDS = 16


class _Described(msgspec.Struct, kw_only=True):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}


class _Input(_Described, kw_only=True):
    data: msgspec.Raw = msgspec.Raw(b"")


class _FloatInput(_Described, kw_only=True):
    data: list[float]


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct, Generic[T]):
    inputs: list[T]
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


_decoder, _float_decoder = msgspec.json.Decoder(_Request[_Input]), msgspec.json.Decoder(_Request[_FloatInput])
_floats, _ints = msgspec.json.Decoder(list[float]), msgspec.json.Decoder(list[int])
_values: dict[str, msgspec.json.Decoder[Any]] = {
    **dict.fromkeys(("FP16", "FP32", "FP64"), _floats),
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"), _ints),
    "BOOL": msgspec.json.Decoder(list[bool]),
    "BYTES": msgspec.json.Decoder(list[str]),
}
_any = msgspec.json.Decoder(list[Any])


def read_request(body: bytes, json_length: int | None, *, floats: int = 0) -> InferRequest:
    """Decode a body: its JSON part (all of it if `json_length` is None) and the binary tensors behind; else InvalidInput.

    floats: so many tensors of FP32 numbers in JSON are expected, and tried first in a quicker way; what is not like that is read
    all the same.
    """
    quick = _read_floats(body, many=len(body) > _SHORT * floats) if floats and json_length is None else None
    return quick if quick is not None else _read(body, json_length)


def _read_floats(body: bytes, *, many: bool) -> InferRequest | None:
    """Read a request of FP32 numbers in JSON, None if it is another."""
    try:
        request, tensors = _many_floats(body) if many else _few_floats(body)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - each of three libraries refuses in ways of its own
        return None  # said in words by the other way
    return _asked(request, tuple(tensors), len(body))


def _few_floats(body: bytes) -> tuple[_Request[_FloatInput], list[Given]]:
    request = _float_decoder.decode(body)
    lists = [one.data for one in request.inputs]
    values = lists[0] if len(lists) == 1 else [*chain.from_iterable(lists)]
    together = np.frombuffer(struct.pack(f"<{len(values)}f", *values), _FP32)  # a call for each would cost more than its numbers
    if len(lists) == 1:
        return request, [_given(request.inputs[0], together)]
    ends = accumulate(map(len, lists))
    return request, [_given(one, together[end - len(one.data) : end]) for one, end in zip(request.inputs, ends, strict=True)]


def _many_floats(body: bytes) -> tuple[_Request[_Described], list[Given]]:
    """Read numbers, flat or in rows, without making a Python object of each, which costs more than half of the time."""
    if body.startswith(codecs.BOM_UTF8):
        raise ValueError("no JSON, though simdjson passes over it")
    document: Any = simdjson.Parser().parse(body)  # a parser of its own: one serves no two threads, and keeps what it took
    described = _fields(document, _ASKED)
    described["inputs"] = [_fields(one, _DESCRIBED) for one in _array(document["inputs"])]
    request, tensors, lists = msgspec.convert(described, _Request[_Described]), [], 0
    for one, found in zip(request.inputs, document["inputs"], strict=True):
        data = _array(found["data"])
        values = np.frombuffer(data.as_buffer(of_type="d")).astype(_FP32)
        if not math.isfinite(values.dot(values)):
            raise ValueError("(nearly) too large for the datatype")
        lists += 1 if len(data) == len(values) else 1 + _rows(data, one.shape)
        tensors.append(_given(one, values))
    begun = len(body) - len(body.replace(b"[", b""))  # `count` looks at each byte, which takes ten times as long
    if begun != lists + orjson.dumps(described).count(b"["):  # simdjson takes lists beside values for values
        raise ValueError("nested in another way, or something unknown")
    return request, tensors


def _fields(found: Any, known: frozenset[str]) -> dict[str, Any]:
    """Return the known fields of a simdjson object, as Python objects; ValueError if it has many, each of which is looked for."""
    names = [*found] if isinstance(found, simdjson.Object) and len(found) <= _MOST_FIELDS else []
    if not names or len({*names}) < len(names):
        raise ValueError("no object, too many fields, or one came twice, of which the other way takes the last")
    return {name: _plain(found[name]) for name in names if name in known}


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def _array(value: Any) -> Any:
    if not isinstance(value, simdjson.Array):
        raise TypeError("no list")
    return value


def _rows(data: Any, shape: list[int]) -> int:
    """Return how many rows a list holds, each with as many values as a shape says."""
    if len(data) != shape[0] or any(len(row) != shape[1] for row in data):
        raise ValueError("other rows than the shape says")
    return shape[0]


def _given(one: _Described, values: NDArray[np.float32]) -> Given:
    """Return a tensor; ValueError if it is of another type or shape, or has parameters."""
    shape = tuple(one.shape)
    if one.datatype != "FP32" or one.parameters or not shape or min(shape) <= 0 or math.prod(shape) != len(values):
        raise ValueError(one.name)
    return Given(one.name, "FP32", shape, values)


def _asked(request: _Request[Any], tensors: tuple[Given, ...], size: int) -> InferRequest:
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
    place = _PLACE.search(str(error))  # looking through a long body would hold up everybody
    if place and body.startswith((b"NaN", b"Infinity"), int(place[1])):
        return InvalidInput(
            "The body holds NaN or Infinity, which JSON does not have.", fix="Send null or binary for a missing number."
        )
    return InvalidInput(
        "The body is not an inference request.",
        why=f"{error}.",
        fix="See the V2 protocol: inputs, each with name, datatype, shape, data.",
    )


def refuse_unsupported(kind: str, name: str, parameters: Mapping[str, object]) -> None:
    """Refuse what would change where a tensor's values are, or what they are; kind: Input or Output."""
    if "shared_memory_region" in parameters:
        raise InvalidInput(
            f"{kind} '{name[:80]}': shared memory is not supported.", fix="Have the values in the request and in the answer."
        )
    if parameters.get("classification"):
        raise InvalidInput(f"{kind} '{name[:80]}': classification is not supported.", fix="Ask for it without class_count.")


def check_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape whose lengths are possible, else InvalidInput."""
    if shape and not 0 <= min(shape) <= max(shape) < 2**63:
        raise InvalidInput(f"Input '{name[:80]}' has an impossible shape.")
    return tuple(shape)


def _wanted(output: _Output, binary: bool) -> Wanted:
    refuse_unsupported("Output", output.name, output.parameters)
    return Wanted(output.name, _flag("binary_data", output.parameters, default=binary))


def _flag(name: str, parameters: Mapping[str, object], *, default: bool) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise InvalidInput(f"Parameter '{name}' must be true or false.")
    return found


def _tensor(one: _Input, body: bytes, at: int) -> tuple[Given, int]:
    if one.parameters:
        refuse_unsupported("Input", one.name, one.parameters)
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
    except UnicodeDecodeError as error:
        raise InvalidInput(f"Input '{one.name[:80]}' holds a text that is not UTF-8.", fix="Encode the body as UTF-8.") from error
    except (msgspec.MsgspecError, RecursionError):
        values = _loosely(one)
    if len(values) != count:
        raise InvalidInput(f"Input '{one.name[:80]}': the shape {one.shape[:8]} holds {count} values, got {len(values)}.")
    return array_of(one.name, one.datatype, values)


def _loosely(one: _Input) -> list[Any]:
    """Read data that is nested, or has null for a missing number; say what came if it is neither."""
    try:
        values, lengths = flattened(_any.decode(one.data))
    except TypeError as error:
        raise InvalidInput(
            f"Input '{one.name[:80]}': in its data {error}.", fix="Send a flat list, or nest it as the shape."
        ) from error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        if "out of range" in str(error):  # as 1e400, which no float holds
            raise InvalidInput(f"Input '{one.name[:80]}' holds a number that does not fit {one.datatype}.") from error
        raise InvalidInput(
            f"Input '{one.name[:80]}' needs 'data', a list of {one.datatype} values (or binary_data_size)."
        ) from error
    if len(lengths) > 1 and lengths not in ((*one.shape,), (*one.shape[:1], math.prod(one.shape[1:]))):
        raise InvalidInput(
            f"Input '{one.name[:80]}': the data is nested as {[*lengths][:8]}, and the shape is {one.shape[:8]}.",
            fix="Send a flat list, or nest it as the shape.",
        )
    return typed(one.name, one.datatype, values)
