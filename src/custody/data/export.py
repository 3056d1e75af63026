"""An export: rows that leave under a name, with a purpose, a mark and an end."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from math import sqrt
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from custody.core.page import Page
from custody.core.refs import DatasetRef


@dataclass(frozen=True, slots=True)
class Export:
    """Who may take which rows, why, and until when. columns: empty for all. recipient: who gets the file."""

    name: str
    id: str
    dataset: DatasetRef
    purpose: str
    recipient: str
    actor: str
    created_at: datetime
    expires_at: datetime
    columns: tuple[str, ...] = ()
    version: int = 1


class Exports(Protocol):
    """One tenant's exports of rows."""

    def get(self, name: str) -> Export:
        """Return an export; NotFound names close ones."""
        ...

    def has(self, name: str) -> bool:
        """Tell whether a name is taken."""
        ...

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Export]:
        """List exports, newest first."""
        ...

    def add(self, export: Export) -> None:
        """Store an export whose name is not taken."""
        ...


def ranks(table: pa.Table, key: bytes) -> NDArray[np.uint64]:
    """Return where each row stands in an export's own order: a keyed hash of its content, shape (n,).

    Without the key the order looks like any other. Equal rows have equal ranks. Source: RFC 7693, keyed mode.
    """
    columns = [pc.fill_null(table.column(name).cast(pa.string()), "\x00") for name in sorted(table.column_names)]
    joined = pc.binary_join_element_wise(*columns, "\x1f").to_pylist() if columns else []
    hashes = (int.from_bytes(blake2b(text.encode(), key=key, digest_size=8).digest()) for text in joined)
    return np.fromiter(hashes, dtype=np.uint64, count=len(joined))


def marked(table: pa.Table, key: bytes) -> pa.Table:
    """Put rows into an export's own order; nothing else about them changes."""
    return table.take(pa.array(np.argsort(ranks(table, key), kind="stable")))


@dataclass(frozen=True, slots=True)
class Match:
    """How well a file's order agrees with one export's: share of neighbours in order, 0..1, and how surely that is no chance.

    sigma: standard deviations above what an unrelated order shows; above 5 it happens by chance once in 3 million.
    """

    export: str
    rows: int
    in_order: float
    sigma: float


def match(table: pa.Table, key: bytes, name: str) -> Match:
    """Compare the order of rows with an export's; rows may be missing or added, their content and order must have survived.

    In a random order of n rows, the number of ascents has the mean (n - 1) / 2 and the variance (n + 1) / 12.
    Source: David and Barton 1962, Combinatorial Chance, chapter 10 (Eulerian numbers).
    """
    found = ranks(table, key)
    found = found[np.concatenate([[True], found[1:] != found[:-1]])] if len(found) else found
    n = len(found)
    if n < 2:
        return Match(name, n, 0.0, 0.0)
    ascents = int((found[1:] > found[:-1]).sum())
    return Match(name, n, ascents / (n - 1), (ascents - (n - 1) / 2) / sqrt((n + 1) / 12))
