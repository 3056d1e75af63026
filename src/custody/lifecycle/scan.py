"""Scan: every dataset version is looked at for personal data; only what is cleared may be trained on, exported or shown."""

import base64
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
import pyarrow as pa

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import CustodyError, Denied, Unavailable
from custody.core.page import PAGE, Page
from custody.core.refs import DatasetRef
from custody.core.schema import Schema
from custody.core.tenancy import Actor, Role, TenantId
from custody.data.card import Card
from custody.data.dataset import DatasetSummary
from custody.lifecycle.publish import tenants_of
from custody.lifecycle.rows import table_of
from custody.lifecycle.stores import Caller, Change, Ports, Shelf
from custody.privacy.columns.anonymity import anonymity
from custody.privacy.patterns.pack import PACK
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import ScrubPolicy
from custody.privacy.pseudonym import tokens
from custody.privacy.scans.inspection import COLUMNS, Inspection, inspect
from custody.privacy.scans.measured import recall_of
from custody.privacy.scans.report import SMALLEST, Grouping, Residual, ScanReport, report_json
from custody.privacy.scans.scan import REVIEWED, UNKNOWN, Answer, Found, Scan, Standing, check_categories
from custody.privacy.scans.spans import Marked, marked
from custody.privacy.scans.state import Decided, Finished, ScanState, Step, advance

SCANNER = Actor("scanner", Role.ADMIN)
log = logging.getLogger("custody.worker")
_ROUND = 20  # versions of a tenant that the worker scans again in one round


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report's exact JSON text and an Ed25519 signature over its UTF-8 bytes, both as text (base64 signature)."""

    report: str
    signature: str
    key_id: str
    signed_at: datetime
    version: int = 1


@dataclass(frozen=True, slots=True)
class Examined:
    """What a look at rows came to, before anything is stored."""

    report: ScanReport
    found: tuple[Found, ...]
    step: Step


def declared(card: Card, schema: Schema) -> dict[str, str]:
    """Return what the card and the roles say of columns; a subject key or a group of people is personal data by its role."""
    roles: dict[str, str] = {}
    if schema.target:
        roles[schema.target] = "system.operations"
    if schema.time:
        roles[schema.time] = "user.behavior"
    for name in (schema.subject, *schema.groups):
        if name:
            roles[name] = "user"
    return {**roles, **card.categories}


def examine(
    ports: Ports,
    shelf: Shelf,
    table: pa.Table,
    card: Card,
    schema: Schema,
    *,
    data: Digest,
    removed: Mapping[str, int] | None = None,
    answers: Sequence[Answer] = (),
) -> Examined:
    """Look at rows under the tenant's policy and decide; nothing is stored.

    removed: what a scrubbing took out before, by type. answers: what people decided about earlier findings.
    Raises: InvalidInput if the card declares a column that is not there.
    """
    check_categories(card.categories, schema.names)
    check_categories(dict.fromkeys(card.quasi_identifiers, "user"), schema.names)
    policy = shelf.scans.policy().scan
    said = {one.item: one.answer for one in answers if one.answer != REVIEWED}
    rng = random.Random(int(data[:12], 16))  # noqa: S311 - canaries are no secrets, and the same data gets the same ones
    spans = spans_of(ports, shelf.tenant, table, answers)
    look = inspect(table, policy, declared(card, schema), said, ports.detectors, rng=rng, spans=spans)
    reviewer = next((one.by for one in answers if one.answer == REVIEWED), None)
    report = replace(_report(look, policy, table.num_rows), data=data, counts=dict(removed or {}))
    report = replace(report, reviewer=reviewer, grouping=_grouping(table, card, schema, policy))
    step = advance(ScanState.QUARANTINED, Finished(report))
    if step.state is ScanState.SCANNED:
        step = advance(step.state, Decided(report, policy))
    if step.state in _DONE and (short := _short(card, report.grouping)):
        step = Step(ScanState.REJECTED, (*short, *(step.reasons if step.state is ScanState.REJECTED else ())))
    blocking = (*look.of(Standing.FOUND), *look.of(Standing.UNKNOWN))
    told = tuple(f"{one.sentence[0].upper()}{one.sentence[1:]}, and the card does not declare it." for one in blocking)
    return Examined(report, look.found, Step(step.state, (*told, *step.reasons)))


def spans_of(ports: Ports, tenant: TenantId, table: pa.Table, answers: Sequence[Answer]) -> list[Marked]:
    """Return the answers about single spans that still hold: where they point to, the same characters stand."""
    token, found = tokens(ports.pseudonyms.of(tenant)), list[Marked]()
    for one in answers:
        span = marked(one.item, personal=one.answer == "personal") if one.token else None
        if span is not None and token(text_at(table, span), span.type) == one.token:
            found.append(span)
    return found


