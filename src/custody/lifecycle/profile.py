"""The profile of a dataset version: one mergeable summary per column, read by drift and by people.

Single values (the smallest, the largest, a rare level) are shown to who may see rows, and the ledger says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from custody.core.measures.spec import Kind, spec_of
from custody.core.measures.summary import ColumnSummary, Summary, summarise
from custody.core.refs import DatasetRef
from custody.core.tenancy import Role
from custody.lifecycle.access import access
from custody.lifecycle.rows import columns_of
from custody.lifecycle.scan import cleared
from custody.lifecycle.stores import Caller, Ports

SHOWN = 5
LEAST = 5  # rows behind a figure that is shown to those who see no rows
HIDDEN = f"the smallest and largest value, and levels of fewer than {LEAST} rows, need a key that sees rows"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column in short: rows and missing values as counts, quantiles of a number in its unit, top levels as shares 0..1.

    hidden: what this caller is not shown; empty for who may see rows. missing: None where fewer than 5 rows are.
    """

    column: str
    rows: int
    missing: int | None
    quantiles: tuple[float, ...] = ()
    top: tuple[tuple[str, float], ...] = ()
    hidden: str = ""


def profile(ports: Ports, caller: Caller, ref: DatasetRef) -> tuple[ColumnProfile, ...]:
    """Read a version's profile: quantiles 0, 0.25, 0.5, 0.75 and 1 of numbers, the most frequent levels of categories.

    Levels are values of rows, so Denied unless a scan cleared the version. Who may see no rows gets what at least 5 rows stand
    behind: the three inner quantiles and the frequent levels.
    """
    caller.may(Role.VIEWER)
    shelf = ports.stores.of(caller.tenant)
    body = ports.stores.objects.get(shelf.datasets.get(ref).standing().profile)
    cleared(shelf, ref)
    columns = Summary.from_json(msgspec.json.decode(body)).columns
    if not caller.actor.sees_rows:
        return tuple(_aggregated(column) for column in columns)
    access(ports, caller, str(ref), {"profile": str(ref)}, rows=max((one.rows for one in columns), default=0), purpose="profile")
    return tuple(_in_short(column) for column in columns)


def _aggregated(column: ColumnSummary) -> ColumnProfile:
    """Leave out what stands for fewer than 5 rows."""
    full, known = _in_short(column), column.rows - column.null - column.nan
    missing = full.missing if full.missing is None or not 0 < full.missing < LEAST else None
    inner = full.quantiles[1:-1] if known >= LEAST * (len(full.quantiles) - 1) else ()
    top = tuple((level, share) for level, share in full.top if round(share * column.rows) >= LEAST)
    return ColumnProfile(full.column, full.rows, missing, inner, top, HIDDEN)


def _in_short(column: ColumnSummary) -> ColumnProfile:
    name, missing = column.spec.column, column.null + column.nan
    if column.spec.kind is Kind.NUMBER:
        found = [column.quantile(q) for q in (0.0, 0.25, 0.5, 0.75, 1.0)]
        return ColumnProfile(name, column.rows, missing, tuple(_rounded(q, column) for q in found if q is not None))
    levels = (*column.spec.levels, "(other)", "(unseen)")
    best = np.argsort(-column.counts, kind="stable")[:SHOWN]
    top = tuple((levels[column.keys[i]], float(column.counts[i] / max(column.rows, 1))) for i in best)
    return ColumnProfile(name, column.rows, missing, (), top)


def _rounded(value: float, column: ColumnSummary) -> float:
    """Round to what a bucket can tell: 1/256 of the distance from the centre of the grid."""
    resolution = max(abs(value - column.spec.center), column.spec.scale) / 256
    return round(value, max(0, floor(-log10(resolution)))) + 0.0


def summary_of(columns: Mapping[str, Sequence[Any]]) -> Summary:
    """Summarise a reference: its values fix how each column is counted from then on."""
    specs = tuple(spec for name, values in columns.items() for spec in spec_of(name, values))
    return summarise(columns, specs)


def profile_of(table: pa.Table) -> bytes:
    """Summarise every column of a table as JSON."""
    return msgspec.json.encode(summary_of(columns_of(table)).to_json())
