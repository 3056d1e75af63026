"""A card as it was signed, in one file that anybody can check without the project."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custody.core.digest import Json
from custody.core.errors import IntegrityBroken, InvalidInput
from custody.data.card import card_digest

SIGNED = "signed"  # how this form is asked for
FORMAT = "custody-card-1"
_FIELDS = {"format", "dataset", "card", "digest", "signature", "key_id", "public_key"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A card whose digest and signature hold; key_id: the first 16 hex digits of the sha-256 of the key that signed it."""

    dataset: str
    digest: str
    key_id: str
    title: str


def document(dataset: str, card: Mapping[str, Json], signature: str, key_id: str, public_key: bytes) -> dict[str, Any]:
    """Return the file; public_key: 32 bytes (Ed25519), none if the card was signed by a key that is no longer here."""
    return {
        "format": FORMAT,
        "dataset": dataset,
        "card": dict(card),
        "digest": card_digest(card),
        "signature": signature,
        "key_id": key_id,
        "public_key": public_key.hex(),
    }


def holds(digest: str, signature: str, public_key: bytes) -> bool:
    """Tell whether a key (32 bytes, Ed25519) signed a card's digest; signature: 128 hex digits, in lower case."""
    if not re.fullmatch(r"[0-9a-f]{128}", signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(bytes.fromhex(signature), digest.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def check(values: Mapping[str, Json], *, key_id: str | None = None) -> Checked:
    """Check such a file: its card has the digest, and the key in it signed that. key_id: the key that it must be.

    A file proves itself only to who knows the key's id from elsewhere: anybody can sign a card with a key of their own.
    Raises: InvalidInput if it is no such file, IntegrityBroken if the card, the signature or the key is another.
    """
    if values.get("format") != FORMAT or set(values) != _FIELDS or not isinstance(values["card"], dict):
        raise InvalidInput(
            "That is not a signed card.",
            why=f"A signed card is one JSON object of format {FORMAT}.",
            fix="Export it: custody dataset card NAME@1 --as signed > card.json",
        )
    digest, public = card_digest(values["card"]), str(values["public_key"])
    if not re.fullmatch(r"[0-9a-f]{64}", public) or not values["signature"]:
        raise InvalidInput("The card has no signature that can be checked.", why="It was never signed, or by a key that is gone.")
    found = sha256(bytes.fromhex(public)).hexdigest()[:16]
    if digest != values["digest"] or not holds(digest, str(values["signature"]), bytes.fromhex(public)):
        raise IntegrityBroken("The card is not the one that was signed.", why="A word of it, or the signature, was changed.")
    if found != values["key_id"] or (key_id and found != key_id):
        raise IntegrityBroken(
            f"The card was signed by key {found}, not by {key_id or values['key_id']}.",
            why="Somebody else signed it, or the project has another key now.",
        )
    return Checked(str(values["dataset"]), digest, found, str(values["card"].get("title", "")))