def text_at(table: pa.Table, span: Marked) -> str:
    """Return the characters that a span names; empty if there are none."""
    if span.column not in table.column_names or span.row >= table.num_rows:
        return ""
    value = table.column(span.column)[span.row].as_py()
    return value[span.start : span.end] if isinstance(value, str) and span.end <= len(value) else ""


def _report(look: Inspection, policy: ScrubPolicy, rows: int) -> ScanReport:
    return ScanReport(
        policy_name=policy.name,
        policy_digest=policy.digest,
        pack_version=PACK.version,
        pack_digest=PACK.digest,
        detectors=look.detectors,
        rows=rows,
        counts={},
        text_bytes=look.text_bytes,
        scanned_bytes=look.scanned_bytes,
        unread=look.unread,
        unclassified=tuple(one.column for one in look.of(Standing.UNKNOWN)),
        named_columns=look.named,
        faults=look.faults,
        residual=Residual(look.second, _by_type(look.of(Standing.FOUND))),
        canaries=look.canaries,
        canaries_found=look.canaries_found,
        recall=recall_of(PACK.digest, Tier(policy.tier)),
        declared=_by_category([one for one in look.of(Standing.DECLARED) if one.type != UNKNOWN]),
        doubtful=_by_type(look.of(Standing.DOUBTFUL)),
    )


