"""Content addresses: sha-256 over bytes or over canonical JSON."""

import hashlib
import json
import re
from typing import NewType

from custody.core.errors import IntegrityBroken, InvalidInput

Digest = NewType("Digest", str)  # 64 lower-case hex digits
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
_HEX = re.compile(r"[0-9a-f]{64}")


def digest_of(body: bytes) -> Digest:
    """Return the sha-256 of some bytes as 64 hex digits."""
    return Digest(hashlib.sha256(body).hexdigest())


def parse_digest(text: str) -> Digest:
    """Accept exactly 64 lower-case hex digits; anything else (a path, say) is InvalidInput."""
    if not _HEX.fullmatch(text):
        raise InvalidInput("That is not an object digest.", why="A digest has 64 lower-case hex digits.")
    return Digest(text)


def canonical(value: Json) -> bytes:
    """Encode JSON with sorted keys, no spaces and UTF-8; NaN and infinities are refused.

    Source: RFC 8785, for the strings, integers and short floats that custody's entries hold.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, UnicodeEncodeError) as error:
        raise InvalidInput("This value has no canonical JSON form.", why=str(error)) from error


def digest_of_json(value: Json) -> Digest:
    """Return the digest of a value's canonical JSON."""
    return digest_of(canonical(value))


def verified(body: bytes, expected: Digest) -> bytes:
    """Return the bytes if they hash to `expected`; else raise IntegrityBroken."""
    if (found := digest_of(body)) != expected:
        raise IntegrityBroken(
            f"Stored object {expected[:12]} has other content than its name says.",
            why="The file was edited or damaged after it was stored.",
            fix="Restore it from a backup, then run: custody verify",
            facts={"expected": expected, "found": found},
        )
    return body
