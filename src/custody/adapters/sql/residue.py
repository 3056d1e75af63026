"""What a database keeps of deleted rows: how it is given back to the disk, and how one looks for it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import Text

from custody.adapters.sql.engine import Engines
from custody.adapters.sql.failure import translated
from custody.adapters.sql.tables import SEALED, metadata
from custody.core.errors import Denied, Unavailable
from custody.core.keys import Texts
from custody.core.tenancy import TenantId
from custody.privacy.erasure.spelling import spellings

_NOT_ALLOWED, _LOCKED = "42501", "55P03"  # PostgreSQL's codes
_MANY = 1000  # rows in memory at once
_OPENABLE = frozenset(SEALED)

_HELD_ROWS = (
    "datasets",
    "runs",
    "models",
    "golden_sets",
    "captures",
    "labels",
    "draws",
    "monitor_states",
    "subject_rows",
    "alerts",
)


def scrub(engines: Engines) -> None:
    """Rewrite the files that held deleted rows.

    SQLite: VACUUM, then the write-ahead log is emptied. PostgreSQL: VACUUM FULL of the tables that held rows of people, new
    statistics in place of those that quote values, and, where this role may, a checkpoint and a new segment of the log.
    Its old segments, archives, replicas and base backups keep pages until they expire.
    """
    with translated():
        if engines.write.dialect.name == "sqlite":
            _scrub_sqlite(engines)
            return
        with engines.write.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for name in _HELD_ROWS:
                connection.execute(text(f'vacuum (full, analyze) "{name}"'))
            for statement in ("vacuum full pg_statistic", "checkpoint", "select pg_switch_wal()"):
                _where_allowed(connection, statement)


def _where_allowed(connection: Connection, statement: str) -> None:
    """Run a statement that only some roles may run, or that waits for a lock on a catalogue; without it more is left to expiry."""
    try:
        connection.execute(text(statement))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in {_NOT_ALLOWED, _LOCKED}:
            raise


def _scrub_sqlite(engines: Engines) -> None:
    engines.read.dispose()  # this process's readers: an old snapshot keeps the log from being emptied
    raw = engines.write.raw_connection()
    try:
        driver = raw.driver_connection
        assert driver is not None
        driver.execute("vacuum")
        busy = driver.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise Unavailable(
            f"The database's old pages could not be given back: {error}.",
            why="Another process writes, or the disk has no room for a second copy of the database, which this takes for a while.",
            fix="Make room, and do it again in a moment: it goes on where it stopped.",
        ) from error
    finally:
        raw.close()
    if busy:
        raise Unavailable(
            "The database's log could not be emptied.",
            why="Another process is reading an older state of it.",
            fix="Erase again in a moment: it goes on where it stopped.",
        )


def holds(engines: Engines, texts: Texts, needle: str) -> int:
    """Return in how many columns and, for SQLite, files a text still stands, in any spelling; sealed columns are opened.

    Rows are searched here and not by the database: what a statement looks for may end in a server's log.
    """
    wanted = spellings(needle)
    with translated(), engines.read.connect() as connection:
        found = sum(_hits(connection, texts, table, wanted) for table in metadata.sorted_tables if _texts_in(table))
    return found + sum(any(one in body for one in wanted) for body in (path.read_bytes() for path in files_of(engines)))


def _hits(connection: Connection, texts: Texts, table: Table, wanted: Sequence[bytes]) -> int:
    columns = _texts_in(table)
    hit: set[str] = set()
    for row in connection.execution_options(yield_per=_MANY).execute(select(*columns)):
        for column, value in zip(columns, row, strict=True):
            if value is not None and column.name not in hit:
                body = (_opened(texts, row.tenant, column, value) if column in _OPENABLE else value).encode(
                    "utf-8", "surrogatepass"
                )
                hit |= {column.name} if any(one in body for one in wanted) else set()
    return len(hit)


def _texts_in(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if isinstance(column.type, Text)]


def _opened(texts: Texts, tenant: str, column: ColumnElement[Any], value: str) -> str:
    try:
        return texts.open(TenantId(tenant), str(column), value)
    except Denied:  # a destroyed key: nobody can read it, whoever it is about
        return ""


def files_of(engines: Engines) -> list[Path]:
    """Return the files of an SQLite database; none for PostgreSQL, whose files belong to its server."""
    if engines.write.dialect.name != "sqlite":
        return []
    path = Path(str(engines.write.url.database))
    return [one for suffix in ("", "-wal", "-shm", "-journal") if (one := path.with_name(path.name + suffix)).exists()]
