"""Request tensors against a model's signature: names, datatypes, shapes, row counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from custody.core.errors import InvalidInput
from custody.core.schema import Signature, Tensor

_DTYPES: dict[str, Any] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<f4"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}


def dtype_of(datatype: str) -> "np.dtype[Any]":
    """Return the numpy type of a protocol datatype; BYTES is an array of str objects, BF16 is held as the floats that it shortens."""
    try:
        found: np.dtype[Any] = _DTYPES[datatype]
    except KeyError:
        raise InvalidInput(f"The datatype '{datatype[:40]}' is not supported.", why=f"Supported: {', '.join(_DTYPES)}.") from None
    return found


def bf16_of(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the upper halves of floats, rounded to the nearest, ties to even: bfloat16, which numpy does not have."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), 0x7FC0, rounded).astype("<u2")


def floats_of(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the floats whose upper halves these are; exact."""
    return (halves.astype("<u4") << 16).view("<f4")


@dataclass(slots=True)  # not frozen: made for every request, and that costs three times as much
class Given:
    """One tensor as the caller sent it: the declared datatype and shape, and the values, flat and counted against the shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any]


def shaped(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """Give flat values the signature's shape, the free first dimension taking what is there."""
    return values.reshape(-1, *tensor.shape[1:])


def _fits(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    wanted = tensor.shape
    if len(shape) == len(wanted):
        return all(want in {-1, got} for want, got in zip(wanted, shape, strict=True))
    return {wanted[1:], shape[1:]} == {(), (1,)} and wanted[0] in {-1, shape[0]}


def _problem(tensor: Tensor, given: Given) -> str:
    if given.datatype != tensor.datatype:
        return f"Input '{tensor.name}' must be {tensor.datatype}, got {given.datatype[:40]}."
    if not given.shape or not _fits(tensor, given.shape):
        return f"Input '{tensor.name}' must have the shape {list(tensor.shape)} (-1 = any), got {list(given.shape)[:8]}."
    if given.shape[0] == 0:
        return f"Input '{tensor.name}' has no rows (shape {list(given.shape)[:8]})."
    return ""


def check_inputs(signature: Signature, tensors: Sequence[Given]) -> tuple[dict[str, NDArray[Any]], int]:
    """Return the model's inputs in the signature's shapes, and the number of rows; InvalidInput lists every problem at once.

    A column may come as [n] or as [n, 1], whichever of the two the signature says.
    """
    return _as_expected(signature, tensors) or _checked(signature, tensors)


def _as_expected(signature: Signature, tensors: Sequence[Given]) -> tuple[dict[str, NDArray[Any]], int] | None:
    """Return the inputs if they came in the signature's order, types and shapes; None if each must be looked at."""
    if len(tensors) != len(signature.inputs) or not (first := tensors[0].shape) or not first[0]:
        return None
    rows, arrays = first[0], {}
    seen: tuple[int, ...] = ()
    expected, count = seen, 0
    for tensor, given in zip(signature.inputs, tensors, strict=True):
        shape, values = given.shape, given.values
        if shape != seen:  # most columns come in one shape
            if not shape or shape[0] != rows:
                return None
            seen, expected, count = shape, (-1, *shape[1:]), math.prod(shape)
        if tensor.name != given.name or tensor.datatype != given.datatype or tensor.shape != expected or len(values) != count:
            return None
        arrays[tensor.name] = values if len(shape) == 1 else values.reshape(shape)
    return arrays, rows


def _checked(signature: Signature, tensors: Sequence[Given]) -> tuple[dict[str, NDArray[Any]], int]:
    given = {tensor.name: tensor for tensor in tensors}
    known = {tensor.name: tensor for tensor in signature.inputs}
    if given.keys() == known.keys() and len(given) == len(tensors):
        problems = [problem for name, tensor in known.items() if (problem := _problem(tensor, given[name]))]
        counts = {one.shape[0] for one in given.values() if one.shape}
        if not problems and len(counts) == 1:
            arrays = {name: _filled(tensor, given[name]) for name, tensor in known.items()}
            return arrays, counts.pop()
        if not problems:
            problems = [f"The inputs have different row counts: {', '.join(f'{t.name!r} has {t.shape[0]}' for t in tensors)}."]
    else:
        problems = _name_problems(known, tensors)
    raise InvalidInput(" ".join(problems[:20]), facts={"problems": problems[:20]})


def _filled(tensor: Tensor, given: Given) -> NDArray[Any]:
    if len(given.values) != math.prod(given.shape):
        raise InvalidInput(f"Input '{tensor.name}': shape {list(given.shape)} does not hold {len(given.values)} values.")
    return (
        given.values.reshape(given.shape[0], *tensor.shape[1:])
        if -1 not in tensor.shape[1:]
        else given.values.reshape(given.shape)
    )


def _name_problems(known: dict[str, Tensor], tensors: Sequence[Given]) -> list[str]:
    names = [tensor.name for tensor in tensors]
    missing = [
        f"Input '{name}' ({tensor.datatype}, shape {list(tensor.shape)}) is missing."
        for name, tensor in known.items()
        if name not in names
    ]
    unknown = [f"Input '{name[:80]}' is unknown; the inputs are: {', '.join(known)}." for name in names if name not in known]
    twice = [f"Input '{name}' came {names.count(name)} times." for name in known if names.count(name) > 1]
    return missing + unknown + twice
