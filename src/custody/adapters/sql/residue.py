"""What a database keeps of deleted rows: how it is given back to the disk, and how one looks for it."""

from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.types import Text

from custody.adapters.sql.engine import Engines
from custody.adapters.sql.failure import translated
from custody.adapters.sql.tables import metadata
from custody.core.errors import Unavailable

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

    SQLite: VACUUM, then the write-ahead log is emptied. PostgreSQL: VACUUM FULL of the tables that held rows of people; its
    own log, archives, replicas and base backups keep old pages until they expire.
    """
    with translated():
        if engines.write.dialect.name == "sqlite":
            _scrub_sqlite(engines)
            return
        with engines.write.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for name in _HELD_ROWS:
                connection.execute(text(f'vacuum full "{name}"'))
            connection.execute(text("checkpoint"))


def _scrub_sqlite(engines: Engines) -> None:
    engines.read.dispose()  # this process's readers: an old snapshot keeps the log from being emptied
    raw = engines.write.raw_connection()
    try:
        driver = raw.driver_connection
        assert driver is not None
        driver.execute("vacuum")
        busy = driver.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
    finally:
        raw.close()
    if busy:
        raise Unavailable(
            "The database's log could not be emptied.",
            why="Another process is reading an older state of it.",
            fix="Erase again in a moment: it goes on where it stopped.",
        )


def holds(engines: Engines, needle: str) -> int:
    """Return in how many tables and, for SQLite, files a text still stands."""
    found = 0
    with translated(), engines.read.connect() as connection:
        for table in metadata.sorted_tables:
            texts = [column for column in table.columns if isinstance(column.type, Text)]
            hits = [func.strpos(column, needle) > 0 for column in texts]
            if connection.dialect.name == "sqlite":
                hits = [func.instr(column, needle) > 0 for column in texts]
            found += sum(connection.execute(select(func.count()).select_from(table).where(hit)).scalar_one() > 0 for hit in hits)
    return found + sum(needle.encode() in path.read_bytes() for path in files_of(engines))


def files_of(engines: Engines) -> list[Path]:
    """Return the files of an SQLite database; none for PostgreSQL, whose files belong to its server."""
    if engines.write.dialect.name != "sqlite":
        return []
    path = Path(str(engines.write.url.database))
    return [one for suffix in ("", "-wal", "-shm", "-journal") if (one := path.with_name(path.name + suffix)).exists()]
