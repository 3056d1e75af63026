"""Consent arrives, and a training start asks it row by row: rows of people who did not agree are left out and counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from custody.core.digest import Json, digest_of_json
from custody.core.errors import Conflict, Denied
from custody.core.page import Page
from custody.core.refs import DatasetRef
from custody.core.tenancy import Role, TenantId
from custody.data.dataset import DatasetVersion
from custody.data.split import Split, part_of
from custody.lifecycle.access import access
from custody.lifecycle.rows import columns_of, group_columns, spoken, table_of
from custody.lifecycle.stores import Caller, Ports, Shelf
from custody.privacy.consent import Admission, ConsentRecord, refusals, shifts, snapshot, states
from custody.privacy.pseudonym import is_token, tokens
from custody.privacy.purposes import path_to, purpose_of
from custody.privacy.statements import records_of

MAX_AGE_DAYS = 30.0  # of a consent source, unless the card says otherwise
Tokens = Sequence[Sequence[str | None]]


@dataclass(frozen=True, slots=True)
class Received:
    """What an import of consent records did; unchanged: records that were there already."""

    records: int
    new: int
    unchanged: int
    sources: tuple[str, ...]


def consent(
    ports: Ports, caller: Caller, rows: Sequence[Mapping[str, Json]], *, source: str = "", dry_run: bool = False
) -> tuple[Received, int | None]:
    """Record what people said; each person is kept as a keyed token only, and the same record again adds nothing.

    An import without news counts too: it says that its source was up to date then. Returns the last ledger entry's number.
    """
    caller.may(Role.CONTRIBUTOR)
    token = tokens(ports.pseudonyms.of(caller.tenant))
    records = records_of(rows, lambda person: token(person, ""), caller.now, source=source)
    sources = tuple(sorted({one.source for one in records}))
    seq: int | None = None
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        known = {one.id for one in change.consents.of(sorted({one.purpose for one in records}), caller.now)}
        fresh = [one for one in {one.id: one for one in records}.values() if one.id not in known]
        if not dry_run:
            change.consents.add(fresh)
            for name in sources:
                seq = change.record("consent.recorded", name, _facts(name, records, fresh)).seq
    return Received(len(records), len(fresh), len(records) - len(fresh), sources), seq


def _facts(source: str, records: Sequence[ConsentRecord], fresh: Sequence[ConsentRecord]) -> dict[str, Json]:
    mine = sorted(one.id for one in records if one.source == source)
    return {
        "source": source,
        "records": len(mine),
        "new": sum(one.source == source for one in fresh),
        "digest": digest_of_json(list(mine)),
    }


def said_by(
    ports: Ports, caller: Caller, *, subject: str | None = None, after: str | None = None, limit: int = 50
) -> Page[ConsentRecord]:
    """List what people said, newest first; subject: one person, as the tenant's own systems name them.

    A record is about one person: the caller must be allowed to see rows, and the ledger says that it did.
    """
    caller.may_see_rows()
    token = tokens(ports.pseudonyms.of(caller.tenant))(subject, "") if subject else None
    page = ports.stores.of(caller.tenant).consents.page(subject=token, after=after, limit=limit)
    if page.items:
        access(ports, caller, "consents", {"subject": token, "after": after}, rows=len(page.items), purpose="consent records")
    return page


def check_consent(
    ports: Ports, caller: Caller, ref: DatasetRef, purpose: str, *, at: datetime | None = None, split: Split = Split.TRAIN
) -> Admission:
    """Say which rows a training start would get, and why not the others; counts only, nothing is recorded."""
    caller.may(Role.VIEWER)
    shelf = ports.stores.of(caller.tenant)
    version = shelf.datasets.get(ref)
    table = part_of(table_of(version, ports.stores.objects, ports.tables), split, version.holdout)
    admission = admit(ports, shelf, version, table, purpose, at or caller.now)[0]
    return admission or Admission(purpose, version.card.legal_basis, caller.now, table.num_rows)


def admit(
    ports: Ports, shelf: Shelf, version: DatasetVersion, table: pa.Table, purpose: str, at: datetime
) -> tuple[Admission | None, pa.Table]:
    """Decide which rows of a dataset may be used for a purpose as of a time, and return them with the decision.

    None: the data is about nobody and no purpose was declared. Raises Denied without a purpose, for a purpose that the card
    does not allow, and where consent is asked for but unknown or out of date.
    """
    return decide(ports, shelf, version, table, people_of(ports, shelf.tenant, version, table), purpose, at)


def people_of(ports: Ports, tenant: TenantId, version: DatasetVersion, table: pa.Table) -> Tokens:
    """Return the tokens of the people each row names, None for an empty cell; empty if no column names people.

    A pseudonym that stands in the place of a name already is the token.
    """
    keys = [name for name in version.subject_columns if name in table.column_names]
    if not keys:
        return ()
    token = tokens(ports.pseudonyms.of(tenant))
    made: dict[str, str] = {}
    columns = [[spoken(value) for value in table.column(name).to_pylist()] for name in keys]
    for value in {value for column in columns for value in column if value}:
        made[value] = value if is_token(value) else token(value, "")
    return [tuple(made.get(value) for value in row) for row in zip(*columns, strict=True)]


def decide(
    ports: Ports, shelf: Shelf, version: DatasetVersion, table: pa.Table, people: Tokens, purpose: str, at: datetime
) -> tuple[Admission | None, pa.Table]:
    """Do what `admit` does with tokens made before: inside a transaction, so that the ledger orders imports and starts."""
    if not purpose and not version.card.subjects:
        return None, table
    _allowed(version, purpose)
    basis = version.card.legal_basis
    consented = basis == "consent"
    if not people and consented and table.num_rows:
        raise _no_key(version)
    if consented:
        _fresh(ports, shelf.tenant, version, at)
    if not people:
        return Admission(purpose, basis, at, table.num_rows), table
    records = shelf.consents.of(path_to(purpose), at)
    mine = {token for row in people for token in row}
    seen = [one for one in records if one.subject in mine]
    against = refusals(people, states(seen, purpose, at), consented=consented)
    kept = [reason is None for reason in against]
    counts = {reason: against.count(reason) for reason in sorted({one for one in against if one})}
    groups = group_columns(columns_of(table.select(list(dict.fromkeys(version.schema.groups)))), version.schema.groups)
    told = Admission(purpose, basis, at, sum(kept), counts, snapshot(seen, purpose), shifts(groups, kept))
    return told, table if all(kept) else table.filter(pa.array(kept, pa.bool_()))


def objections(ports: Ports, tenant: TenantId, names: Sequence[str], purpose: str, at: datetime) -> list[bool]:
    """Tell who of a tenant's people withdrew or objected to a purpose, whatever the legal basis; nobody where none is stated."""
    if not purpose:
        return [False] * len(names)
    token = tokens(ports.pseudonyms.of(tenant))
    people = [(token(name, "") if name else None,) for name in names]
    said = states(ports.stores.of(tenant).consents.of(path_to(purpose), at), purpose, at)
    return [reason is not None for reason in refusals(people, said, consented=False)]


