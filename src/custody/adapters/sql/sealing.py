"""Seals the texts of people that a database held before its project sealed, once."""

from typing import Any

from sqlalchemy import Column, Connection, Table, delete, insert, select, update

from custody.adapters.sql.engine import Engines, begin_alone
from custody.adapters.sql.failure import translated
from custody.adapters.sql.nouns.labels import is_id
from custody.adapters.sql.nouns.monitors import is_telling
from custody.adapters.sql.residue import scrub
from custody.adapters.sql.tables import SEALED, labels, monitor_states, sealings
from custody.core.errors import Denied
from custody.core.keys import Texts
from custody.core.tenancy import TenantId

VERSION = 1


def seal_old(engines: Engines, texts: Texts) -> None:
    """Seal what stands plainly in the columns of people's texts, unless that was done; then give the old pages back to the disk.

    Where a project stops sealing, it is remembered that there may be plain texts again.
    """
    with translated():
        with engines.read.connect() as connection:
            done = connection.execute(select(sealings.c.version)).first() is not None
        if done == texts.seals:
            return
        with engines.write.begin() as connection:
            begin_alone(connection)
            connection.execute(delete(sealings))
            changed = 0
            if texts.seals:
                connection.execute(insert(sealings).values(version=VERSION))
                changed = sum(_seal_column(connection, texts, column) for column in SEALED)
    if changed:
        scrub(engines)


def _seal_column(connection: Connection, texts: Texts, column: Column[Any]) -> int:
    table = column.table
    assert isinstance(table, Table)
    key, changed = [*table.primary_key.columns], 0
    for row in connection.execute(select(*key, column.label("plain"))).all():
        plain = row.plain
        if (column.table is labels and is_id(plain)) or (column.table is monitor_states and not is_telling(plain)):
            continue
        try:
            opened = texts.open(TenantId(row.tenant), str(column), plain)
            sealed = texts.seal(TenantId(row.tenant), str(column), opened)
        except Denied:  # a tenant whose keys are destroyed: what stands there stays as it is
            continue
        if sealed != plain:
            mine = [one == value for one, value in zip(key, row, strict=False)]
            connection.execute(update(table).where(*mine).values({column: sealed}))
            changed += 1
    return changed
