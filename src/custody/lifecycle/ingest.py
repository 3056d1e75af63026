"""Data arrives: rows become an immutable dataset version with a provenance card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef, name_of
from custody.core.schema import Schema
from custody.core.tenancy import Role
from custody.data.card import Card
from custody.data.dataset import HOLDOUT, DatasetVersion, Part, content_digest
from custody.lifecycle.profile import profile_of
from custody.lifecycle.rows import spoken
from custody.lifecycle.scan import Examined, examine, kept, save
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
    removed: Mapping[str, int] | None = None,
    dry_run: bool = False,
) -> tuple[DatasetVersion, int | None]:
    """Store rows as the next version of a dataset; the same rows and schema again return the version they already have.

    Returns the version and the number of its new ledger entry (None if nothing changed). The rows are scanned for personal
    data in passing; the scan is stored with the version. removed: what was scrubbed out of them before, by type. Objects are
    written first and named last: a process killed in between leaves no version.
    """
    caller.may(Role.CONTRIBUTOR)
    name_of("dataset", name)
    if not 0 < holdout < 1:
        raise InvalidInput(f"A holdout share of {holdout} is not possible.", why="It lies between 0 and 1.")
    if not table.num_rows:
        raise InvalidInput("The file has no rows.", fix="Give a file with a header and at least one row.")
    schema = schema_of(ports, table, roles)
    profile, objects = profile_of(table), ports.stores.objects
    parts = _parts(ports, table)
    digest = content_digest(parts, schema)
    shelf = ports.stores.of(caller.tenant)
    if (same := shelf.datasets.by_digest(name, digest)) and same.card == card:
        return same, None
    examined = None if dry_run else examine(ports, shelf, table, card, schema, data=digest, removed=removed)
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
        )
        if examined is None:
            return version, None
        change.datasets.add(version)
        entry = change.record("dataset.ingested", str(version.ref), _facts(version))
        save(change, kept(ports, examined, version.ref, caller.now), None)
    return version, entry.seq


def look_ahead(ports: Ports, caller: Caller, table: pa.Table, card: Card, roles: Roles) -> Examined:
    """Look at rows as ingesting would, and store nothing."""
    caller.may(Role.CONTRIBUTOR)
    schema = schema_of(ports, table, roles)
    return examine(ports, ports.stores.of(caller.tenant), table, card, schema, data=content_digest((), schema))


def schema_of(ports: Ports, table: pa.Table, roles: Roles) -> Schema:
    """Return the schema of rows; InvalidInput if a role or the positive class does not fit them."""
    schema = Schema(ports.tables.columns_of(table), roles.target, roles.positive, roles.subject, roles.time, tuple(roles.groups))
    _check_positive(table, roles)
    return schema


def _parts(ports: Ports, table: pa.Table) -> tuple[Part, ...]:
    """Store the rows in files of at most a million."""
    pieces = [table.slice(start, ROWS_PER_PART) for start in range(0, table.num_rows, ROWS_PER_PART)]
    bodies = [(ports.tables.to_parquet(piece), piece.num_rows) for piece in pieces]
    return tuple(Part(ports.stores.objects.put(body), rows, len(body)) for body, rows in bodies)


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
