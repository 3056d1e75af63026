"""Data arrives: rows become an immutable dataset version with a provenance card."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef, name_of
from custody.core.schema import Schema
from custody.core.tenancy import Role
from custody.data.card import Card
from custody.data.dataset import HOLDOUT, DatasetVersion, Part, content_digest
from custody.data.inherit import weaker
from custody.lifecycle.cards import signed
from custody.lifecycle.profile import profile_of
from custody.lifecycle.rows import spoken
from custody.lifecycle.stores import Caller, Change, Ports

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
    dry_run: bool = False,
) -> tuple[DatasetVersion, int | None]:
    """Store rows as the next version of a dataset; the same rows and schema again return the version they already have.

    Returns the version and the number of its new ledger entry (None if nothing changed). Objects are written first and
    named last: a process killed in between leaves no version.
    """
    caller.may(Role.CONTRIBUTOR)
    name_of("dataset", name)
    if not 0 < holdout < 1:
        raise InvalidInput(f"A holdout share of {holdout} is not possible.", why="It lies between 0 and 1.")
    if not table.num_rows:
        raise InvalidInput("The file has no rows.", fix="Give a file with a header and at least one row.")
    roles, card = _people(roles, card)
    signature, key_id = signed(ports, card)
    schema = Schema(ports.tables.columns_of(table), roles.target, roles.positive, roles.subject, roles.time, tuple(roles.groups))
    _check_positive(table, roles)
    if absent := [name for name in card.subject_keys if name not in table.column_names]:
        raise InvalidInput(
            f"The card names {', '.join(map(repr, absent))} as a subject key, and the data has no such column.",
            why=f"The data has the columns: {', '.join(table.column_names)}.",
            fix="Correct subject_key and further_subject_keys on the card.",
        )
    bodies = [
        (ports.tables.to_parquet(piece), piece.num_rows)
        for start in range(0, table.num_rows, ROWS_PER_PART)
        for piece in [table.slice(start, ROWS_PER_PART)]
    ]
    profile = profile_of(table)
    objects = ports.stores.objects
    parts = tuple(Part(objects.put(body), rows, len(body)) for body, rows in bodies)
    digest = content_digest(parts, schema)
    _not_freer(ports, caller, card, derived_from)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        if (same := change.datasets.by_digest(name, digest)) and same.card == card:
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
        )
        if dry_run:
            return version, None
        change.datasets.add(version)
        entry = change.record("dataset.ingested", str(version.ref), _facts(version))
    return version, entry.seq


def _not_freer(ports: Ports, caller: Caller, card: Card, derived_from: Sequence[str]) -> None:
    """Refuse a card that allows more than the card of a dataset version it was derived from."""
    shelf = ports.stores.of(caller.tenant)
    refs = [DatasetRef.parse(one) for one in derived_from if re.fullmatch(r"[^@ ]+@\d+", one)]
    sources = [(str(ref), one.card, one.created_at) for ref in refs for one in [shelf.datasets.get(ref)]]
    if faults := weaker(card, sources, caller.now):
        raise InvalidInput(
            "The card allows more than the data it was derived from: " + "; ".join(faults) + ".",
            why="Derived data inherits the strictest of its sources.",
            fix="Narrow the card, or agree new terms for the source and add it again first.",
            facts={"faults": list(faults)},
        )


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
        "derived_from": list(version.derived_from),
    }
