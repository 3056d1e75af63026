"""A receipt of an erasure as it was signed, in one file that anybody can check without the project."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custody.core.digest import Json
from custody.core.errors import IntegrityBroken, InvalidInput
from custody.ledger.checkpoint import key_id_of

FORMAT = "custody-receipt-1"
VERSION = 2  # of the text; version 1 had no counts, no states and no range of the ledger
_READ = (1, 2)
_FIELDS = {"format", "receipt", "signature", "key_id", "public_key"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A receipt whose signature holds; key_id: the first 16 hex digits of the sha-256 of the key that signed it."""

    erasure: str
    key_id: str
    receipt: Mapping[str, Json]


def signed(body: Mapping[str, Json], key_id: str, signature: bytes) -> bytes:
    """Return what is stored: the exact text that was signed (see `text_of`), and by whom."""
    return msgspec.json.encode({"receipt": text_of(body), "key": key_id, "signature": signature.hex()})


def text_of(body: Mapping[str, Json]) -> str:
    """Return the text that is signed."""
    return msgspec.json.encode(dict(body)).decode()


def document(stored: bytes, public_keys: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the file; public_keys: by id. None is in the file if the receipt was signed by a key that is no longer here."""
    kept = msgspec.json.decode(stored)
    return {
        "format": FORMAT,
        "receipt": kept["receipt"],
        "signature": kept["signature"],
        "key_id": kept["key"],
        "public_key": public_keys.get(kept["key"], b"").hex(),
    }


def check(values: Mapping[str, Json], *, key_id: str | None = None, public_key: bytes | None = None) -> Checked:
    """Check such a file. key_id, public_key (32 bytes, Ed25519): of the key that it must be, by default the one in the file.

    A file proves itself only to who knows the key from elsewhere: anybody can sign a receipt with a key of their own.
    Raises: InvalidInput if it is no such file, IntegrityBroken if the text, the signature or the key is another.
    """
    if values.get("format") != FORMAT or set(values) != _FIELDS or not all(isinstance(one, str) for one in values.values()):
        raise _no_receipt()
    public = public_key or _bytes(values["public_key"])
    if len(public) != 32:
        raise InvalidInput(
            "The receipt comes without the key that signed it.",
            why="The project has another key by now.",
            fix="Give the older public key: --key PUBLIC_KEY_FILE",
        )
    found = key_id_of(public)
    if found != values["key_id"] or (key_id and found != key_id):
        wanted = key_id or found
        raise IntegrityBroken(
            f"The receipt was signed by key {values['key_id']}, not by {wanted}.",
            why="Somebody else signed it, or the project has another key now.",
        )
    text = str(values["receipt"])
    if not _holds(text, _bytes(values["signature"]), public):
        raise IntegrityBroken("The receipt is not the one that was signed.", why="A word of it, or the signature, was changed.")
    body = _read(text)
    return Checked(str(body["erasure"]), found, body)


def _read(text: str) -> dict[str, Json]:
    try:
        body = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise _no_receipt() from error
    if not isinstance(body, dict) or "erasure" not in body:  # the same key signs other things
        raise _no_receipt()
    if body.get("version") not in _READ:
        raise InvalidInput(
            f"The receipt has version {body.get('version')}.",
            why=f"This custody reads {' and '.join(map(str, _READ))}.",
            fix="Check it with a newer custody: pip install -U custody-ml",
        )
    return body


def _holds(text: str, signature: bytes, public: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def _bytes(digits: Json) -> bytes:
    try:
        return bytes.fromhex(str(digits))
    except ValueError:
        return b""


def _no_receipt() -> InvalidInput:
    return InvalidInput(
        "That is not a receipt of an erasure.",
        why=f"A receipt is one JSON object of format {FORMAT}, whose text names an erasure.",
        fix="Export it: custody erase receipt ID --out receipt.json",
    )
