"""Scrub: a version with personal data becomes a next one without it, with lineage, and is scanned by other detectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
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
from custody.lifecycle.scan import Examined, scan, spans_of, stands, text_at, wanted_k
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.columns.anonymity import crowded
from custody.privacy.columns.coarser import Coarser, coarsened, coarser_of, is_coarser
from custody.privacy.columns.table import is_scrubbable, pseudonymised, scrub_table
from custody.privacy.detect import PatternDetector
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.ports import Detector
from custody.privacy.pseudonym import PseudonymKey, tokens
from custody.privacy.scans.report import SMALLEST
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


How = Treatment | Coarser
_Left = list[tuple[Marked, Marked]]  # harmless spans, as they stood and as they stand


def how_of(text: str) -> How:
    """Read what happens to a column: a treatment's word, or a generalisation such as `band:10`; InvalidInput for anything else."""
    if is_coarser(text):
        return coarser_of(text)
    if text not in set(Treatment):
        words = ", ".join([*Treatment, "band:WIDTH", "prefix:LENGTH", "month"])
        raise InvalidInput(f"'{text[:40]}' is no treatment of a column.", fix=f"Give one of {words} or year.")
    return Treatment(text)


@dataclass(frozen=True, slots=True)
class Scrubbing:
    """What a scrubbing did or would do: treatment by column, and what it took out by type.

    suppressed: rows that were left out because their group was smaller than k.
    """

    source: DatasetRef
    treatments: Mapping[str, How]
    removed: Mapping[str, int]
    examined: Examined
    suppressed: int = 0


def scrub_version(
    ports: Ports,
    caller: Caller,
    ref: DatasetRef,
    *,
    chosen: Mapping[str, How] | None = None,
    suppress: bool = False,
    tier: Tier | None = None,
    dry_run: bool = False,
) -> tuple[DatasetVersion | None, Scrubbing, int | None]:
    """Make the next version of a dataset without the personal data that its scan found; the source stays, quarantined or not.

    chosen: treatments by column, over the usual ones: columns that identify people are pseudonymised, texts get tags; declared
    quasi-identifiers may be made coarser. suppress: leave out the rows whose group of quasi-identifiers is then smaller than k,
    the policy's or the card's. tier: how far texts are searched, the policy's by default. Returns the new version (None in a dry run).
    Raises: InvalidInput for an unknown column, a role's column that would go, a generalisation that does not fit its column, or
    groups that are all too small; Conflict if there is nothing to remove.
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
    made, removed, left = _cleaned(table, treatments, seen, spans, _search(ports, policy), key)
    made, left = _coarse(made, left, treatments)
    full, k = made.num_rows, wanted_k(version.card, policy)
    if suppress:
        made, left = _large(made, left, _quasi(version, treatments), k)
    if made.equals(table):
        raise Conflict(f"Nothing in {ref} is to be removed.", why=_why(suppress=suppress), fix=_else(ref))
    card = _card(version, treatments, policy, _losses(ref, full - made.num_rows, full, k))
    schema, answers = version.schema, _carried(seen, left, made, key)
    roles = Roles(schema.target, schema.positive, schema.subject, schema.time, schema.groups)
    examined = look_ahead(ports, caller, made, card, roles, answers)
    told = Scrubbing(ref, treatments, removed, examined, full - made.num_rows)
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
        _record(ports, caller, told, new.ref, policy)
    return new, told, entry


def _record(ports: Ports, caller: Caller, told: Scrubbing, into: DatasetRef, policy: ScrubPolicy) -> None:
    """Write what was done to the ledger: types, counts and ways, and no column; the new version's signed card names those."""
    ways = [str(how) for how in told.treatments.values() if isinstance(how, Coarser)]
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        facts: dict[str, Json] = {
            "into": str(into),
            "policy": policy.digest,
            "removed": dict(told.removed),
            "generalised": {way: ways.count(way) for way in sorted(set(ways))},
            "suppressed": told.suppressed,
        }
        change.record("dataset.scrubbed", str(told.source), facts)


@dataclass(frozen=True, slots=True)
class _Search:
    """How texts are searched: under which policy, and by which models of names."""

    policy: ScrubPolicy
    names: tuple[Detector, ...] = ()


