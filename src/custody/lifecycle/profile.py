"""The profile of a dataset version: one mergeable summary per column, read by drift and by people."""

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
from custody.lifecycle.rows import columns_of
from custody.lifecycle.scan import cleared
from custody.lifecycle.stores import Caller, Ports

SHOWN = 5


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column in short: rows and missing values as counts, quantiles of a number in its unit, top levels as shares 0..1."""

    column: str
    rows: int
    missing: int
    quantiles: tuple[float, ...] = ()
    top: tuple[tuple[str, float], ...] = ()


def profile(ports: Ports, caller: Caller, ref: DatasetRef) -> tuple[ColumnProfile, ...]:
    """Read a version's profile: quantiles 0, 0.25, 0.5, 0.75 and 1 of numbers, the most frequent levels of categories.

    Levels are values of rows, so Denied unless a scan cleared the version.
    """
    caller.may(Role.CONTRIBUTOR)
    shelf = ports.stores.of(caller.tenant)
    body = ports.stores.objects.get(shelf.datasets.get(ref).profile)
    cleared(shelf, ref)
    return tuple(_in_short(column) for column in Summary.from_json(msgspec.json.decode(body)).columns)


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
