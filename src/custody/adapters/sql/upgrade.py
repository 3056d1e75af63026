"""Brings a database to the version of the code, in one transaction."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from custody.adapters.sql.engine import Engines, begin_alone
from custody.adapters.sql.failure import translated
from custody.core.errors import Conflict

VERSION = "0007"  # the newest module in migrations/versions
_FOLDER = Path(__file__).parent / "migrations"


def upgrade(engines: Engines) -> None:
    """Create the tables or bring them to this version of custody; several processes may do so at once.

    Raises: Conflict if the database is newer than the code.
    """
    with translated():
        with engines.read.connect() as connection:
            if version_of(connection) == VERSION:
                return
        with engines.write.begin() as connection:
            begin_alone(connection)
            _run(connection)


def version_of(connection: Connection) -> str | None:
    """Return the version of a database, None of one without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()


def _run(connection: Connection, to: str = "head") -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    found = version_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Conflict(
            f"The project's database has version {found}, and this custody knows versions up to {VERSION}.",
            why="A newer custody has been used on it.",
            fix="pip install --upgrade custody-ml",
            facts={"found": found, "known": VERSION},
        )
    command.upgrade(config, to)
