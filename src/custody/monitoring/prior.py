"""Label drift: the shares of labels as they arrive, watched by the same detector as any column."""

from collections.abc import Mapping

import numpy as np

from custody.core.errors import InvalidInput
from custody.core.measures.spec import KEPT_LEVELS, KNOWN_LEVELS, Kind, Spec, crc
from custody.core.measures.summary import ColumnSummary, Summary

LABEL = "label"


def label_spec(counts: Mapping[str, int], *, column: str = LABEL) -> Spec:
    """Fix how labels are counted, from the reference's rows per label: always a category, most frequent label first.

    Raises: InvalidInput if there is no label, or a count is negative.
    """
    if not counts or min(counts.values()) < 0:
        raise InvalidInput("Labels are given as rows per label, 0 or more, and at least one label.")
    ranked = sorted(counts, key=lambda level: (-counts[level], level))
    known = tuple(sorted({crc(level) for level in ranked[KEPT_LEVELS:KNOWN_LEVELS]}))
    once = sum(count == 1 for count in counts.values())
    return Spec(column, Kind.CATEGORY, column, levels=tuple(ranked[:KEPT_LEVELS]), known=known, once=once)


def label_summary(counts: Mapping[str, int], spec: Spec) -> Summary:
    """Summarise labels that arrived, rows per label, by the reference's spec: a batch of one column for `look`.

    Labels must be of a random sample of predictions, or of all: where one label is answered more often or sooner than
    another, the shares of what arrived move although the world does not.

    >>> reference = {"no": 900, "yes": 100}
    >>> label_summary({"yes": 3, "maybe": 1}, label_spec(reference)).rows
    4
    """
    table, known = np.zeros(len(spec.levels) + 2, dtype=np.int64), frozenset(spec.known)
    places = {level: place for place, level in enumerate(spec.levels)}
    for level, count in counts.items():
        table[places.get(level, len(places) + (crc(level) not in known))] += count
    keys = np.flatnonzero(table > 0)
    return Summary((ColumnSummary(spec, keys, table[keys]),))