def _search(ports: Ports, policy: ScrubPolicy) -> _Search:
    """Return what looks for names beside the patterns: in the strict tier every model there is, asked until it finds no more."""
    strict = policy.tier is Tier.STRICT
    return _Search(replace(policy, settle_detectors=strict), ports.detectors.names if strict else ())


def _cleaned(
    table: pa.Table,
    treatments: Mapping[str, How],
    seen: Scan,
    spans: Sequence[Marked],
    search: _Search,
    key: PseudonymKey,
) -> tuple[pa.Table, dict[str, int], _Left]:
    """Return the table without what was found, the rows by type from which something was taken, and the harmless spans left.

    In columns that will be made coarser only what people found personal is taken out before.
    """
    plain = {name: Treatment.MARKED if isinstance(how, Coarser) else how for name, how in treatments.items()}
    made, removed = _treated(table, plain, seen.found, search, key)
    made, more, left = _respected(table, made, plain, spans, search, key)
    return made, {kind: n for kind in removed.keys() | more.keys() if (n := removed.get(kind, 0) + more.get(kind, 0)) > 0}, left


def _coarse(made: pa.Table, left: _Left, treatments: Mapping[str, How]) -> tuple[pa.Table, _Left]:
    """Make quasi-identifiers coarser; answers about places in them hold no longer."""
    ways = {name: how for name, how in treatments.items() if isinstance(how, Coarser)}
    for name, how in ways.items():
        made = made.set_column(made.column_names.index(name), name, coarsened(made.column(name), name, how))
    return made, [pair for pair in left if pair[1].column not in ways]


def _large(made: pa.Table, left: _Left, quasi: Sequence[str], k: int) -> tuple[pa.Table, _Left]:
    """Leave out the rows of groups smaller than k, and say where the harmless spans stand then."""
    stay = crowded(made, quasi, k=k)
    if not stay.any():
        raise InvalidInput(
            f"Every row is in a group of fewer than {k}, so none would be left.",
            why=f"The quasi-identifiers are {', '.join(quasi)}.",
            fix=f"Make them coarser first: --column {quasi[0]}=band:10, =prefix:3, =month or =year",
        )
    at = np.cumsum(stay) - 1
    moved = [(old, replace(new, row=int(at[new.row]))) for old, new in left if stay[new.row]]
    return (made if stay.all() else made.filter(pa.array(stay))), moved


def _quasi(version: DatasetVersion, treatments: Mapping[str, How]) -> tuple[str, ...]:
    """Return the declared quasi-identifiers that stay; InvalidInput if there are none to count groups of."""
    quasi = tuple(name for name in version.card.quasi_identifiers if treatments.get(name) is not Treatment.REMOVE)
    if not quasi:
        raise InvalidInput(
            f"{version.ref} has no quasi-identifiers to count groups of, so nothing can be suppressed.",
            fix="Declare the columns that tell people apart together on the card, such as quasi_identifiers: [age, postcode]",
        )
    return quasi


def _losses(ref: DatasetRef, suppressed: int, rows: int, k: int) -> str:
    """Say what the card tells of suppressed rows; empty if there are none."""
    return f"{suppressed:,} of {rows:,} rows of {ref}, in groups of fewer than {k}" if suppressed else ""


def _why(*, suppress: bool) -> str:
    groups = " No group is too small." if suppress else ""
    return f"Its texts hold nothing that this tier finds.{groups}"


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


def _check(version: DatasetVersion, treatments: Mapping[str, How]) -> None:
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
        if isinstance(treatment, Coarser):
            _check_coarser(version, name)


def _check_coarser(version: DatasetVersion, name: str) -> None:
    """Refuse to make a column coarser that is no quasi-identifier, or whose values others count on."""
    card, schema = version.card, version.schema
    if name not in card.quasi_identifiers:
        raise InvalidInput(
            f"The column '{name}' is no declared quasi-identifier of {version.ref}, so it is not made coarser.",
            why=f"The card declares {', '.join(card.quasi_identifiers) or 'none'}.",
            fix=f"Add the file again with it on the card: quasi_identifiers: [{', '.join([*card.quasi_identifiers, name])}]",
        )
    if name == schema.target or name in {schema.subject, *card.subject_keys}:
        raise InvalidInput(
            f"The column '{name}' has a role and cannot be made coarser.",
            why="It is the target or names the person of a row: its values would no longer be theirs.",
            fix="Take it off the card's quasi_identifiers, or add the file again without that role.",
        )


