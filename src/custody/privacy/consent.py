"""Consent: what people said about a purpose, and which rows a training set may hold because of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from custody.core.digest import Digest, Json, digest_of_json
from custody.privacy.purposes import path_to

NO_SUBJECT = "no_subject"  # the row names nobody


class Said(StrEnum):
    """What a person said; an objection (GDPR, article 21) counts like a withdrawal, also where consent is not the basis."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"


class State(StrEnum):
    """Where one person stands on one purpose; only `granted` lets a row in that rests on consent."""

    GRANTED = "granted"
    ABSENT = "absent"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    OBJECTED = "objected"


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """One statement of one person, never changed and never removed.

    subject: a keyed token, not the person. valid_to: first moment at which a grant is over, None for never. source: the system
    it came from. notice: version of the text that the person saw. children: that text covers the purposes below, too.
    """

    subject: str
    purpose: str
    said: Said
    valid_from: datetime
    valid_to: datetime | None
    source: str
    notice: str
    children: bool
    recorded_at: datetime

    @property
    def id(self) -> Digest:
        """Return the digest of what was said; the time of recording does not count, so that a second import adds nothing."""
        return digest_of_json(_plain(self))


def _plain(record: ConsentRecord) -> list[Json]:
    end = record.valid_to.isoformat() if record.valid_to else None
    return [
        record.subject,
        record.purpose,
        record.said.value,
        record.valid_from.isoformat(),
        end,
        record.source,
        record.notice,
        record.children,
    ]


def state_at(records: Iterable[ConsentRecord], purpose: str, at: datetime) -> State:
    """Return where one person stands on a purpose at a time, from that person's records in any order.

    Counts what was said and recorded by then. A refusal of the purpose or of one above it holds until a later grant of the
    refused purpose or of one below it that covers the asked one: a general grant does not undo a specific refusal. A grant
    covers its own purpose, and those below it only if its notice says so. Of two grants of one purpose the later counts.
    """
    depth = {key: number for number, key in enumerate(path_to(purpose))}
    known = [one for one in records if one.purpose in depth and one.valid_from <= at and one.recorded_at <= at]
    grants = [one for one in known if one.said is Said.GRANTED and (one.children or one.purpose == purpose)]
    for refusal in sorted((one for one in known if one.said is not Said.GRANTED), key=_order, reverse=True):
        later = [one for one in grants if one.valid_from > refusal.valid_from]
        if not any(depth[one.purpose] >= depth[refusal.purpose] for one in later):
            return State(refusal.said.value)
    newest = {one.purpose: one for one in sorted(grants, key=_order)}
    if any(one.valid_to is None or at < one.valid_to for one in newest.values()):
        return State.GRANTED
    return State.EXPIRED if grants else State.ABSENT


def _order(record: ConsentRecord) -> tuple[datetime, datetime, bool, float, bool]:
    """Order records by when they were said; of two at one moment, the one that ends first counts as the later, and an objection."""
    end, objects = record.valid_to, record.said is Said.OBJECTED
    return record.valid_from, record.recorded_at, end is not None, -end.timestamp() if end else 0.0, objects


def states(records: Iterable[ConsentRecord], purpose: str, at: datetime) -> dict[str, State]:
    """Return where each person stands who said anything; who is not in it is `absent`."""
    mine: dict[str, list[ConsentRecord]] = {}
    for record in records:
        mine.setdefault(record.subject, []).append(record)
    return {subject: state_at(said, purpose, at) for subject, said in mine.items()}


def refusals(subjects: Sequence[Sequence[str | None]], found: Mapping[str, State], *, consented: bool) -> list[str | None]:
    """Return for each row why it is left out, None where it is admitted.

    subjects: the tokens of each row, None for an empty cell; a row with several people needs all of them. consented: the
    legal basis is consent, so that everybody must have granted it; else only a refusal or objection leaves a row out.
    """
    return [_refusal(row, found, consented=consented) for row in subjects]


def _refusal(row: Sequence[str | None], found: Mapping[str, State], *, consented: bool) -> str | None:
    if consented and (not row or None in row):
        return NO_SUBJECT
    against = {State.WITHDRAWN, State.OBJECTED}
    for subject in row:
        state = found.get(subject, State.ABSENT) if subject is not None else State.ABSENT
        if state in against or (consented and state is not State.GRANTED):
            return state.value
    return None


def snapshot(records: Iterable[ConsentRecord], purpose: str) -> Digest:
    """Return the digest of all records that were looked at for a purpose, in any order.

    Whoever holds the records can compute it again, and so prove what the training start knew.
    """
    kept = sorted((one.id, one.recorded_at.isoformat()) for one in records)
    return digest_of_json({"version": 1, "purpose": purpose, "records": [list(one) for one in kept]})


@dataclass(frozen=True, slots=True)
class Shift:
    """How the share of one group changed, 0..1 each, because rows were left out."""

    column: str
    group: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Admission:
    """What a training start decided about the rows of one dataset: for which purpose, as of when, on what ground.

    snapshot: digest of the consent records that were looked at, None if no column names people. refused: rows by reason.
    shifts: how the shares of groups changed.
    """

    purpose: str
    basis: str
    at: datetime
    admitted: int
    refused: Mapping[str, int] = field(default_factory=dict)
    snapshot: Digest | None = None
    shifts: tuple[Shift, ...] = ()

    def same(self, other: "Admission | None") -> bool:
        """Tell whether two decisions differ in nothing but their time."""
        return other is not None and replace(self, at=other.at) == other


def shifts(groups: Mapping[str, Sequence[str]], admitted: Sequence[bool]) -> tuple[Shift, ...]:
    """Compare each group's share before and after; empty if no row was left out. Groups of fewer than 5 rows are not told."""
    if all(admitted):
        return ()
    found = []
    for column, values in groups.items():
        before = Counter(values)
        after = Counter(value for value, kept in zip(values, admitted, strict=True) if kept)
        many = max(sum(after.values()), 1)
        found += [
            Shift(column, group or "(missing)", round(n / len(values), 6), round(after[group] / many, 6))
            for group, n in sorted(before.items())
            if n >= 5
        ]
    return tuple(found)
