"""Data arrives: rows become an immutable dataset version with a provenance card."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from custody.core.digest import Json, canonical
from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef, name_of
from custody.core.schema import Schema
from custody.core.tenancy import Role
from custody.data.card import Card
from custody.data.dataset import HOLDOUT, DatasetVersion, Part, content_digest
from custody.data.inherit import Waiver, inherited, weaker
from custody.lifecycle.cards import digest_of_card, signed
from custody.lifecycle.personal import stored
from custody.lifecycle.profile import profile_of
from custody.lifecycle.reasons import kept_reason
from custody.lifecycle.rows import spoken
from custody.lifecycle.scan import Examined, examine, kept, save
from custody.lifecycle.stores import Caller, Change, Ports
from custody.lifecycle.subjects import check_nobody_erased, index_parts, tokens_for, without_erased
from custody.privacy.scans.scan import Answer

ROWS_PER_PART = 1_000_000


@dataclass(frozen=True, slots=True)
class Roles:
    """Which columns play which role; see core.schema.Schema."""

    target: str | None = None
    positive: str | None = None
    subject: str | None = None
    time: str | None = None
    groups: tuple[str, ...] = ()


def ingest(
    ports: Ports,
    caller: Caller,
    name: str,
    table: pa.Table,
    card: Card,
    *,
    roles: Roles = Roles(),
    holdout: float = HOLDOUT,
    derived_from: Sequence[str] = (),
    removed: Mapping[str, int] | None = None,
    waiver: Waiver | None = None,
    answers: Sequence[Answer] = (),
    own_keys: bool = False,
    dry_run: bool = False,
) -> tuple[DatasetVersion, int | None]:
    """Store rows as the next version of a dataset; the same rows and schema again return the version they already have.

    Returns the version and the number of its new ledger entry (None if nothing changed). The rows are scanned for personal
    data in passing; the scan is stored with the version. removed: what was scrubbed out of them before, by type; answers:
    what people decided about spans of them. waiver: an
    approver's, where the card allows more than its source; it is signed and in the ledger. Objects are written first and named
    last: a process killed in between leaves no version.
    """
    caller.may(Role.CONTRIBUTOR)
    name_of("dataset", name)
    if not 0 < holdout < 1:
        raise InvalidInput(f"A holdout share of {holdout} is not possible.", why="It lies between 0 and 1.")
    if not table.num_rows:
        raise InvalidInput("The file has no rows.", fix="Give a file with a header and at least one row.")
    roles, card = _people(roles, card)
    card, waived = _inherited(ports, caller, card, derived_from, waiver)
    signature, key_id = signed(ports, card)
    if absent := [column for column in card.subject_keys if column not in table.column_names]:
        raise InvalidInput(
            f"The card names {', '.join(map(repr, absent))} as a subject key, and the data has no such column.",
            why=f"The data has the columns: {', '.join(table.column_names)}.",
            fix="Correct subject_key and further_subject_keys on the card.",
        )
    subject = card.subject_key or roles.subject
    named = [name for name in (subject, *card.further_subject_keys) if name and name in table.column_names]
    table = without_erased(ports, caller.tenant, table, named)
    if not table.num_rows:
        raise InvalidInput("Every row is about a person who was erased.", fix="There is nothing to add.")
    schema = schema_of(ports, table, replace(roles, subject=subject))
    pieces = [table.slice(start, ROWS_PER_PART) for start in range(0, table.num_rows, ROWS_PER_PART)]
    people = index_parts(pieces, named, tokens_for(ports, caller.tenant))
    profile, objects = profile_of(table), ports.stores.objects.of(caller.tenant)
    own_keys = own_keys or (subject is not None and _sealed_before(ports, caller, derived_from))
    if own_keys and card.further_subject_keys:
        raise InvalidInput(
            "Rows about several people cannot be sealed under a key of each.",
            why="A row has one key: erasing somebody else in it would leave it readable in old copies.",
            fix="Leave out --own-keys, or add the data without further_subject_keys.",
        )
    bodies = [(stored(ports, caller.tenant, piece, subject, own_keys=own_keys), piece.num_rows) for piece in pieces]
    parts = tuple(Part(objects.put(body), rows, len(body)) for body, rows in bodies)
    digest = content_digest(parts, schema)
    shelf = ports.stores.of(caller.tenant)
    if (same := shelf.datasets.by_digest(name, digest)) and same.card == card and same.closed_at is None:
        return same, None
    examined = None if dry_run else examine(ports, shelf, table, card, schema, data=digest, removed=removed, answers=answers)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        if (same := change.datasets.by_digest(name, digest)) and same.card == card and same.closed_at is None:
            return same, None
        version = DatasetVersion(
            ref=DatasetRef(name, _next(change, name)),
            digest=digest,
            rows=table.num_rows,
            schema=schema,
            card=card,
            parts=parts,
            profile=objects.put(profile),
            created_at=caller.now,
            holdout=holdout,
            derived_from=tuple(derived_from),
            card_signature=signature,
            card_key_id=key_id,
            own_keys=own_keys,
        )
        if examined is None:
            return version, None
        check_nobody_erased(change, people)
        change.datasets.add(version)
        change.subjects.index(version.ref, people)
        entry = change.record("dataset.ingested", str(version.ref), _facts(version))
        if waiver:
            change.record("card.waived", str(version.ref), _waiver_facts(ports, version, waiver, waived))
        save(change, kept(ports, caller.tenant, examined, version.ref, caller.now, answers), None)
    return version, entry.seq


def _sealed_before(ports: Ports, caller: Caller, derived_from: Sequence[str]) -> bool:
    """Tell whether a source's rows stand under people's own keys: what is made of them does too."""
    shelf = ports.stores.of(caller.tenant).datasets
    return any(shelf.get(ref).own_keys for ref in _refs(derived_from))


def _refs(derived_from: Sequence[str]) -> list[DatasetRef]:
    return [DatasetRef.parse(one) for one in derived_from if re.fullmatch(r"[^@ ]+@\d+", one)]


def look_ahead(
    ports: Ports, caller: Caller, table: pa.Table, card: Card, roles: Roles, answers: Sequence[Answer] = ()
) -> Examined:
    """Look at rows as ingesting would, and store nothing."""
    caller.may(Role.CONTRIBUTOR)
    schema = schema_of(ports, table, replace(roles, subject=card.subject_key or roles.subject))
    return examine(ports, ports.stores.of(caller.tenant), table, card, schema, data=content_digest((), schema), answers=answers)


def schema_of(ports: Ports, table: pa.Table, roles: Roles) -> Schema:
    """Return the schema of rows; InvalidInput if a role or the positive class does not fit them."""
    schema = Schema(ports.tables.columns_of(table), roles.target, roles.positive, roles.subject, roles.time, tuple(roles.groups))
    _check_positive(table, roles)
    return schema


def _inherited(
    ports: Ports, caller: Caller, card: Card, derived_from: Sequence[str], waiver: Waiver | None
) -> tuple[Card, tuple[str, ...]]:
    """Return the card with what it takes over from its sources, and where a waiver lets it allow more; refuse it elsewhere."""
    if waiver:
        caller.may(Role.APPROVER)
    shelf = ports.stores.of(caller.tenant)
    sources = [(str(ref), one.card, one.created_at) for ref in _refs(derived_from) for one in [shelf.datasets.get(ref)]]
    card = inherited(card, sources)
    faults, waived = weaker(card, sources, caller.now), tuple[str, ...]()
    if waiver:
        faults, waived = waiver.split(faults)
    if faults:
        raise InvalidInput(
            "The card allows more than the data it was derived from: " + "; ".join(faults) + ".",
            why="Derived data inherits the strictest of its sources.",
            fix="Narrow the card; or let an approver sign a waiver: --waive FIELD --waiver-reason WHY",
            facts={"faults": list(faults)},
        )
    return card, waived


def _waiver_facts(ports: Ports, version: DatasetVersion, waiver: Waiver, faults: Sequence[str]) -> dict[str, Json]:
    """Return what the ledger keeps of a waiver: what was allowed, why, and the project's signature (Ed25519, hex) over it."""
    said: dict[str, Json] = {
        "fields": list(waiver.fields),
        "faults": list(faults),
        "reason": kept_reason(waiver.reason),
        "card": digest_of_card(version.card),
    }
    return {**said, "signature": ports.signer.sign(canonical(said)).hex(), "key_id": ports.signer.key_id}


