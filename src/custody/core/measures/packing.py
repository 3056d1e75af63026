"""Integer arrays as short text, for stored formats."""

import base64
import binascii
import zlib

import numpy as np
import pybase64
from isal import isal_zlib
from numpy.typing import NDArray

from custody.core.errors import InvalidInput


def pack(numbers: NDArray[np.int64], *, quickly: bool = False) -> str:
    """Write integers as base64 of their deflated bytes, equal bytes of all numbers side by side.

    quickly: half as long again, in a tenth of the time.
    """
    whole = np.ascontiguousarray(numbers, dtype="<i8").ravel()
    used = (int(whole.view("<u8").max(initial=0)).bit_length() + 7) // 8
    planes = np.zeros((8, whole.size), dtype=np.uint8)
    planes[:used] = whole.view(np.uint8).reshape(-1, 8)[:, :used].T
    return pybase64.b64encode_as_string(isal_zlib.compress(planes.data, 0) if quickly else zlib.compress(planes.data))


def unpack(text: str, limit: int) -> NDArray[np.int64]:
    """Read up to `limit` integers back; anything else, or more of them, is InvalidInput."""
    try:
        reader = zlib.decompressobj()
        raw = reader.decompress(base64.b64decode(text, validate=True), 8 * limit + 8)
        whole = reader.eof and len(raw) % 8 == 0 and len(raw) <= 8 * limit
    except (binascii.Error, zlib.error, ValueError):
        raw, whole = b"", False
    if not whole:
        raise InvalidInput("A stored list of counts is not readable.", why="The text was cut or edited.")
    planes = np.frombuffer(raw, dtype=np.uint8).reshape(8, -1).T
    return np.ascontiguousarray(planes).view("<i8").ravel().astype(np.int64)