def _by_type(found: Sequence[Found]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in found:
        counts[one.type] = counts.get(one.type, 0) + one.rows
    return counts


def _by_category(found: Sequence[Found]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in found:
        counts[one.category] = max(counts.get(one.category, 0), one.rows)
    return counts


def _grouping(table: pa.Table, card: Card, schema: Schema, policy: ScrubPolicy) -> Grouping | None:
    """Count the groups of the declared quasi-identifiers."""
    if not card.quasi_identifiers:
        return None
    sensitive = [schema.target] if schema.target and schema.target not in card.quasi_identifiers else []
    seen = anonymity(table, card.quasi_identifiers, k=wanted_k(card, policy), sensitive=sensitive)
    return Grouping(seen.quasi_identifiers, seen.k, seen.small_rows, seen.diversity)


def wanted_k(card: Card, policy: ScrubPolicy) -> int:
    """Return how many rows every group must have: what the policy asks for, or the card promises if that is more."""
    return max(policy.min_k, card.bounds.get("k", 1))


_DONE = (ScanState.CLEARED, ScanState.REJECTED)


def _short(card: Card, grouping: Grouping | None) -> tuple[str, ...]:
    """Say where the data falls short of the k and l that its own card promises."""
    if not card.bounds:
        return ()
    if grouping is None:
        return ("The card promises a k or l, and declares no quasi-identifiers to count it on.",)
    told = []
    if grouping.k < card.bounds.get("k", 1):
        told.append(f"{SMALLEST} {grouping.k} rows, and the card promises {card.bounds['k']}.")
    if (l_wanted := card.bounds.get("l", 1)) > 1 and not grouping.diversity:
        told.append("The card promises an l, and there is no target column to count the values of.")
    told += [
        f"Some group has {found} value{'s' * (found != 1)} of '{name}', and the card promises {l_wanted}."
        for name, found in grouping.diversity.items()
        if found < l_wanted
    ]
    return tuple(told)


def kept(
    ports: Ports, tenant: TenantId, examined: Examined, ref: DatasetRef, now: datetime, answers: Sequence[Answer] = ()
) -> Scan:
    """Sign and store the report as an object and return the scan that names it; the caller saves the scan."""
    report, seen = replace(examined.report, dataset=str(ref)), examined
    text = msgspec.json.encode(report_json(report)).decode()
    signature = base64.b64encode(ports.signer.sign(text.encode())).decode()
    body = msgspec.json.encode(SignedReport(text, signature, ports.signer.key_id, now))
    digest = ports.stores.objects.of(tenant).put(body)
    return Scan(ref, seen.step.state, seen.step.reasons, seen.found, report.policy_digest, looking(), digest, now, tuple(answers))


def save(change: Change, scan: Scan, before: ScanState | None) -> int:
    """Save a scan and its ledger entry in one change; the entry tells types and counts, never a column or a value."""
    change.scans.save(scan)
    facts: dict[str, Json] = {
        "before": before.value if before else None,
        "state": scan.state.value,
        "policy": scan.policy,
        "pack": scan.pack,
        "report": scan.report,
        "found": [[one.type, one.standing.value, one.rows] for one in scan.found],
        "answers": len(scan.answers),
    }
    return change.record("dataset.scanned", str(scan.ref), facts).seq


def scan(ports: Ports, caller: Caller, ref: DatasetRef) -> tuple[Scan, int]:
    """Scan a stored version again, with what people have answered so far, and record where it stands now.

    What somebody answers meanwhile is not lost: then it is scanned once more, with that.
    """
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    version = shelf.datasets.get(ref)
    table = table_of(version, ports.stores.objects, ports.tables)
    while True:
        old = shelf.scans.get(ref)
        given, removed = old.answers if old else (), removed_before(ports, old)
        examined = examine(ports, shelf, table, version.card, version.schema, data=version.digest, removed=removed, answers=given)
        made = kept(ports, caller.tenant, examined, ref, caller.now, given)
        with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
            latest = change.scans.get(ref)
            if (latest.answers if latest else ()) == given:
                return made, save(change, made, latest.state if latest else None)


def removed_before(ports: Ports, old: Scan | None) -> Mapping[str, int]:
    """Return what was scrubbed out of a version before its first scan, as its last report tells."""
    counts = report_of_scan(ports, old)[1].get("counts") if old else None
    return {str(kind): int(str(count)) for kind, count in counts.items()} if isinstance(counts, dict) else {}


def report_of_scan(ports: Ports, found: Scan) -> tuple[SignedReport, dict[str, Json]]:
    """Return a scan's signed report and its parsed text."""
    signed = msgspec.json.decode(ports.stores.objects.get(found.report), type=SignedReport)
    return signed, msgspec.json.decode(signed.report, type=dict)


def looking() -> Digest:
    """Return the digest of what looks, patterns and classifier of columns: a better one sends every version back to be scanned."""
    return digest_of_json({"pack": PACK.digest, "columns": COLUMNS})


def stands(shelf: Shelf, ref: DatasetRef) -> tuple[ScanState, tuple[str, ...]]:
    """Return where a version stands now and why; a scan under another policy or pack counts as none."""
    found = shelf.scans.get(ref)
    if found is None:
        return ScanState.QUARANTINED, ("It was never scanned.",)
    if (found.policy, found.pack) != (shelf.scans.policy().scan.digest, looking()):
        return ScanState.QUARANTINED, ("The policy, the pattern pack or the classifier of columns changed after its scan.",)
    return found.state, found.reasons


def listed(
    ports: Ports, caller: Caller, name: str | None = None, *, after: str | None = None, limit: int = PAGE
) -> Page[DatasetSummary]:
    """List versions, newest first, each with where its scan stands now; see `stands`."""
    shelf = ports.stores.of(caller.tenant)
    policy = shelf.scans.policy().scan.digest
    page = shelf.datasets.page(name, after=after, limit=limit)
    fresh = [
        one if (one.scan_policy, one.scan_pack) == (policy, looking()) else replace(one, scan=ScanState.QUARANTINED.value)
        for one in page.items
    ]
    return Page(tuple(fresh), page.next)


def cleared(shelf: Shelf, ref: DatasetRef) -> None:
    """Raise Denied unless a version may be trained on, exported or shown."""
    state, reasons = stands(shelf, ref)
    if state is not ScanState.CLEARED:
        raise Denied(
            f"{ref} is {state.value}, so its rows may not be used.",
            why=" ".join(reasons[:3]),
            fix=fix_of(state, ref),
            facts={"dataset": str(ref), "state": state.value, "reasons": list(reasons)},
        )


def fix_of(state: ScanState, ref: DatasetRef) -> str:
    """Return the command that usually mends a state."""
    if state is ScanState.REJECTED:
        return (
            f"Remove it: custody dataset scrub {ref} (groups that are too small: with --suppress-below-k); "
            f"or declare it in the card, or look: custody review ls {ref}"
        )
    return f"See why: custody review ls {ref}; scan it again: custody dataset scan {ref}"


def rescan(ports: Ports, now: datetime) -> int:
    """Scan again what was scanned under another policy or pack, or never; return how many versions were."""
    done = 0
    for tenant in tenants_of(ports.stores):
        try:
            done += len(rescan_tenant(ports, Caller(tenant, SCANNER, now)))
        except Unavailable:
            raise
        except CustodyError as error:  # its keys were destroyed, say: no other tenant waits for it
            log.warning("the data of %s cannot be scanned again: %s", tenant, error)
    return done


def rescan_tenant(ports: Ports, caller: Caller, *, limit: int = _ROUND) -> list[Scan]:
    """Scan a tenant's versions again that were never scanned, or under another policy or pack; the oldest first."""
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    stale = shelf.scans.stale(shelf.scans.policy().scan.digest, looking(), limit=limit)
    return [scan(ports, caller, ref)[0] for ref in stale]
