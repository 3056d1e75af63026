"""Export: a model's card and file; rows under a name, with a purpose, a mark and an end."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pyarrow as pa

from custody.core.digest import Json, digest_of_json
from custody.core.errors import Conflict, Denied, InvalidInput
from custody.core.evidence import GroupCounts, Measured, Verdict
from custody.core.refs import DatasetRef, ModelRef, name_of
from custody.core.tenancy import Role, TenantId
from custody.data.export import Export, Match, marked, match
from custody.gates.bias import BIAS
from custody.gates.mitigation import LEAST
from custody.gates.policy import MEASURES
from custody.lifecycle.access import access, bucket
from custody.lifecycle.cards import check_use
from custody.lifecycle.consent import decide, people_of
from custody.lifecycle.mitigate import mitigations_of
from custody.lifecycle.rows import table_of
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.erasure.stored import stores_rows
from custody.privacy.pseudonym import tokens
from custody.privacy.purposes import purpose_of

LONGEST = 365  # days until an export ends
META = b"custody.export"
SURE = 5.0  # standard deviations above an unrelated order


def card(ports: Ports, caller: Caller, ref: ModelRef) -> dict[str, Any]:
    """Return a model card: what the model is, its data and their terms, what it showed, which checks it passed.

    Counts that stand for fewer than 5 people are not on it. Source of the sections: Mitchell et al. 2019, Model Cards for Model
    Reporting.
    """
    caller.may(Role.VIEWER)
    shelf = ports.stores.of(caller.tenant)
    model, verdict = shelf.models.get(ref), shelf.gates.verdict(ref)
    run = shelf.runs.get(model.run_id)
    datasets, treated = [shelf.datasets.get(use.ref) for use in model.datasets], mitigations_of(ports, caller.tenant, ref)
    made: dict[str, Any] = msgspec.to_builtins(
        {
            "version": 1,
            "model": str(ref),
            "artifact": model.artifact,
            "framework": model.framework,
            "signature": model.signature,
            "parity": model.parity,
            "registered": [_published(one) for one in model.registered],
            "run": {"id": run.id, "code_version": run.code_version, "params": run.params, "environment": run.environment},
            "datasets": [{"ref": str(one.ref), "digest": one.digest, "rows": one.rows, "card": one.card} for one in datasets],
            "verdict": _told(verdict, _few(one for measured in model.registered for one in measured.groups)) if verdict else None,
            "mitigation": [{"sentence": one.sentence, **msgspec.to_builtins(one)} for one in treated],
        }
    )
    return made


def _published(measured: Measured) -> dict[str, Json]:
    """Return measures with the counts of groups, but of no column in which a count stands for fewer than 5 people.

    The whole column goes: the counts of one hidden group would be the totals less those of the others.
    """
    few = _few(measured.groups)
    told: dict[str, Any] = msgspec.to_builtins(
        replace(measured, groups=tuple(one for one in measured.groups if one.column not in few))
    )
    return told | ({"hidden": dict.fromkeys(sorted(few), f"counts of fewer than {LEAST} people")} if few else {})


def _few(groups: Iterable[GroupCounts]) -> set[str]:
    return {one.column for one in groups if any(0 < count < LEAST for count in (one.tn, one.fp, one.fn, one.tp))}


def _told(verdict: Verdict, few: Collection[str]) -> Verdict:
    """Return a verdict whose checks of bias tell no numbers of columns that hold groups of few people."""
    hidden = tuple(f"{measure}:{column}@" for column in few for measure in MEASURES)
    checks = [
        replace(
            check,
            sentence=f"It is {check.outcome}; some groups are too small to be shown.",
            facts={name: check.facts[name] for name in ("waived_by", "reason") if name in check.facts},
        )
        if check.name.startswith(BIAS) and check.name.removeprefix(BIAS).startswith(hidden)
        else check
        for check in verdict.checks
    ]
    return replace(verdict, checks=tuple(checks))


def artifact(ports: Ports, caller: Caller, ref: ModelRef) -> bytes:
    """Return a version's ONNX file; of a kind that stores rows, only to who may see rows, and the ledger says so."""
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    found = shelf.models.get(ref)
    body = ports.stores.objects.get(found.artifact)
    if stores_rows(body):
        caller.may_see_rows()
        learned = sum(shelf.datasets.get(use.ref).rows for use in found.datasets)
        access(ports, caller, str(ref), {"artifact": found.artifact}, rows=learned, purpose="model file")
    return body


