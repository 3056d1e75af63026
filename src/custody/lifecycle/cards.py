"""Cards: a dataset version's terms in plain words and in other people's standards, signed by the project."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from custody.core.digest import Json
from custody.core.errors import Denied, IntegrityBroken
from custody.core.page import MOST
from custody.core.refs import DatasetRef
from custody.core.tenancy import Role, TenantId
from custody.data.card import Card, card_digest
from custody.data.dataset import DatasetVersion
from custody.data.sentences import sentences
from custody.data.signature import SIGNED, document, holds
from custody.data.standards.formats import standard
from custody.data.standards.places import About
from custody.ledger.entry import Entry
from custody.lifecycle.mitigate import KIND, told_of
from custody.lifecycle.scan import cleared, report_of_scan
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.scans.report import ScanReport, report_of

PSEUDONYM = "user.unique_id.pseudonymous"  # the category of a column of pseudonyms


def signed(ports: Ports, card: Card) -> tuple[str, str]:
    """Sign a card's digest and return signature and key id, both in hexadecimal digits."""
    return ports.signer.sign(digest_of_card(card).encode()).hex(), ports.signer.key_id


def digest_of_card(card: Card) -> str:
    """Return the digest of a card: its id."""
    return card_digest(plain(card))


def plain(card: Card) -> dict[str, Json]:
    """Return a card as JSON values."""
    made: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(card))
    return made


def check_use(ports: Ports, caller: Caller, version: DatasetVersion, use: str) -> None:
    """Raise unless rows of a version may be used: by its card, within its retention, and cleared by a scan.

    use: what for, in words that follow "may not", such as "train a model". Raises: Denied; IntegrityBroken for a changed card.
    """
    check_card(ports, caller.tenant, version)
    ref, blocks = version.ref, version.card.blocks
    if blocks:
        raise Denied(
            f"{ref} may not {use}: {', and '.join(blocks)}.",
            why="Data whose source, legal basis or purpose nobody can name is stored, but not used.",
            fix=f"Add the same file with a completed card: custody dataset add {ref.name} FILE --card card.yaml",
            facts={"dataset": str(ref), "blocks": list(blocks)},
        )
    if end := version.card.ended(version.created_at, caller.now):
        raise Denied(
            f"{ref} may not {use}: its retention ended on {end.date().isoformat()}.",
            why=f"Its card says how long it may be kept ({version.card.retention}), and then: {version.card.retention_action}.",
            fix="Use newer data, or add a card with the retention that was agreed since.",
            facts={"dataset": str(ref), "ended": end.isoformat()},
        )
    cleared(ports.stores.of(caller.tenant), ref)


def check_card(ports: Ports, tenant: TenantId, version: DatasetVersion) -> bool:
    """Tell whether this project's key signed the version's card; False for no signature or one by another key.

    Raises: IntegrityBroken if somebody changed the card where it is stored: the signature is of this key and does not fit, or
    there is none of this key, and the ledger recorded another card.
    """
    digest = digest_of_card(version.card)
    ours = bool(version.card_signature) and version.card_key_id == ports.signer.key_id
    if ours:
        intact = holds(digest, version.card_signature, ports.signer.public_key)
    else:
        intact = all(entry.body.get("card_digest", digest) == digest for entry in _entries(ports, tenant, version))
    if not intact:
        raise IntegrityBroken(
            f"The card of {version.ref} is not the one that was signed.",
            why="It was changed where it is stored, past custody.",
            fix="Restore the database from a backup, and look for who can write to it: custody ledger verify",
            facts={"dataset": str(version.ref), "key_id": version.card_key_id},
        )
    return ours


def _entries(ports: Ports, tenant: TenantId, version: DatasetVersion) -> Sequence[Entry]:
    """Return the entry that tells a version's card: of its own arrival, or of the erasure that it was left by."""
    found: list[Entry] = []
    for kind in ("dataset.ingested", "dataset.left"):
        found += ports.stores.ledger.page(tenant, subject=str(version.ref), kind=kind, after=None, limit=1).items
    return found