def _people(roles: Roles, card: Card) -> tuple[Roles, Card]:
    """Let card and roles name the same column with the person of a row, whichever of them said it."""
    if roles.subject and card.subject_key and roles.subject != card.subject_key:
        raise InvalidInput(
            f"The card names the subject key '{card.subject_key}', the command '{roles.subject}'.", fix="Name it in one place."
        )
    key = card.subject_key or roles.subject
    if key is None or card.version == 1:
        return roles, card
    return replace(roles, subject=key), replace(card, subject_key=key)


def _check_positive(table: pa.Table, roles: Roles) -> None:
    if roles.positive is None:
        return
    if roles.target is None:
        raise InvalidInput("There is a positive class but no target column.", fix="Name the column: --target COLUMN")
    found = sorted({spoken(value) for value in table.column(roles.target).unique().to_pylist() if value is not None})
    if roles.positive not in found:
        few = len(found) <= 5 and all(len(one) <= 20 for one in found)
        raise InvalidInput(
            f"'{roles.positive}' does not occur in the column '{roles.target}'.",
            why=f"It has: {', '.join(found)}." if few else f"It has {len(found)} values.",
            fix="Write the positive class exactly as in the data: --positive VALUE",
        )


def _next(change: Change, name: str) -> int:
    latest = change.datasets.latest(name)
    return latest.ref.version + 1 if latest else 1


def _facts(version: DatasetVersion) -> dict[str, Json]:
    card: Mapping[str, Json] = {
        "legal_basis": version.card.legal_basis,
        "purposes": list(version.card.purposes),
        "sources": list(version.card.sources),
    }
    return {
        "digest": version.digest,
        "rows": version.rows,
        "profile": version.profile,
        "card": dict(card),
        "card_digest": digest_of_card(version.card),
        "derived_from": list(version.derived_from),
    }
