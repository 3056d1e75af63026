"""Scrub: a version with personal data becomes a next one without it, with lineage, and is scanned by other detectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow as pa

from custody.core.digest import Json
from custody.core.errors import Conflict, InvalidInput
from custody.core.refs import DatasetRef, near
from custody.core.tenancy import Role
from custody.data.card import Card
from custody.data.dataset import DatasetVersion
from custody.lifecycle.cards import PSEUDONYM
from custody.lifecycle.ingest import Roles, ingest, look_ahead
from custody.lifecycle.rows import table_of
from custody.lifecycle.scan import Examined, scan, spans_of, stands, text_at
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.columns.table import is_scrubbable, pseudonymised, scrub_table
from custody.privacy.detect import PatternDetector
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.pseudonym import PseudonymKey, tokens
from custody.privacy.scans.scan import COLUMN, Answer, Found, Scan, Standing
from custody.privacy.scans.spans import Marked, rewritten
from custody.privacy.scans.state import ScanState
from custody.privacy.scrub import scrub


class Treatment(StrEnum):
    """What happens to a column.

    remove: the column goes. tag: what is found becomes its type, `[EMAIL]`. pseudonymise: a keyed token stands in its place,
    or in place of the whole value where the column identifies people. keep: nothing; the card must then declare it.
    marked: only the spans that people found personal become their type.
    """

    REMOVE = "remove"
    TAG = "tag"
    PSEUDONYMISE = "pseudonymise"
    KEEP = "keep"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class Scrubbing:
    """What a scrubbing did or would do: treatment by column, and what it took out by type."""

    source: DatasetRef
    treatments: Mapping[str, Treatment]
    removed: Mapping[str, int]
    examined: Examined


def scrub_version(
    ports: Ports,
    caller: Caller,
    ref: DatasetRef,
    *,
    chosen: Mapping[str, Treatment] | None = None,
    tier: Tier | None = None,
    dry_run: bool = False,
) -> tuple[DatasetVersion | None, Scrubbing, int | None]:
    """Make the next version of a dataset without the personal data that its scan found; the source stays, quarantined or not.

    chosen: treatments by column, over the usual ones: columns that identify people are pseudonymised, texts get tags.
    tier: how far texts are searched, the policy's by default. Returns the new version (None in a dry run).
    Raises: InvalidInput for an unknown column or a role's column that would go, Conflict if there is nothing to remove.
    """
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    version, seen = shelf.datasets.get(ref), _scanned(ports, caller, ref)
    treatments = {**_usual(seen), **(chosen or {})}
    _check(version, treatments)
    policy = shelf.scans.policy().scan
    policy = replace(policy, tier=tier or policy.tier)
    table = table_of(version, ports.stores.objects, ports.tables)
    key, spans = ports.pseudonyms.of(caller.tenant), spans_of(ports, caller.tenant, table, seen.answers)
    made, removed = treated(table, treatments, seen.found, policy, key)
    made, more, left = respected(table, made, treatments, spans, policy, key)
    removed = {kind: n for kind in removed.keys() | more.keys() if (n := removed.get(kind, 0) + more.get(kind, 0)) > 0}
    answers = _carried(seen, left, made, key)
    if made.equals(table):
        raise Conflict(f"Nothing in {ref} is to be removed.", why="Its texts hold nothing that this tier finds.", fix=_else(ref))
    card = _card(version, treatments, policy)
    schema = version.schema
    roles = Roles(schema.target, schema.positive, schema.subject, schema.time, schema.groups)
    examined = look_ahead(ports, caller, made, card, roles, answers)
    told = Scrubbing(ref, treatments, removed, examined)
    if dry_run:
        return None, told, None
    new, entry = ingest(
        ports,
        caller,
        ref.name,
        made,
        card,
        roles=roles,
        holdout=version.holdout,
        derived_from=(str(ref), *version.derived_from[1:]),
        removed=removed,
        answers=answers,
    )
    if entry is not None:
        with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
            facts: dict[str, Json] = {"into": str(new.ref), "policy": policy.digest, "removed": dict(removed)}
            change.record("dataset.scrubbed", str(ref), facts)
    return new, told, entry


def _scanned(ports: Ports, caller: Caller, ref: DatasetRef) -> Scan:
    """Return the version's scan, made again if the policy or the pack changed since."""
    shelf = ports.stores.of(caller.tenant)
    found = shelf.scans.get(ref)
    fresh = found is not None and (stands(shelf, ref)[0] is found.state)
    return found if found is not None and fresh else scan(ports, caller, ref)[0]


def _usual(seen: Scan) -> dict[str, Treatment]:
    """Return what usually happens to the columns in which something undeclared was found."""
    blocking = [one for one in seen.found if one.standing is Standing.FOUND]
    usual = {one.column: Treatment.MARKED for one in blocking}
    usual |= {one.column: Treatment.TAG for one in blocking if one.marked < one.rows}
    return usual | {one.column: Treatment.PSEUDONYMISE for one in blocking if one.whole}


def _check(version: DatasetVersion, treatments: Mapping[str, Treatment]) -> None:
    names, schema = version.schema.names, version.schema
    for name, treatment in treatments.items():
        if name not in names:
            close = near(name, names)
            hint = f"Did you mean '{close[0]}'?" if close else f"It has: {', '.join(names)}."
            raise InvalidInput(f"{version.ref} has no column '{name}'.", why=hint)
        if treatment is Treatment.REMOVE and name in (schema.target, schema.subject, schema.time, *schema.groups):
            raise InvalidInput(
                f"The column '{name}' has a role and cannot go.",
                why="It is the target, the subject key, the time or a group.",
                fix=f"Pseudonymise it: --column {name}=pseudonymise; or add the file again without that role.",
            )


