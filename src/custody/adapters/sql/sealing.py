"""Seals the texts of people that a database held before its project sealed, once."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, RowMapping, Table, delete, insert, select, tuple_, update

from custody.adapters.sql.engine import Engines, begin_alone
from custody.adapters.sql.failure import translated
from custody.adapters.sql.nouns.labels import is_id
from custody.adapters.sql.nouns.monitors import is_telling
from custody.adapters.sql.residue import scrub
from custody.adapters.sql.tables import SEALED, labels, monitor_states, sealings
from custody.core.errors import Denied, Unavailable
from custody.core.keys import MARK, Texts
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
        _begin(engines, sealing=texts.seals)
        if not texts.seals:
            return
        for column in SEALED:
            for page in _pages(engines, column):
                _seal_page(engines, texts, column, page)
        try:
            _scrub_used(engines)
        except Unavailable as error:
            log.warning("plain texts may still stand in old pages of the database, until the project is opened again: %s", error)
            return
        with engines.write.begin() as connection:  # unless another process said meanwhile that there are plain texts again
            connection.execute(update(sealings).where(sealings.c.version == BEGUN).values(version=DONE))


def _begin(engines: Engines, *, sealing: bool) -> None:
    with engines.write.begin() as connection:
        begin_alone(connection)
        connection.execute(delete(sealings))
        if sealing:
            connection.execute(insert(sealings).values(version=BEGUN))


def _scrub_used(engines: Engines) -> None:
    """Give old pages back, whoever sealed what stood there; a database that holds nothing yet has none."""
    with engines.read.connect() as connection:
        used = any(connection.execute(select(column).limit(1)).first() for column in SEALED)
    if used:
        scrub(engines)


def _table(column: Column[Any]) -> Table:
    assert isinstance(column.table, Table)
    return column.table


def _pages(engines: Engines, column: Column[Any]) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """Return the keys of rows that are not sealed, some at a time, by their order."""
    key, after = [*_table(column).primary_key.columns], None
    while True:
        query = select(*key, column.label("plain")).where(~column.startswith(MARK, autoescape=True)).order_by(*key).limit(_MANY)
        with engines.read.connect() as connection:
            page = connection.execute(query if after is None else query.where(tuple_(*key) > tuple(after))).all()
        if not page:
            return
        yield [row for row in page if _tells(column, row.plain)]
        after = page[-1][: len(key)]


def _tells(column: Column[Any], plain: str) -> bool:
    """Tell whether a text may tell of a person."""
    if column.table is labels:
        return not is_id(plain)
    return column.table is not monitor_states or is_telling(plain)


def _seal_page(engines: Engines, texts: Texts, column: Column[Any], page: Sequence[Row[*tuple[Any, ...]]]) -> None:
    if not page:
        return
    key = [*_table(column).primary_key.columns]
    wanted = tuple_(*key).in_([tuple(row)[: len(key)] for row in page])
    with engines.write.begin() as connection:
        begin_alone(connection)
        for row in connection.execute(select(*_table(column).c).where(wanted)).mappings().all():
            _seal_row(connection, texts, column, row)


def _seal_row(connection: Connection, texts: Texts, column: Column[Any], found: RowMapping) -> None:
    table = _table(column)
    try:
        sealed = texts.seal(TenantId(found["tenant"]), str(column), found[column])
    except Denied:  # a tenant whose keys are destroyed: what stands there stays as it is
        return
    mine = [one == found[one] for one in table.primary_key.columns]
    if (
        table is labels and (twin := _twin(connection, found, sealed)) is not None
    ):  # an older process wrote it beside a sealing one
        older = (found[labels.c.received_at], found[labels.c.line]) <= (twin.received_at, twin.line)
        connection.execute(delete(labels).where(*(mine if older else _at(found, sealed))))
        if older:
            return
    connection.execute(update(table).where(*mine).values({column: sealed}))


def _twin(connection: Connection, found: RowMapping, sealed: str) -> Row[*tuple[Any, ...]] | None:
    return connection.execute(select(labels).where(*_at(found, sealed))).first()


def _at(found: RowMapping, sealed: str) -> list[ColumnElement[bool]]:
    """Return what finds the row that a label has, or gets, when its name is sealed."""
    return [one == (sealed if one is labels.c.prediction else found[one]) for one in labels.primary_key.columns]
