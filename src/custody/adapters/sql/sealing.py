"""Seals the texts of people that a database held before its project sealed, once."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, delete, insert, select, tuple_, update

from custody.adapters.sql.engine import Engines, begin_alone
from custody.adapters.sql.failure import translated
from custody.adapters.sql.nouns.labels import is_id
from custody.adapters.sql.nouns.monitors import is_telling
from custody.adapters.sql.residue import scrub
from custody.adapters.sql.tables import SEALED, labels, monitor_states, sealings
from custody.core.errors import Denied, Unavailable
from custody.core.keys import Texts
from custody.core.tenancy import TenantId

BEGUN, DONE = 0, 1
_MANY = 1000  # rows in one transaction: others write in between
log = logging.getLogger("custody.worker")


def seal_old(engines: Engines, texts: Texts) -> None:
    """Seal what stands plainly in the columns of people's texts, unless that was done; then give the old pages back to the disk.

    Killed midway, or where the pages cannot be given back now, it goes on when the project is opened again. Where a project stops
    sealing, it is remembered that there may be plain texts again.
    """
    with translated():
        with engines.read.connect() as connection:
            state = connection.execute(select(sealings.c.version)).scalar()
        if state == (DONE if texts.seals else None):
            return
        _mark(engines, BEGUN if texts.seals else None)
        if not texts.seals:
            return
        changed = sum(_seal_page(engines, texts, column, page) for column in SEALED for page in _pages(engines, column))
    if changed or state == BEGUN:
        try:
            scrub(engines)
        except Unavailable as error:
            log.warning("plain texts may still stand in old pages of the database, until the project is opened again: %s", error)
            return
    with translated():
        _mark(engines, DONE)


def _mark(engines: Engines, state: int | None) -> None:
    with engines.write.begin() as connection:
        begin_alone(connection)
        connection.execute(delete(sealings))
        if state is not None:
            connection.execute(insert(sealings).values(version=state))


def _table(column: Column[Any]) -> Table:
    assert isinstance(column.table, Table)
    return column.table


def _pages(engines: Engines, column: Column[Any]) -> Iterator[Sequence[Row[Any]]]:
    """Return the keys of a table's rows, some at a time, by their order."""
    key, after = [*_table(column).primary_key.columns], None
    while True:
        query = select(*key).order_by(*key).limit(_MANY)
        with engines.read.connect() as connection:
            page = connection.execute(query if after is None else query.where(tuple_(*key) > tuple(after))).all()
        if not page:
            return
        yield page
        after = page[-1]


def _seal_page(engines: Engines, texts: Texts, column: Column[Any], page: Sequence[Row[Any]]) -> int:
    key, changed = [*_table(column).primary_key.columns], 0
    with engines.write.begin() as connection:
        begin_alone(connection)
        rows = connection.execute(select(*key, column.label("plain")).where(tuple_(*key).in_([tuple(one) for one in page]))).all()
        for row in rows:
            changed += _seal_row(connection, texts, column, row)
    return changed


def _seal_row(connection: Connection, texts: Texts, column: Column[Any], row: Row[*tuple[Any, ...]]) -> bool:
    table, plain = _table(column), row.plain
    if (table is labels and is_id(plain)) or (table is monitor_states and not is_telling(plain)):
        return False
    try:
        opened = texts.open(TenantId(row.tenant), str(column), plain)
        sealed = texts.seal(TenantId(row.tenant), str(column), opened)
    except Denied:  # a tenant whose keys are destroyed: what stands there stays as it is
        return False
    if sealed == plain:
        return False
    mine = [one == value for one, value in zip(table.primary_key.columns, row, strict=False)]
    connection.execute(update(table).where(*mine).values({column: sealed}))
    return True
