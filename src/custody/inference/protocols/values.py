"""Values as callers write them, in JSON or as bytes, checked and made into arrays."""

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.serving import bf16_of, dtype_of, floats_of

_LENGTH = struct.Struct("<I")
_LARGEST = {
    "FP16": float(np.finfo(np.float16).max),
    "BF16": float(np.float32(3.3895314e38)),
    "FP32": float(np.finfo(np.float32).max),
}
FLOATS = ("FP16", "BF16", "FP32", "FP64")
WHOLE = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
NUMBERS = {*FLOATS, *WHOLE}
_ACCEPTED: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(FLOATS, (float, int, type(None))),
    **dict.fromkeys(WHOLE, (int,)),
    "BOOL": (bool,),
    "BYTES": (str,),
}


def array_of(name: str, datatype: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return values of the right types as a flat array; InvalidInput if a number does not fit the datatype, or is infinite."""
    try:
        if (most := _LARGEST.get(datatype)) and values and not -most <= min(values) <= max(values) <= most:
            _refuse_overflow(name, values, most)
        array = np.array(values, dtype=dtype_of(datatype))
    except OverflowError as error:
        raise InvalidInput(f"Input '{name[:80]}' holds a number that does not fit {datatype}.") from error
    if datatype == "BF16":
        return floats_of(bf16_of(array))  # what the model is given is what is kept
    return finite(name, array) if datatype == "FP64" else array


def _refuse_overflow(name: str, values: Sequence[float], most: float) -> None:
    if any(abs(value) > most for value in values):  # NaN (from null) passes
        raise OverflowError(name)


def finite(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array without infinite numbers, else InvalidInput; NaN is a missing number."""
    if array.dtype.kind == "f" and not math.isfinite(array.dot(array)) and np.isinf(array).any():  # the first is cheaper
        raise InvalidInput(f"Input '{name[:80]}' holds an infinite number.", fix="Send a finite number, or NaN if it is missing.")
    return array


def flattened(values: Sequence[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Return the values of nested lists in order, and how long the lists of each level are.

    Raises: TypeError where lists and values stand side by side, or lists of different lengths: a value would come to another row.
    """
    flat, lengths = list(values), [len(values)]
    while any(isinstance(value, list) for value in flat):
        if not all(isinstance(value, list) for value in flat):
            raise TypeError("lists and values stand side by side")
        if len({len(value) for value in flat}) > 1:
            raise TypeError("lists of different lengths stand side by side")
        lengths.append(len(flat[0]))
        flat = [inner for value in flat for inner in value]
    return flat, tuple(lengths)


def typed(name: str, datatype: str, values: Sequence[Any]) -> list[Any]:
    """Return the values with NaN for null, if each is of the datatype; InvalidInput names the first that is not."""
    accepted = _ACCEPTED[datatype]
    for index, value in enumerate(values):
        if not isinstance(value, accepted) or (isinstance(value, bool) and datatype != "BOOL"):
            came = "null" if value is None else type(value).__name__
            raise InvalidInput(f"Input '{name[:80]}' must hold {datatype} values, got {came} at position {index}.")
    return [math.nan if value is None else value for value in values]


def numbers(name: str, datatype: str, count: int, part: memoryview) -> NDArray[Any]:
    """Return the numbers in little-endian bytes; InvalidInput if they are not `count` finite ones."""
    dtype = dtype_of(datatype)
    size = count * (2 if datatype == "BF16" else dtype.itemsize)
    if len(part) != size:
        raise InvalidInput(f"Input '{name[:80]}': {count} values of {datatype} take {size} bytes, got {len(part)}.")
    if datatype == "BOOL":
        return np.frombuffer(part, np.uint8).astype(np.bool_)
    if datatype == "BF16":
        return finite(name, floats_of(np.frombuffer(part, "<u2")))
    return finite(name, np.frombuffer(part, dtype).copy())  # aligned, and the body can go


def texts(name: str, count: int, part: memoryview) -> NDArray[Any]:
    """Return the texts in bytes, each behind its length as 4 little-endian bytes; InvalidInput if they are not `count`."""
    found: list[str] = []
    at = 0
    try:
        while at < len(part):
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(part, at)[0]
            if at > len(part):
                raise InvalidInput(f"Input '{name[:80]}': element {len(found)} is cut.")
            found.append(str(part[start:at], "utf-8"))
    except (struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"Input '{name[:80]}': element {len(found)} is not UTF-8 text behind its 4-byte length.") from error
    if len(found) != count:
        raise InvalidInput(f"Input '{name[:80]}': the shape holds {count} texts, got {len(found)}.")
    return np.array(found, dtype=object)


def raw(name: str, datatype: str, count: int, part: memoryview) -> NDArray[Any]:
    """Return the values of a tensor that came as bytes."""
    return texts(name, count, part) if datatype == "BYTES" else numbers(name, datatype, count, part)
