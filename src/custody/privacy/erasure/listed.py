"""The list of erasures, kept apart from the database: who restores an older one learns from it whom to erase again."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from custody.core.errors import IntegrityBroken, InvalidInput
from custody.core.tenancy import TenantId
from custody.privacy.erasure.obligation import DUE
from custody.privacy.erasure.ports import Erasure, ErasureState

FOLDER = "erasures"
VERSION = 1


class Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One erasure as the list holds it: whom a keyed token names, never the person.

    owner, days: who answers for the obligations, and how many days after they are opened.
    """

    version: int = VERSION
    id: str
    tenant: TenantId
    token: str
    asked_at: datetime
    by: str
    owner: str = ""
    days: int = DUE.days

    @property
    def name(self) -> str:
        """Return the document's name."""
        return name_of(self.tenant, self.id)

    @property
    def erasure(self) -> Erasure:
        """Return the erasure as it was when it began."""
        return Erasure(self.id, self.token, ErasureState.PENDING, self.asked_at, self.by)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands, by its name alone."""

    tenant: TenantId
    id: str


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The exact JSON text, and an Ed25519 signature (base64) over its bytes."""

    erasure: str
    signature: str
    key_id: str


def name_of(tenant: TenantId, id: str) -> str:  # noqa: A002 - the field's word
    """Return the name of an entry's document."""
    return f"{FOLDER}/{tenant}/{id}.json"


def place_of(name: str) -> Place | None:
    """Return what a document's name says; None if it is none of an entry."""
    match name.split("/"):
        case [folder, tenant, file] if folder == FOLDER and file.endswith(".json"):
            return Place(TenantId(tenant), file.removesuffix(".json"))
    return None


def listed_of(tenant: TenantId, erasure: Erasure, *, owner: str = "", days: int = DUE.days) -> Listed:
    """Return the entry of an erasure."""
    return Listed(
        id=erasure.id,
        tenant=tenant,
        token=erasure.token,
        asked_at=erasure.asked_at,
        by=erasure.by,
        owner=owner,
        days=days,
    )


def signed(entry: Listed, *, key_id: str, signature_of: Callable[[bytes], bytes]) -> bytes:
    """Write an entry with its signature; signature_of gives the Ed25519 signature (64 bytes) of a message."""
    text = msgspec.json.encode(entry)
    return msgspec.json.encode(_Signed(text.decode(), base64.b64encode(signature_of(text)).decode(), key_id))


def opened(body: bytes, name: str, public_key: bytes) -> Listed:
    """Read an entry back; public_key: 32 bytes, Ed25519.

    Raises: IntegrityBroken if this key did not sign it, or signed it for another name; InvalidInput if its version is unknown.
    """
    try:
        outer = msgspec.json.decode(body, type=_Signed)
        signature = base64.b64decode(outer.signature, validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, outer.erasure.encode())
        version = msgspec.json.decode(outer.erasure, type=dict[str, object]).get("version")
        if version != VERSION:
            raise InvalidInput(
                f"'{name}' has version {version}.", why=f"This custody reads version {VERSION}.", fix="Upgrade custody."
            )
        entry = msgspec.json.decode(outer.erasure, type=Listed)
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise _refused(name, "Its signature does not fit, or it is no entry of the list of erasures.") from error
    if entry.name != name:
        raise _refused(name, f"It was signed as '{entry.name}'.")
    return entry


def _refused(name: str, why: str) -> IntegrityBroken:
    return IntegrityBroken(
        f"'{name}' does not say whom to erase.",
        why=why,
        fix="Find out who wrote it. Put the document back from another copy of the list, or delete it.",
        facts={"name": name},
    )
