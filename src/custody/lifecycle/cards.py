"""Cards: a dataset version's terms in plain words and in other people's standards, signed by the project."""

from typing import Any

import msgspec

from custody.core.digest import Json
from custody.core.refs import DatasetRef
from custody.core.tenancy import Role
from custody.data.card import Card, card_digest
from custody.data.dataset import DatasetVersion
from custody.data.sentences import sentences
from custody.data.standards.formats import standard
from custody.data.standards.places import About
from custody.lifecycle.stores import Caller, Ports


def signed(ports: Ports, card: Card) -> tuple[str, str]:
    """Sign a card's digest and return signature and key id, both in hexadecimal digits."""
    return ports.signer.sign(digest_of_card(card).encode()).hex(), ports.signer.key_id


def digest_of_card(card: Card) -> str:
    """Return the digest of a card: its id."""
    plain: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(card))
    return card_digest(plain)


def plain_card(ports: Ports, caller: Caller, ref: DatasetRef) -> dict[str, Any]:
    """Return a version's card in sentences, with what blocks it, its digest and its signature."""
    version = ports.stores.of(caller.may(Role.VIEWER).tenant).datasets.get(ref)
    return {
        "dataset": str(ref),
        "title": version.card.title,
        "rows": version.rows,
        "created_at": version.created_at.isoformat(),
        "sentences": [[heading, list(lines)] for heading, lines in sentences(version.card)],
        "blocks": list(version.card.blocks),
        "derived_from": list(version.derived_from),
        "digest": digest_of_card(version.card),
        "signature": version.card_signature,
        "key_id": version.card_key_id,
    }


def exported_card(ports: Ports, caller: Caller, ref: DatasetRef, form: str) -> dict[str, Any]:
    """Return a version's card in a standard: croissant, dps, spdx, dpv or odrl."""
    shelf = ports.stores.of(caller.may(Role.VIEWER).tenant)
    version = shelf.datasets.get(ref)
    before = ""
    if ref.version > 1:
        before = shelf.datasets.get(DatasetRef(ref.name, ref.version - 1)).created_at.isoformat()
    return standard(form).write(version.card, about(version, before))


def about(version: DatasetVersion, previous: str = "") -> About:
    """Return what the standards ask beside the card."""
    return About(
        version.ref.name,
        version.ref.version,
        version.digest,
        version.created_at.isoformat(),
        location=f"urn:sha256:{digest_of_card(version.card)}",
        previous=previous,
        files=tuple((part.object, part.rows, part.size_bytes) for part in version.parts),
        columns=tuple((column.name, column.type.value) for column in version.schema.columns),
    )