def described(ports: Ports, tenant: TenantId, version: DatasetVersion) -> Card:
    """Return a version's card with what its newest scan measured of the removal of identities; what was signed stays as it was."""
    found = ports.stores.of(tenant).scans.get(version.ref)
    if found is None or not version.card.subjects:
        return version.card
    report, measured = report_of(report_of_scan(ports, found)[1]), dict(version.card.deidentification)
    measured |= {**_measured(report), "report": found.report}
    if PSEUDONYM in version.card.categories.values():
        measured["pseudonym_key"] = ports.pseudonyms.of(tenant).id
    return replace(version.card, deidentification=measured)


def _measured(report: ScanReport) -> dict[str, Json]:
    group = report.grouping
    removed = ", ".join(f"{kind} in {count:,} row{'s' * (count != 1)}" for kind, count in sorted(report.counts.items()))
    told: dict[str, Json] = {
        "policy": f"{report.policy_name} {report.policy_digest[:12]}",
        "pattern_pack": f"{report.pack_version} {report.pack_digest[:12]}",
        "reviewer": report.reviewer or "nobody",
        "removed": removed or "nothing",
    }
    if group is None:
        return {**told, "measured_k": "not counted"}
    fewest = {"measured_l": ", ".join(f"{count} of {name}" for name, count in group.diversity.items())} if group.diversity else {}
    return {**told, "measured_k": group.k, "quasi_identifiers": " and ".join(group.quasi_identifiers), **fewest}


def plain_card(ports: Ports, caller: Caller, ref: DatasetRef) -> dict[str, Any]:
    """Return a version's card in sentences, with what blocks it, its waivers, its digest and its checked signature."""
    version = ports.stores.of(caller.may(Role.VIEWER).tenant).datasets.get(ref)
    told = sentences(described(ports, caller.tenant, version), version.schema.groups)
    treated = ports.stores.ledger.page(caller.tenant, subject=None, kind=KIND, after=None, limit=MOST).items
    told += [("What treatments of bias did to models", lines)] if (lines := told_of(treated, str(ref))) else []
    waivers = ports.stores.ledger.page(caller.tenant, subject=str(ref), kind="card.waived", after=None, limit=50).items
    lines = [
        f"{one.actor} allowed more than its source on {one.at:%Y-%m-%d}: {'; '.join(map(str, _list(one.body['faults'])))}. "
        f"The reason: {one.body['reason']}"
        for one in waivers
    ]
    return {
        "dataset": str(ref),
        "title": version.card.title,
        "rows": version.rows,
        "created_at": version.created_at.isoformat(),
        "sentences": [*([heading, list(lines)] for heading, lines in told), *([["Waivers", lines]] if lines else [])],
        "blocks": list(version.card.blocks),
        "derived_from": list(version.derived_from),
        "digest": digest_of_card(version.card),
        "signature": version.card_signature,
        "key_id": version.card_key_id,
        "verified": check_card(ports, caller.tenant, version),
    }


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def exported_card(ports: Ports, caller: Caller, ref: DatasetRef, form: str) -> dict[str, Any]:
    """Return a version's card in a standard (croissant, dps, spdx, dpv, odrl), or as it was signed (`signed`)."""
    shelf = ports.stores.of(caller.may(Role.VIEWER).tenant)
    version = shelf.datasets.get(ref)
    check_card(ports, caller.tenant, version)
    if form == SIGNED:
        key = ports.signer.public_key if version.card_key_id == ports.signer.key_id else b""
        return document(str(ref), plain(version.card), version.card_signature, version.card_key_id, key)
    before = ""
    if ref.version > 1:
        before = shelf.datasets.get(DatasetRef(ref.name, ref.version - 1)).created_at.isoformat()
    return standard(form).write(described(ports, caller.tenant, version), about(version, before))


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
