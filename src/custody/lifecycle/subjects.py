"""People in rows: under which tokens they stand in the index, in which versions, and which rows are theirs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from custody.core.errors import Conflict, InvalidInput
from custody.core.refs import DatasetRef
from custody.core.tenancy import TenantId
from custody.data.dataset import DatasetVersion
from custody.lifecycle.captured import INPUT
from custody.lifecycle.rows import spoken
from custody.lifecycle.stores import Change, Ports, Shelf
from custody.privacy.pseudonym import PseudonymKey, is_token, tokens

Tokens = Callable[[object], str]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def tokens_for(ports: Ports, tenant: TenantId) -> Tokens:
    """Return a function from a person's name in the data to the token under the tenant's key; values agree as in joins.

    A pseudonym that a scrubbing put in place of the name gives the same token as the name.
    """
    token = tokens(PseudonymKey(tenant, "subject", ports.keys.index(tenant)))
    pseudonym = tokens(ports.pseudonyms.of(tenant))

    def token_of_value(value: object) -> str:
        text = spoken(value)
        return token(text if is_token(text) else pseudonym(text, ""), "")

    return token_of_value


def token_of(ports: Ports, tenant: TenantId, subject: str) -> str:
    """Return the token of one person; InvalidInput for a blank name."""
    if not subject.strip():
        raise InvalidInput("That names nobody.", fix="Give the value that names the person in the subject column.")
    return tokens_for(ports, tenant)(subject)


def people_in(column: pa.ChunkedArray, token: Tokens) -> dict[str, list[Any]]:
    """Return the values of a column by token; nulls, and numbers that are none, name nobody."""
    found: dict[str, list[Any]] = {}
    for value in column.unique().to_pylist():
        if value is not None and value == value:  # noqa: PLR0124 - NaN is not
            found.setdefault(token(value), []).append(value)
    return found


def index_parts(parts: Sequence[pa.Table], columns: Sequence[str], token: Tokens) -> list[set[str]]:
    """Return the tokens of each part of a version; none without columns that name people."""
    return [{one for name in columns for one in people_in(part.column(name), token)} for part in parts if columns]


def check_nobody_erased(change: Change, parts: Sequence[set[str]]) -> None:
    """Refuse rows of a person who was erased while they were on their way in."""
    if any(parts) and change.subjects.any_erased() and change.subjects.erased(set().union(*parts)):
        raise Conflict("A person in these rows was erased just now.", fix="Add the file again: the person's rows are left out.")


def mask(column: pa.ChunkedArray, token: Tokens, wanted: set[str]) -> Mask:
    """Tell which rows name one of the wanted people: shape (n,)."""
    names = {name for one, values in people_in(column, token).items() if one in wanted for name in values}
    if not names:
        return np.zeros(len(column), dtype=bool)
    return np.array([value in names for value in column.to_pylist()], dtype=bool)


def rows_of(table: pa.Table, columns: Sequence[str], token: Tokens, wanted: set[str]) -> Mask:
    """Tell which rows are about one of the wanted people, whichever column names them: shape (n,)."""
    found = np.zeros(table.num_rows, dtype=bool)
    for name in columns:
        found |= mask(table.column(name), token, wanted)
    return found


def without_erased(ports: Ports, tenant: TenantId, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Leave out the rows of people who were erased: what comes back in an old file is not stored again."""
    shelf = ports.stores.of(tenant)
    if not columns or not shelf.subjects.any_erased():
        return table
    token = tokens_for(ports, tenant)
    gone = shelf.subjects.erased(set().union(*index_parts([table], columns, token)))
    return table.filter(pa.array(~rows_of(table, columns, token, gone))) if gone else table


def captured_mask(table: pa.Table, token: Tokens, wanted: Callable[[Mapping[str, Any]], set[str]]) -> Mask:
    """Tell which captured rows name a wanted person, by the caller's key or as the whole value of a text input."""
    names = ["key", *(f.name for f in table.schema if f.name.startswith(INPUT) and pa.types.is_string(f.type))]
    found = np.zeros(table.num_rows, dtype=bool)
    for name in names:
        if name in table.column_names:
            people = people_in(table.column(name), token)
            if gone := wanted(people):
                found |= mask(table.column(name), token, gone)
    return found


def captured_without_erased(ports: Ports, tenant: TenantId, table: pa.Table) -> pa.Table:
    """Leave out captured rows of people who were erased."""
    shelf = ports.stores.of(tenant)
    if not shelf.subjects.any_erased():
        return table
    found = captured_mask(table, tokens_for(ports, tenant), shelf.subjects.erased)
    return table.filter(pa.array(~found)) if found.any() else table


def raw_parts(ports: Ports, version: DatasetVersion, tenant: TenantId) -> Iterator[pa.Table]:
    """Read a version's parts even while it is being erased."""
    objects = ports.stores.objects.of(tenant)
    return (ports.tables.from_parquet(objects.get(part.object)) for part in version.parts)


def index_old(ports: Ports, caller_change: Callable[[], Any], tenant: TenantId) -> int:
    """Index the versions that were stored before there was an index, and return how many."""
    shelf, token = ports.stores.of(tenant), tokens_for(ports, tenant)
    refs = shelf.datasets.unindexed()
    for ref in refs:
        version = shelf.datasets.get(ref)
        parts = index_parts(list(raw_parts(ports, version, tenant)), version.subject_columns, token) if version.parts else []
        with caller_change() as change:
            change.subjects.index(ref, parts)
    return len(refs)


def like(columns: Mapping[str, Sequence[Any]], people: Sequence[pa.Table]) -> Mask:
    """Tell which rows of columns equal a person's row in every column that both have: shape (n,).

    For copies that do not say whose they are: fixtures, golden cases, derived versions. Somebody else's row with exactly
    the same values goes too.
    """
    n = len(next(iter(columns.values()), ()))
    found = np.zeros(n, dtype=bool)
    for table in people:
        shared = [name for name in columns if name in table.column_names]
        if shared:
            theirs = set(zip(*([_plain(v) for v in table.column(name).to_pylist()] for name in shared), strict=True))
            rows = zip(*([_plain(v) for v in columns[name]] for name in shared), strict=True)
            found |= np.array([row in theirs for row in rows], dtype=bool)
    return found


def _plain(value: object) -> object:
    """Write a value so that the same number agrees in single and double precision, as integer and as float."""
    if isinstance(value, float | int | bool | np.number):
        return float(np.float32(value))
    return "" if value is None else str(value)


def standing(shelf: Shelf, ref: DatasetRef) -> DatasetVersion:
    """Return a version, or what is left of it after erasures: for watching and retraining, never for reproducing a run."""
    version = shelf.datasets.get(ref)
    while version.replaced_by is not None:
        version = shelf.datasets.get(version.replaced_by)
    return version
