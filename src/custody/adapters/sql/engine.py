"""Opens the database: SQLite for one machine, PostgreSQL for many."""

import sqlite3
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from custody.core.errors import InvalidInput

WAIT_S = 10  # how long a writer waits for the one before it
_LOCK = int.from_bytes(b"custody")  # the PostgreSQL advisory lock that all writers of a project take


@dataclass(frozen=True, slots=True)
class Engines:
    """Two ways in: `read` never blocks or writes; `write` lets one transaction through at a time."""

    read: Engine
    write: Engine

    def close(self) -> None:
        """Close all connections."""
        self.read.dispose()
        self.write.dispose()


def open_engines(address: str) -> Engines:
    """Prepare the engines for a URL: `sqlite:///folder/custody.db` or `postgresql://user:password@host/database`."""
    url = _url(address)
    if url.get_backend_name() == "sqlite":
        return _sqlite(url)
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=10, max_overflow=10, pool_timeout=WAIT_S)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "PostgreSQL needs its driver, which is not installed.",
            why=f"The package '{error.name}' is missing.",
            fix="pip install 'custody-ml[postgres]'",
        ) from error
    event.listen(engine, "connect", _prepare_postgres)
    return Engines(engine, engine)


def begin_alone(connection: Connection) -> None:
    """Wait until this transaction is the only one that writes; on SQLite its beginning has seen to that."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def _url(address: str) -> URL:
    try:
        url = make_url(address)
        if url.get_backend_name() in ("postgresql", "postgres"):
            return url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            return url.set(drivername="sqlite+pysqlite")
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise _not_a_url() from error
    raise _not_a_url()


def _not_a_url() -> InvalidInput:
    return InvalidInput(  # the text itself is not shown: it may hold a password
        "This is not the URL of a database that custody can use.",
        fix="Write sqlite:///folder/custody.db or postgresql://user:password@host/database",
    )


def _sqlite(url: URL) -> Engines:
    busy = {"timeout": WAIT_S}
    read = create_engine(url, hide_parameters=True, connect_args=busy, pool_size=10, max_overflow=10, pool_timeout=WAIT_S)
    # One writing connection for each process: its threads queue here in order instead of racing for the file.
    write = create_engine(url, hide_parameters=True, connect_args=busy, pool_size=1, max_overflow=0, pool_timeout=WAIT_S)
    event.listen(read, "connect", _prepare_reader)
    event.listen(write, "connect", _prepare_writer)
    event.listen(read, "begin", lambda connection: connection.exec_driver_sql("begin"))
    event.listen(write, "begin", lambda connection: connection.exec_driver_sql("begin immediate"))
    return Engines(read, write)


def _prepare_reader(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None  # or the driver begins behind our back
    raw.execute("pragma query_only=on")


def _prepare_writer(raw: sqlite3.Connection, _record: object) -> None:
    raw.isolation_level = None
    for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on", "secure_delete=on"):
        raw.execute(f"pragma {pragma}")


def _prepare_postgres(raw: Any, _record: object) -> None:
    raw.autocommit = True  # or the setting would go with the first rollback
    raw.execute(f"set lock_timeout = '{WAIT_S}s'")
    raw.autocommit = False