def export(
    ports: Ports,
    caller: Caller,
    name: str,
    ref: DatasetRef,
    *,
    purpose: str,
    recipient: str,
    days: int = 7,
    columns: Sequence[str] = (),
    dry_run: bool = False,
) -> tuple[Export, int | None]:
    """Allow that rows of a dataset version leave under a name, for a purpose, to somebody, for some days; needs an approver.

    Nothing leaves yet: `take` hands the rows out, until the end. Denied unless card and scan let the rows be used, then and now.
    """
    caller.may(Role.APPROVER).may_see_rows()
    version = ports.stores.of(caller.tenant).datasets.get(ref)
    if not 1 <= days <= LONGEST:
        raise InvalidInput(f"An export of {days} days is not possible.", why=f"It ends after 1 to {LONGEST} days.")
    if not recipient.strip():
        raise InvalidInput("Who gets the rows?", fix="Say it: --recipient 'audit office'")
    if absent := [one for one in columns if one not in version.schema.names]:
        raise InvalidInput(f"{ref} has no column {', '.join(absent)}.", why=f"It has {', '.join(version.schema.names)}.")
    end = caller.now + timedelta(days=days)
    made = Export(
        name_of("export", name),
        ports.new_id(caller.now),
        ref,
        purpose_of(purpose),
        recipient.strip(),
        caller.actor.name,
        caller.now,
        end,
        tuple(columns),
    )
    check_use(ports, caller, version, "leave")
    table = table_of(version, ports.stores.objects, ports.tables)
    people = people_of(ports, caller.tenant, version, table)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.datasets.get(ref).standing()
        decide(ports, change, version, table, people, purpose, caller.now)
        if change.exports.has(made.name):
            raise _taken(made)
        if dry_run:
            return made, None
        change.exports.add(made)
        facts: dict[str, Json] = {
            "export": made.id,
            "dataset": str(ref),
            "purpose": purpose,
            "columns": list(columns),
            "expires_at": end.isoformat(),
        }
        entry = change.record("export.made", made.name, facts)
    return made, entry.seq


def _taken(made: Export) -> Conflict:
    return Conflict(
        f"There is an export '{made.name}' already.",
        why="A name stands for one export for ever, so that a file found outside leads back to it.",
        fix=f"Give another name: custody export rows {made.dataset} --name NAME",
        facts={"export": made.name},
    )


def take(ports: Ports, caller: Caller, name: str) -> tuple[Export, bytes]:
    """Hand out the rows of an export as Parquet, in the order that marks it; Denied after its end.

    Consent counts as of now, so that rows of people who withdrew since are not in it. Every take is in the ledger.
    """
    caller.may(Role.CONTRIBUTOR).may_see_rows()
    shelf = ports.stores.of(caller.tenant)
    found = shelf.exports.get(name)
    if caller.now >= found.expires_at:
        raise Denied(
            f"The export '{name}' ended on {found.expires_at:%Y-%m-%d %H:%M}.",
            why="Rows leave for a limited time only.",
            fix=f"Ask an approver for a new one: custody export rows {found.dataset} --name NAME --purpose {found.purpose}",
            facts={"export": name, "expired_at": found.expires_at.isoformat()},
        )
    version = shelf.datasets.get(found.dataset)
    check_use(ports, caller, version, "leave")
    table = table_of(version, ports.stores.objects, ports.tables)
    people = people_of(ports, caller.tenant, version, table)
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        change.datasets.get(found.dataset).standing()
        _, rows = decide(ports, change, version, table, people, found.purpose, caller.now)
        query = digest_of_json({"export": found.id, "dataset": version.digest, "columns": list(found.columns)})
        facts: dict[str, Json] = {"query": query, "rows": bucket(rows.num_rows), "purpose": found.purpose}
        change.record("rows.read", f"export {found.name}", facts)
    rows = rows.select(list(found.columns)) if found.columns else rows
    out = marked(rows, _mark(ports, caller.tenant, found))
    return found, ports.tables.to_parquet(out.replace_schema_metadata({META: found.id.encode()}))


def identify(ports: Ports, caller: Caller, table: pa.Table) -> tuple[Match, ...]:
    """Say which export a file came from: by the id in its metadata, else by the order of its rows; best first.

    Rows may be missing or added. Whoever sorts or shuffles the rows, or changes their values, removes the mark.
    """
    caller.may(Role.APPROVER)
    told = (table.schema.metadata or {}).get(META, b"").decode(errors="replace")
    shelf, found, after = ports.stores.of(caller.tenant), list[Match](), None
    while True:
        page = shelf.exports.page(after=after, limit=1000)
        for one in page.items:
            names = one.columns or shelf.datasets.get(one.dataset).schema.names
            if set(names) <= set(table.column_names):
                fit = match(table.select(list(names)), _mark(ports, caller.tenant, one), one.name)
                found += [fit] if fit.sigma >= SURE or one.id == told else []
        if (after := page.next) is None:
            return tuple(sorted(found, key=lambda one: -one.sigma))


def _mark(ports: Ports, tenant: TenantId, one: Export) -> bytes:
    """Return the key of an export's order."""
    return tokens(ports.pseudonyms.of(tenant))(f"export {one.id}", "SECRET").encode()