def treated(
    table: pa.Table, treatments: Mapping[str, Treatment], found: tuple[Found, ...], policy: ScrubPolicy, key: PseudonymKey
) -> tuple[pa.Table, dict[str, int]]:
    """Return the table after its treatments, and the rows by type from which something was taken."""
    removed: dict[str, int] = {}
    whole = {one.column for one in found if one.whole}
    for name, treatment in treatments.items():
        column = table.column(name)
        at, rows = table.column_names.index(name), len(column) - column.null_count
        match treatment:
            case Treatment.KEEP | Treatment.MARKED:
                continue
            case Treatment.REMOVE:
                table = table.remove_column(at)
                removed[COLUMN] = removed.get(COLUMN, 0) + rows
            case Treatment.PSEUDONYMISE if name in whole or not is_scrubbable(column.type):
                table = table.set_column(at, name, pseudonymised(column, key, _kind(name, found)))
                removed[COLUMN] = removed.get(COLUMN, 0) + rows
            case _:
                mode = Mode.PSEUDONYM if treatment is Treatment.PSEUDONYMISE else Mode.TAG
                done = scrub_table(table, replace(policy, mode=mode), columns=[name], key=key)
                table = done.table
                for kind, count in done.counts.get(name, {}).items():
                    removed[kind] = removed.get(kind, 0) + count
    return table, removed


def respected(
    before: pa.Table,
    made: pa.Table,
    treatments: Mapping[str, Treatment],
    spans: Sequence[Marked],
    policy: ScrubPolicy,
    key: PseudonymKey,
) -> tuple[pa.Table, dict[str, int], list[tuple[Marked, Marked]]]:
    """Write the values about whose spans people decided once more, with that; and say where the harmless spans stand now.

    Columns that are removed, kept or pseudonymised whole have no spans left. Counts are of rows from which more,
    or less, was taken out because of that, by type.
    """
    removed: dict[str, int] = {}
    left: list[tuple[Marked, Marked]] = []
    patterns = PatternDetector(policy.tier)
    for name in {one.column for one in spans if one.column in made.column_names}:
        done, mine = treatments.get(name, Treatment.KEEP), [one for one in spans if one.column == name]
        if done is Treatment.KEEP or (done is Treatment.PSEUDONYMISE and not is_scrubbable(made.column(name).type)):
            left += [(one, one) for one in mine if not one.personal] if done is Treatment.KEEP else []
            continue
        values, old = made.column(name).to_pylist(), before.column(name)
        for row in sorted({one.row for one in mine}):
            text, answers = old[row].as_py(), [one for one in mine if one.row == row]
            rules = replace(policy, mode=Mode.PSEUDONYM if done is Treatment.PSEUDONYMISE else Mode.TAG)
            found = (
                () if done is Treatment.MARKED else scrub(text, replace(rules, mode=Mode.TAG), patterns=patterns, hint=name).spans
            )
            values[row], kept, counts = rewritten(text, found, answers, rules, tokens(key))
            left += kept
            was = {span.type for span in found}
            for kind in was ^ counts.keys():
                removed[kind] = removed.get(kind, 0) + (1 if kind in counts else -1)
        made = made.set_column(made.column_names.index(name), name, pa.chunked_array([pa.array(values, pa.string())]))
    return made, removed, left


def _carried(seen: Scan, left: Sequence[tuple[Marked, Marked]], made: pa.Table, key: PseudonymKey) -> tuple[Answer, ...]:
    """Return the answers that the next version starts with: the harmless spans, where they stand there."""
    token, said = tokens(key), {one.item: one for one in seen.answers if one.token}
    return tuple(replace(said[old.item], item=new.item, token=token(text_at(made, new), new.type)) for old, new in left)


def _kind(column: str, found: tuple[Found, ...]) -> str:
    """Return the type that most values of a column are, so that spellings of one value agree."""
    kinds = [one for one in found if one.column == column and one.type != COLUMN]
    return max(kinds, key=lambda one: one.rows).type if kinds else ""


def _card(version: DatasetVersion, treatments: Mapping[str, Treatment], policy: ScrubPolicy) -> Card:
    """Return the card of what comes out: what was done, and which columns hold pseudonyms now."""
    card, gone = version.card, {name for name, done in treatments.items() if done is Treatment.REMOVE}
    tokens = {name: PSEUDONYM for name, done in treatments.items() if done is Treatment.PSEUDONYMISE}
    return replace(
        card,
        description=f"{card.description.rstrip().rstrip('.')}. Personal data was removed from {version.ref} under policy {policy.name}.",
        supersedes=str(version.ref),
        categories={name: key for name, key in {**card.categories, **tokens}.items() if name not in gone},
        quasi_identifiers=tuple(name for name in card.quasi_identifiers if name not in gone),
    )


def _else(ref: DatasetRef) -> str:
    return f"See what blocks it: custody review ls {ref}"


def next_of(state: ScanState, ref: DatasetRef, found: Sequence[Found]) -> str:
    """Return the command that usually follows: train, remove what was found, or look at what nobody knows."""
    if state is ScanState.CLEARED:
        return f"custody run exec --dataset {ref} -- python train.py"
    blocks = any(one.standing is Standing.FOUND for one in found)
    return f"custody dataset scrub {ref}" if blocks else f"custody review ls {ref}"
