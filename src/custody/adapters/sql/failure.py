"""Turns what databases raise into the product's errors; never an SQL text or a value in them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from custody.core.errors import Conflict, CustodyError, IntegrityBroken, InvalidInput, Unavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raise the product's error for what a database raises; what cannot be explained stays as it is."""
    try:
        yield
    except PoolTimeout as error:
        raise _busy() from error
    except UnicodeEncodeError as error:
        raise InvalidInput("A text holds half a character, which cannot be stored.", fix="Send valid UTF-8.") from error
    except DBAPIError as error:
        known = _of_postgres(error) if _state(error) is not None else _of_sqlite(error)
        known = known or _of_kind(error)
        if known is None:
            raise
        raise known from error


def _state(error: DBAPIError) -> str | None:
    """Return PostgreSQL's five-character code; empty when the server was not reached, None for SQLite."""
    if type(error.orig).__module__.startswith("psycopg"):
        return getattr(error.orig, "sqlstate", None) or ""
    return None


def _of_kind(error: DBAPIError) -> CustodyError | None:
    if isinstance(error, IntegrityError):
        return Conflict(
            "This was stored by somebody else in the meantime, or may not be changed any more.",
            fix="Look at what is stored now, then try again.",
        )
    if isinstance(error, DataError):
        return InvalidInput("A text or number cannot be stored.", why="It holds a NUL character, or is too large.")
    return None


def _of_sqlite(error: DBAPIError) -> CustodyError | None:
    said = str(error.orig).lower()
    return next((make() for phrases, make in _SAID.items() if any(phrase in said for phrase in phrases)), None)


def _of_postgres(error: DBAPIError) -> CustodyError | None:
    state = _state(error) or ""
    if state == "55P03":
        return _busy()
    if state == "53100":
        return _full()
    if state == "42P01":
        return _not_ready()
    if state.startswith("54"):
        return InvalidInput("A text is too long to be stored.")
    if state.startswith(("08", "53", "57P")) or (not state and error.connection_invalidated) or _unreached(error, state):
        return Unavailable(
            "PostgreSQL does not answer.",
            why="It is down, refuses this user, or has no connection left.",
            fix="Check that it runs and that the URL is right, then try again.",
        )
    return None


def _unreached(error: DBAPIError, state: str) -> bool:
    return type(error.orig).__name__ == "OperationalError" and (not state or state.startswith(("28", "3D")))


def _busy() -> Unavailable:
    return Unavailable(
        "The project's database is busy.",
        why="Another change has been writing for more than ten seconds.",
        fix="Try again in a moment.",
    )


def _full() -> Unavailable:
    return Unavailable("The disk that holds the project's database is full.", fix="Free some space, then try again.")


def _not_ready() -> Unavailable:
    return Unavailable(
        "The project's database has no tables yet, or older ones.",
        fix="Start custody once, which brings it up to date: custody up",
    )


def _unopened() -> Unavailable:
    return Unavailable(
        "The project's database cannot be opened.",
        why="Its folder does not exist, or this user may not write there.",
        fix="Create the project: custody init FOLDER",
    )


def _read_only() -> Unavailable:
    return Unavailable("The project's database cannot be written.", why="This user may only read it.")


def _silent() -> Unavailable:
    return Unavailable("The disk that holds the project's database does not answer.", fix="Check the disk, then try again.")


def _damaged() -> IntegrityBroken:
    return IntegrityBroken("The project's database file is damaged.", fix="Restore it from a backup, then run: custody verify")


# SQLite says in words what happened.
_SAID: dict[tuple[str, ...], Callable[[], CustodyError]] = {
    ("locked", "busy"): _busy,
    ("disk is full",): _full,
    ("unable to open",): _unopened,
    ("readonly", "read-only"): _read_only,
    ("disk i/o",): _silent,
    ("not a database", "malformed"): _damaged,
    ("no such table",): _not_ready,
}