def _allowed(version: DatasetVersion, purpose: str) -> None:
    if not purpose:
        raise Denied(
            f"{version.ref} is about people, and the run does not say what for.",
            why="Data about people may be used for a stated purpose only.",
            fix="custody run exec --purpose train_ai_system -- ..., or custody.run('name', purpose='train_ai_system') in the script",
            facts={"dataset": str(version.ref)},
        )
    purpose_of(purpose)
    allowed = version.card.purposes
    if not any(purpose == key or purpose.startswith(f"{key}.") for key in allowed):
        raise Denied(
            f"The card of {version.ref} does not allow the purpose '{purpose}'.",
            why=f"It allows {', '.join(allowed)}, and what lies below.",
            fix=f"Declare a purpose that it allows: --purpose {allowed[0]}",
            facts={"dataset": str(version.ref), "purpose": purpose, "allowed": list(allowed)},
        )


def _no_key(version: DatasetVersion) -> Denied:
    return Denied(
        f"{version.ref} rests on consent, but no column names the person of a row.",
        why="Consent is checked row by row.",
        fix=f"Name it on the card (subject_key: COLUMN) and add the file again: custody dataset add {version.ref.name} FILE --card card.yaml",
        facts={"dataset": str(version.ref)},
    )


def _fresh(ports: Ports, tenant: TenantId, version: DatasetVersion, at: datetime) -> None:
    """Refuse where consent was never imported, or so long ago that withdrawals may be missing."""
    source = version.card.consent.get("source")
    days = version.card.consent.get("max_age_days", MAX_AGE_DAYS)
    limit = timedelta(days=float(days) if isinstance(days, int | float) else MAX_AGE_DAYS)
    named = f" of '{source}'" if source else ""
    newest = _last_import(ports, tenant, str(source) if source else None, at)
    fix = "custody consent add FILE.csv" + (f" --source {source}" if source else "")
    if newest is None:
        raise Denied(
            f"{version.ref} rests on consent, and no consent{named} was ever imported.",
            why="Without a record that a person agreed, a row is not used.",
            fix=fix,
            facts={"dataset": str(version.ref)},
        )
    if at - newest > limit:
        raise Denied(
            f"The consent{named} behind {version.ref} is {(at - newest).days} days old; {limit.days} are allowed.",
            why="Whoever withdrew since then is not known here.",
            fix=f"Import it again, news or not: {fix}",
            facts={"dataset": str(version.ref), "imported_at": newest.isoformat()},
        )


def _last_import(ports: Ports, tenant: TenantId, source: str | None, at: datetime) -> datetime | None:
    after: str | None = None
    while True:
        page = ports.stores.ledger.page(tenant, subject=source, kind="consent.recorded", after=after, limit=50)
        if found := next((entry.at for entry in page.items if entry.at <= at), None):
            return found
        if (after := page.next) is None:
            return None


def recomputed(ports: Ports, caller: Caller, ref: DatasetRef, admission: Admission, split: Split) -> bool:
    """Tell whether a stored decision comes out the same from the records kept today; False after an erasure."""
    shelf = ports.stores.of(caller.may(Role.VIEWER).tenant)
    version = shelf.datasets.get(ref)
    if admission.snapshot is None:
        raise Conflict(f"No consent was asked for {ref}.", why=f"Its legal basis is {admission.basis}.")
    table = part_of(table_of(version, ports.stores.objects, ports.tables), split, version.holdout)
    again, _ = admit(ports, shelf, version, table, admission.purpose, admission.at)
    return admission.same(again)
