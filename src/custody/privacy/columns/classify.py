"""What a column holds, judged by its name, its type and its distinct values; a column nobody understands is not safe."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from custody.privacy.columns.words import CATEGORIES, NAME_WORDS
from custody.privacy.detect import PatternDetector
from custody.privacy.patterns.pattern import Tier

SAMPLE = 400  # distinct values that are looked at, spread over the column
FEW = 50  # distinct values up to which a column can be a list of choices
WHOLE = 0.8  # share of a value's letters and digits that one finding must cover
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9\u0080-\U0010ffff]+")


class Handling(StrEnum):
    """What a column needs before its rows may be used.

    safe: nothing personal was seen or named. scan: text, to be scrubbed value by value. identifier: to be dropped or pseudonymised.
    quasi: tells people apart together with others, see k-anonymity. unknown: not understood, so the data stays quarantined.
    """

    SAFE = "safe"
    SCAN = "scan"
    IDENTIFIER = "identifier"
    QUASI = "quasi"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ColumnClass:
    """A column's category and why.

    category: a fideslang key, None if unknown. confidence: 0..1, of name and values together; judged, not calibrated.
    seen: share of the sampled values that the category's type matches. reason: one sentence without any value.
    """

    column: str
    handling: Handling
    category: str | None
    confidence: float
    seen: float
    reason: str


def classify_columns(table: pa.Table) -> tuple[ColumnClass, ...]:
    """Classify every column of a table."""
    return tuple(classify(name, table.column(name)) for name in table.column_names)


def classify(name: str, column: pa.ChunkedArray) -> ColumnClass:
    """Classify one column; values decide where they speak, the name decides where they cannot.

    A sample can miss rare personal data: text that is not classed safe must still be scanned in full.
    """
    named = _named(name)
    kind = column.type
    if pa.types.is_null(kind) or column.null_count == len(column):
        return ColumnClass(name, Handling.SAFE, "system.operations", 1.0, 0.0, "It is empty.")
    if pa.types.is_boolean(kind):
        return _told(name, named, ColumnClass(name, Handling.SAFE, "system.operations", 0.9, 0.0, "It is true or false."))
    if pa.types.is_temporal(kind):
        return _told(
            name, named, ColumnClass(name, Handling.QUASI, "user.behavior", 0.5, 0.0, "It holds times, of what is not said.")
        )
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _told(name, named, ColumnClass(name, Handling.SAFE, "system.operations", 0.8, 0.0, "It holds measured numbers."))
    values = _sample(column)
    if values is None:
        return ColumnClass(name, Handling.UNKNOWN, None, 0.0, 0.0, f"Nobody reads a column of type {kind}.")
    if pa.types.is_integer(kind):
        return _integers(name, named, values)
    return _texts(name, named, values, column)


def _named(name: str) -> str | None:
    """Return the type that a name's words tell, the longest phrase first; None if they tell nothing."""
    words = " ".join(word.lower() for word in _CAMEL.split(name) if word)
    for phrase, kind in NAME_WORDS:
        if re.search(rf"(?<![^\W_]){re.escape(phrase)}s?(?![^\W_])", words):
            return kind
    return None


def _told(name: str, named: str | None, otherwise: ColumnClass) -> ColumnClass:
    """Return what the name tells if it tells anything."""
    if named is None:
        return otherwise
    handling, category = CATEGORIES[named]
    return ColumnClass(name, Handling(handling), category, 0.7, 0.0, f"Its name speaks of {_said(named)}.")


def _said(kind: str) -> str:
    return kind.lower().replace("_", " ")


def _sample(column: pa.ChunkedArray) -> list[str] | None:
    """Return up to SAMPLE distinct values as text, evenly spread; None if the type has no text form."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_integer(kind)
    ):
        return None
    distinct: list[str] = pc.unique(column.cast(pa.large_string())).drop_null().to_pylist()
    step = max(1, len(distinct) // SAMPLE)
    return distinct[::step][:SAMPLE]


def _matches(values: Sequence[str], name: str, tier: Tier) -> Counter[str]:
    """Count, by type, the values that are a finding as a whole."""
    counts: Counter[str] = Counter()
    for value, found in zip(values, PatternDetector(tier).find(values, hint=name), strict=True):
        size = sum(char.isalnum() for char in value)
        covering = {one.type for one in found if sum(c.isalnum() for c in value[one.start : one.end]) >= max(1.0, WHOLE * size)}
        counts.update(covering)
    return counts


def _integers(name: str, named: str | None, values: Sequence[str]) -> ColumnClass:
    """Judge whole numbers: some are cards, telephone or national numbers that lost their form."""
    if named:
        return _told(name, named, ColumnClass(name, Handling.UNKNOWN, None, 0, 0, ""))
    counts = _matches(values, name, Tier.DEFAULT)
    best = max(counts, key=lambda kind: counts[kind], default=None)
    if best and counts[best] >= 0.9 * len(values) and len(values) >= 5:
        handling, category = CATEGORIES[best]
        return ColumnClass(
            name, Handling(handling), category, 0.8, counts[best] / len(values), f"Its numbers pass as {_said(best)}."
        )
    if max(len(value.lstrip("-")) for value in values) <= 6:
        return ColumnClass(name, Handling.SAFE, "system.operations", 0.7, 0.0, "It holds small whole numbers.")
    return ColumnClass(name, Handling.UNKNOWN, None, 0.0, 0.0, "It holds long whole numbers that could name people.")


def _texts(name: str, named: str | None, values: Sequence[str], column: pa.ChunkedArray) -> ColumnClass:
    """Judge text: one type throughout, sentences, a list of choices, or nothing that is understood."""
    counts = _matches(values, name, Tier.DEFAULT)
    best = max(counts, key=lambda kind: counts[kind], default=None)
    share = counts[best] / len(values) if best else 0.0
    if best and share >= 0.6:
        handling, category = CATEGORIES[best]
        sure = min(0.99, 0.9 * share + (0.09 if named == best else 0.0))
        return ColumnClass(name, Handling(handling), category, sure, share, f"{share:.0%} of its values are {_said(best)}.")
    if named and CATEGORIES[named][0] != Handling.SAFE:  # a harmless name does not make text harmless
        return _told(name, named, ColumnClass(name, Handling.UNKNOWN, None, 0, 0, ""))
    if _words(values) >= 4:
        return ColumnClass(name, Handling.SCAN, "user.content", 0.8, share, "It holds sentences.")
    distinct = pc.count_distinct(column).as_py()
    repeated = distinct <= FEW and len(column) >= 10 * distinct
    if repeated and not counts:
        return ColumnClass(
            name, Handling.SAFE, "system.operations", 0.6, 0.0, "It repeats a few values, none of which looks personal."
        )
    return ColumnClass(name, Handling.UNKNOWN, None, 0.0, share, "Neither its name nor its values say what it holds.")


def _words(values: Sequence[str]) -> float:
    return sum(len(value.split()) for value in values) / max(1, len(values))


def unsafe(classes: Sequence[ColumnClass], declared: Mapping[str, Handling]) -> tuple[str, ...]:
    """Return the columns that nobody understood and nobody declared; each keeps the data in quarantine."""
    return tuple(one.column for one in classes if declared.get(one.column, one.handling) is Handling.UNKNOWN)
