"""The format of a sealed object, version 1: AES-256-GCM in chunks, under a key derived for this one object.

| bytes | hold |
|---|---|
| 8 | `CUSTODY` and the format's version, 1 |
| 16 | id of the data key |
| 32 | salt, random: HKDF-SHA256 makes this object's key from it and the data key |
| rest | chunks of 1 MiB, each followed by its tag of 16 bytes; the last one is shorter, or empty |

A chunk's nonce is its number and whether it is the last, so that none can be left out, repeated or moved. The header and
the place (tenant and name) are authenticated with each chunk: an object put in another's place does not open.
Source: Hoang, Reyhanitabar, Rogaway and Vizar 2015, construction STREAM; RFC 5869.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from custody.core.errors import IntegrityBroken

MAGIC = b"CUSTODY\x01"
_ID, _SALT, _TAG, _CHUNK = 16, 32, 16, 2**20
_HEADER = len(MAGIC) + _ID + _SALT


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key that seals objects: 16 bytes of name and 32 secret ones."""

    id: bytes
    secret: bytes = field(repr=False)


def is_sealed(body: bytes) -> bool:
    """Tell whether bytes begin as a sealed object does."""
    return body.startswith(MAGIC)


def key_id_of(body: bytes) -> bytes:
    """Return the id of the data key that sealed an object."""
    return body[len(MAGIC) : len(MAGIC) + _ID]


def seal(body: bytes | memoryview, key: DataKey, place: bytes) -> bytes:
    """Seal bytes for one place; sealing the same bytes again gives others."""
    header = MAGIC + key.id + os.urandom(_SALT)
    cipher = _cipher(key, header)
    pieces, last = [header], len(body) // _CHUNK
    for number in range(last + 1):
        chunk = body[number * _CHUNK : (number + 1) * _CHUNK]
        pieces.append(cipher.encrypt(_nonce(number, last=number == last), chunk, header + place))
    return b"".join(pieces)


def unseal(body: bytes, key_of: Callable[[bytes], DataKey], place: bytes) -> bytes:
    """Open a sealed object; IntegrityBroken if it was changed, cut, or made for another place. key_of raises for unknown ids."""
    if len(body) < _HEADER + _TAG:  # even an empty object has its last chunk
        raise broken()
    header = body[:_HEADER]
    cipher = _cipher(key_of(key_id_of(body)), header)
    size = _CHUNK + _TAG
    last = (len(body) - _HEADER - _TAG) // size
    try:
        return b"".join(
            cipher.decrypt(
                _nonce(number, last=number == last), body[_HEADER + number * size : _HEADER + (number + 1) * size], header + place
            )
            for number in range(last + 1)
        )
    except (InvalidTag, ValueError, OverflowError) as error:
        raise broken() from error


def broken() -> IntegrityBroken:
    """Say that a sealed object does not open."""
    return IntegrityBroken(
        "A sealed object does not open.",
        why="It was edited, cut off, or put in the place of another one.",
        fix="Restore it from a backup, then run: custody verify",
    )


def _cipher(key: DataKey, header: bytes) -> AESGCM:
    salt = header[len(MAGIC) + _ID :]
    return AESGCM(HKDF(SHA256(), 32, salt, b"custody object v1").derive(key.secret))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])