def _treated(
    table: pa.Table, treatments: Mapping[str, Treatment], found: tuple[Found, ...], search: _Search, key: PseudonymKey
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
                rules = replace(search.policy, mode=mode)
                done = scrub_table(table, rules, columns=[name], detectors=search.names, key=key)
                table = done.table
                for kind, count in done.counts.get(name, {}).items():
                    removed[kind] = removed.get(kind, 0) + count
    return table, removed


def _respected(
    before: pa.Table,
    made: pa.Table,
    treatments: Mapping[str, Treatment],
    spans: Sequence[Marked],
    search: _Search,
    key: PseudonymKey,
) -> tuple[pa.Table, dict[str, int], list[tuple[Marked, Marked]]]:
    """Write the values about whose spans people decided once more, with that; and say where the harmless spans stand now.

    Columns that are removed, kept or pseudonymised whole have no spans left. Counts are of rows from which more,
    or less, was taken out because of that, by type.
    """
    removed: dict[str, int] = {}
    left: list[tuple[Marked, Marked]] = []
    policy, patterns = search.policy, PatternDetector(search.policy.tier)
    for name in {one.column for one in spans if one.column in made.column_names}:
        done, mine = treatments.get(name, Treatment.KEEP), [one for one in spans if one.column == name]
        if done is Treatment.KEEP or (done is Treatment.PSEUDONYMISE and not is_scrubbable(made.column(name).type)):
            left += [(one, one) for one in mine if not one.personal] if done is Treatment.KEEP else []
            continue
        values, old = made.column(name).to_pylist(), before.column(name)
        for row in sorted({one.row for one in mine}):
            text, answers = old[row].as_py(), [one for one in mine if one.row == row]
            rules = replace(policy, mode=Mode.PSEUDONYM if done is Treatment.PSEUDONYMISE else Mode.TAG)
            tags = replace(rules, mode=Mode.TAG)
            again = done is not Treatment.MARKED
            found = scrub(text, tags, detectors=search.names, patterns=patterns, hint=name).spans if again else ()
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


def _card(version: DatasetVersion, treatments: Mapping[str, How], policy: ScrubPolicy, losses: str) -> Card:
    """Return the card of what comes out: what was done, and which columns hold pseudonyms now."""
    card, gone = version.card, {name for name, done in treatments.items() if done is Treatment.REMOVE}
    tokens = {name: PSEUDONYM for name, done in treatments.items() if done is Treatment.PSEUDONYMISE}
    ways = ((name, treatments.get(name)) for name in version.schema.names)
    coarse = ", ".join(f"{name} {how.words}" for name, how in ways if isinstance(how, Coarser))
    return replace(
        card,
        description=f"{card.description.rstrip().rstrip('.')}. Personal data was removed from {version.ref} under policy {policy.name}.",
        supersedes=str(version.ref),
        categories={name: key for name, key in {**card.categories, **tokens}.items() if name not in gone},
        quasi_identifiers=tuple(name for name in card.quasi_identifiers if name not in gone),
        deidentification=_further(card.deidentification, {"generalised": coarse, "suppressed": losses}),
    )


def _further(told: Mapping[str, Json], more: Mapping[str, str]) -> dict[str, Json]:
    """Add what was done now behind what an earlier scrubbing did."""
    return {**told, **{name: f"{told[name]}; {text}" if told.get(name) else text for name, text in more.items() if text}}


def _else(ref: DatasetRef) -> str:
    return f"See what blocks it: custody review ls {ref}"


def next_of(state: ScanState, ref: DatasetRef, found: Sequence[Found], reasons: Sequence[str]) -> str:
    """Return the command that usually follows: train, remove what was found or is too rare, or look at what nobody knows."""
    if state is ScanState.CLEARED:
        return f"custody run exec --dataset {ref} -- python train.py"
    if any(reason.startswith(SMALLEST) for reason in reasons):
        return f"custody dataset scrub {ref} --suppress-below-k"
    blocks = any(one.standing is Standing.FOUND for one in found)
    return f"custody dataset scrub {ref}" if blocks else f"custody review ls {ref}"
