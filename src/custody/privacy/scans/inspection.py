"""One look at a whole table: its columns classified, every distinct text searched by two tiers, canaries planted in a copy."""

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from custody.privacy.columns.classify import ColumnClass, Handling, classify
from custody.privacy.columns.table import BATCH, bytes_of, coded, is_plain, is_scrubbable
from custody.privacy.columns.words import CATEGORIES
from custody.privacy.detect import PatternDetector
from custody.privacy.patterns.pattern import Tier
from custody.privacy.policy import Mode, ScrubPolicy
from custody.privacy.ports import Detector
from custody.privacy.scans.canary import canaries, missed, planted
from custody.privacy.scans.report import Fault
from custody.privacy.scans.scan import COLUMN, UNKNOWN, Found, Place, Standing, standing_of
from custody.privacy.scans.spans import Marked, decided, forced
from custody.privacy.scrub import Span, scrub_all
from custody.privacy.tags import TAG

COLUMNS = "columns 1"  # the column classifier, as reports quote it
SHOWN, PLANTED, AMONG = 5, 12, 200
_TOKEN = re.compile(r"[0-9]+\.[a-z0-9-]{1,32}\.[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Detectors:
    """Who looks: patterns by tier, and models of names; models' findings are doubtful in the default tier."""

    patterns: Mapping[Tier, Detector]
    names: tuple[Detector, ...] = ()


def pattern_detectors() -> Detectors:
    """Return detectors that need no library."""
    return Detectors({tier: PatternDetector(tier) for tier in Tier})


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was seen; text_bytes and scanned_bytes as in a report. named: columns whose names hold personal data."""

    found: tuple[Found, ...]
    unread: tuple[str, ...]
    named: tuple[str, ...]
    text_bytes: int
    scanned_bytes: int
    faults: tuple[Fault, ...]
    detectors: tuple[str, ...]
    second: tuple[str, ...]
    canaries: int
    canaries_found: int

    def of(self, standing: Standing) -> tuple[Found, ...]:
        """Return the findings of one standing."""
        return tuple(one for one in self.found if one.standing is standing)


def inspect(
    table: pa.Table,
    policy: ScrubPolicy,
    declared: Mapping[str, str],
    answers: Mapping[str, str],
    detectors: Detectors,
    *,
    rng: random.Random,
    spans: Sequence[Marked] = (),
) -> Inspection:
    """Look at every column of a table.

    declared: category by column. answers: what people said, by `column/TYPE`; spans: about single spans, which counts first.
    Pseudonyms of ours are left alone.
    """
    look = _Look(replace(policy, mode=Mode.TAG), declared, answers, detectors)
    for one in spans:
        look.spans.setdefault(one.column, {}).setdefault(one.row, []).append(one)
    for name in table.column_names:
        look.at(name, table.column(name))
    names = [name.replace("_", " ") for name in table.column_names]
    told = scrub_all(names, look.policy, patterns=look.first)
    made = [one for one in canaries(rng, PLANTED) if one.type not in policy.keep]
    left = scrub_all(planted(look.sample, made, rng), look.policy, patterns=look.first)
    second = () if look.second is None else (look.second.name,)
    return Inspection(
        found=tuple(look.found),
        unread=tuple(look.unread),
        named=tuple(name for name, one in zip(table.column_names, told, strict=True) if one.spans),
        text_bytes=look.text_bytes,
        scanned_bytes=look.scanned_bytes,
        faults=tuple(dict.fromkeys(look.faults)),
        detectors=(look.first.name,),
        second=(*second, *(one.name for one in detectors.names), COLUMNS),
        canaries=len(made),
        canaries_found=len(made) - len(missed(made, [one.text for one in left])),
    )


class _Look:
    """What is gathered on the way through the columns."""

    def __init__(
        self, policy: ScrubPolicy, declared: Mapping[str, str], answers: Mapping[str, str], detectors: Detectors
    ) -> None:
        self.policy, self.declared, self.answers, self.names = policy, declared, answers, detectors.names
        self.first = detectors.patterns[policy.tier]
        self.second = detectors.patterns[Tier.STRICT] if policy.tier is Tier.DEFAULT else None
        self.spans: dict[str, dict[int, list[Marked]]] = {}
        self.found: list[Found] = []
        self.unread: list[str] = []
        self.faults: list[Fault] = []
        self.sample: list[str] = []
        self.text_bytes = self.scanned_bytes = 0

    def at(self, name: str, column: pa.ChunkedArray) -> None:
        """Look at one column."""
        if not is_scrubbable(column.type):
            if not is_plain(column.type):
                self.unread.append(name)
                self.text_bytes += column.nbytes
            self._whole(name, column, classify(name, column), ())
            return
        size = bytes_of(column)
        self.text_bytes += size
        values = coded(column)
        distinct = values.dictionary.to_pylist()
        if bool(distinct) and all(_TOKEN.fullmatch(value) for value in distinct):
            self.scanned_bytes += size
            self._add(
                Found(name, COLUMN, "user.unique_id.pseudonymous", len(column) - column.null_count, Standing.FOUND, whole=True)
            )
            return
        told = classify(name, column)
        only_tags = bool(distinct) and all(TAG.fullmatch(value) for value in distinct)
        met = self._texts(name, values, distinct, told.category if told.handling is Handling.IDENTIFIER else None)
        self.scanned_bytes += size
        self.sample = max(self.sample, distinct[:AMONG], key=lambda texts: sum(map(len, texts)))
        if not only_tags:
            self._whole(name, column, told, met)

    def _whole(self, name: str, column: pa.ChunkedArray, told: ColumnClass, met: Sequence[str]) -> None:
        """Note what the classifier says of a column, unless its values said it already."""
        rows, category = len(column) - column.null_count, told.category or ""
        if told.handling is Handling.IDENTIFIER and category not in met:
            self._add(Found(name, COLUMN, category, rows, Standing.FOUND, whole=True))
        elif told.handling is Handling.QUASI:
            self._add(Found(name, COLUMN, category, rows, Standing.QUASI))
        elif told.handling is Handling.UNKNOWN:
            self._add(Found(name, UNKNOWN, category, rows, Standing.UNKNOWN))

    def _add(self, found: Found, *, sure: bool = True) -> None:
        """Note a finding, with what the card and people say about it."""
        otherwise = found.standing if sure else Standing.DOUBTFUL
        answer = self.answers.get(found.item)
        standing = standing_of(found.category, self.declared.get(found.column), answer, otherwise)
        standing = Standing.FOUND if found.marked else standing
        self.found.append(replace(found, standing=standing))

    def _texts(self, name: str, values: pa.DictionaryArray, distinct: Sequence[str], whole: str | None) -> Sequence[str]:
        """Search each distinct value; return the categories of what was surely found. whole: the column's own category."""
        tally = _Tally(values.indices, self.spans.get(name, {}))
        for start in range(0, len(distinct), BATCH):
            for code, sure, doubtful in self._batch(distinct[start : start + BATCH], name, start):
                tally.add(code, sure, doubtful)
        tally.rest()
        for certain, counts in tally.rows.items():
            for kind, count in sorted(counts.items()):
                if count and (certain or not tally.rows[True][kind]):  # one line for each type, the surer one
                    places, category = tuple(tally.seen.get((certain, kind), ())), category_of(kind)
                    found = Found(name, kind, category, count, Standing.FOUND, places, whole=certain and category == whole)
                    self._add(replace(found, marked=tally.marked[kind]) if certain else found, sure=certain)
        return [category_of(kind) for kind, count in tally.rows[True].items() if count]

    def _batch(self, texts: Sequence[str], name: str, start: int) -> list[tuple[int, Sequence[Span], Sequence[Span]]]:
        """Return, for each text in which something is, its code, the sure and the doubtful spans."""
        first = scrub_all(texts, self.policy, patterns=self.first, hint=name)
        strict = replace(self.policy, tier=Tier.STRICT)
        try:
            names = scrub_all(texts, strict, patterns=self.second or self.first, detectors=self.names, hint=name)
        except Exception:  # noqa: BLE001 - a model may fail in any way; the version then stays in quarantine
            self.faults.append(Fault.DETECTOR)
            names = first
        out: list[tuple[int, Sequence[Span], Sequence[Span]]] = []
        for code, (sure, more) in enumerate(zip(first, names, strict=True), start):
            taken = sure.spans
            other = [span for span in more.spans if not any(span.start < one.end and one.start < span.end for one in taken)]
            if self.policy.tier is Tier.STRICT:
                taken, other = (*taken, *other), []
            if taken or other:
                out.append((code, taken, other))
        return out


def category_of(kind: str) -> str:
    """Return the category of a type; `user`, the widest, where none is known."""
    return CATEGORIES.get(kind, ("identifier", "user"))[1]


class _Tally:
    """Counts the findings of one text column: value by value, but rows about whose spans a person decided one by one."""

    def __init__(self, codes: pa.Array, decided_rows: Mapping[int, Sequence[Marked]]) -> None:
        self._numbers = codes.fill_null(-1).to_numpy(zero_copy_only=False).copy()
        self._own: dict[int, list[tuple[int, Sequence[Marked]]]] = {}
        for row, answers in decided_rows.items():
            if row < len(self._numbers):
                self._own.setdefault(int(self._numbers[row]), []).append((row, answers))
        self._numbers[[row for row in decided_rows if row < len(self._numbers)]] = -1
        values, counts = np.unique(self._numbers, return_counts=True)
        self._occurs = dict(zip(values.tolist(), counts.tolist(), strict=True))
        self.rows: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self.marked: Counter[str] = Counter()
        self.seen: dict[tuple[bool, str], list[Place]] = {}

    def add(self, code: int, sure: Sequence[Span], doubtful: Sequence[Span]) -> None:
        """Count what was found in a value, in all rows that hold it."""
        for row, answers in self._own.pop(code, []):
            self._row(row, answers, sure, doubtful)
        if many := self._occurs.get(code, 0):
            self._count(many, lambda: int(np.argmax(self._numbers == code)), sure, doubtful)

    def rest(self) -> None:
        """Count the rows with answers in whose values nothing was found."""
        for row, answers in [one for rows in self._own.values() for one in rows]:
            self._row(row, answers, (), ())
        self._own = {}

    def _row(self, row: int, answers: Sequence[Marked], sure: Sequence[Span], doubtful: Sequence[Span]) -> None:
        personal = forced(answers)
        left = [
            span
            for span in decided(doubtful, answers)
            if not any(one.start < span.end and span.start < one.end for one in personal)
        ]
        self._count(1, lambda: row, (*decided(sure, answers), *personal), left)
        for kind in {one.type for one in personal}:
            self.marked[kind] += 1

    def _count(self, many: int, row: Callable[[], int], sure: Sequence[Span], doubtful: Sequence[Span]) -> None:
        for certain, spans in ((True, sure), (False, doubtful)):
            for kind in {span.type for span in spans}:
                self.rows[certain][kind] += many
            for span in spans:
                if len(known := self.seen.setdefault((certain, span.type), [])) < SHOWN:
                    known.append(Place(row(), span.start, span.end))
