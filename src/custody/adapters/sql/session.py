"""How stores reach the database: reads on a short connection of their own, writes in the one open transaction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Row,
    Select,
    Table,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from custody.adapters.sql.body import body_of, read
from custody.adapters.sql.failure import translated
from custody.adapters.sql.tables import reach
from custody.core.errors import InvalidInput, NotFound
from custody.core.keys import Texts
from custody.core.page import Page, cursor_of, key_of, limit_of
from custody.core.refs import DatasetRef, DeploymentKey
from custody.core.tenancy import TenantId

T = TypeVar("T")
Values = Mapping[str, Any]


class Plain:
    """Stores texts of people as they are: for a database without keys."""

    seals = False

    def seal(self, tenant: TenantId, place: str, text: str) -> str:  # noqa: ARG002 - the port's words
        """Return the text."""
        return text

    def open(self, tenant: TenantId, place: str, text: str) -> str:  # noqa: ARG002 - the port's words
        """Return the text."""
        return text

    def spelled(self, tenant: TenantId, place: str, text: str) -> list[str]:  # noqa: ARG002 - the port's words
        """Return the text."""
        return [text]


PLAIN = Plain()


class Access(Protocol):
    """Runs statements."""

    @property
    def texts(self) -> Texts:
        """Return what seals texts of people."""
        ...

    def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return all rows of a query."""
        ...

    def write(self, statement: Executable) -> int:
        """Run a change and return how many rows it touched."""
        ...

    def add_new(self, table: Table, values: Sequence[Values]) -> int:
        """Insert the rows whose key is not there yet and return how many those were."""
        ...


class Outside:
    """Reads outside of a change."""

    def __init__(self, engine: Engine, texts: Texts = PLAIN) -> None:
        self._engine, self.texts = engine, texts

    def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return all rows of a query, on a connection of its own."""
        with translated(), self._engine.connect() as connection:
            return connection.execute(statement).all()

    def write(self, statement: Executable) -> int:  # noqa: ARG002 - refused, whatever it is
        """Refuse: a write belongs into a change."""
        raise RuntimeError("Write inside `with stores.change(...) as change`, through `change`.")

    def add_new(self, table: Table, values: Sequence[Values]) -> int:  # noqa: ARG002 - refused, whatever it is
        """Refuse: a write belongs into a change."""
        raise RuntimeError("Write inside `with stores.change(...) as change`, through `change`.")


class Inside:
    """Reads and writes inside a change."""

    def __init__(self, connection: Connection, texts: Texts = PLAIN) -> None:
        self._connection, self.texts = connection, texts

    def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """Return all rows of a query, this change's own writes included."""
        with translated():
            return self._connection.execute(statement).all()

    def write(self, statement: Executable) -> int:
        """Run a change and return how many rows it touched."""
        with translated():
            return self._connection.execute(statement).rowcount

    def add_new(self, table: Table, values: Sequence[Values]) -> int:
        """Insert the rows whose key is not there yet and return how many those were."""
        if not values:
            return 0
        build: Callable[[Table], Any] = sqlite.insert if self._connection.dialect.name == "sqlite" else postgresql.insert
        with translated():
            return self._connection.execute(
                build(table).on_conflict_do_nothing(), values, execution_options={"preserve_rowcount": True}
            ).rowcount


def first(access: Access, statement: Select[Any]) -> Row[Any] | None:
    """Return the first row of a query, or None."""
    rows = access.rows(statement.limit(1))
    return rows[0] if rows else None


def paged(
    access: Access,
    statement: Select[Any],
    key: Sequence[Column[Any]],
    *,
    after: str | None,
    limit: int,
    noun: Callable[[Row[Any]], T],
    ascending: bool = False,
) -> Page[T]:
    """Return one page in the order of `key`, whose columns the query selects; newest (largest) first."""
    size = limit_of(limit)
    if after is not None:
        here, there = tuple_(*key), tuple_(*_bound(after, key))
        statement = statement.where(here > there if ascending else here < there)
    order = [column.asc() if ascending else column.desc() for column in key]
    rows = access.rows(statement.order_by(*order).limit(size + 1))
    following = cursor_of(*(rows[size - 1]._mapping[column] for column in key)) if len(rows) > size else None  # noqa: SLF001 - a public name of SQLAlchemy's
    return Page(tuple(noun(row) for row in rows[:size]), following)


def _bound(cursor: str, key: Sequence[Column[Any]]) -> list[ColumnElement[Any]]:
    parts = key_of(cursor, len(key))
    if any(type(part) is not column.type.python_type for part, column in zip(parts, key, strict=True)) or any(
        isinstance(part, int) and abs(part) >= 2**31 for part in parts
    ):
        raise InvalidInput("That page cursor belongs to another list.", fix="Start from the first page, without a cursor.")
    return [literal(part, column.type) for part, column in zip(parts, key, strict=True)]


class OfTenant:
    """One tenant's rows: the only place that builds statements, so that none can leave the tenant out."""

    def __init__(self, access: Access, tenant: TenantId) -> None:
        self._access = access
        self._tenant = tenant

    def _seal(self, column: ColumnElement[Any], text: str) -> str:
        """Seal a text of people for its column."""
        return self._access.texts.seal(self._tenant, str(column), text)

    def _spelled(self, column: ColumnElement[Any], text: str) -> Sequence[str]:
        """Return how a text may stand in its column."""
        return self._access.texts.spelled(self._tenant, str(column), text)

    def _open(self, column: ColumnElement[Any], text: str) -> str:
        """Open what was sealed for a column; a plain text stays as it is."""
        return self._access.texts.open(self._tenant, str(column), text)

    def _select(self, table: Table, *columns: ColumnElement[Any]) -> Select[Any]:
        """Select a table's columns, `format` and `body` unless told otherwise."""
        return select(*(columns or (table.c.format, table.c.body))).where(table.c.tenant == self._tenant)

    def _select_of(self, table: Table, key: DeploymentKey, *columns: ColumnElement[Any]) -> Select[Any]:
        """Select the rows of one deployment; another tenant's has none here."""
        mine = self._select(table, *columns).where(table.c.tenant == key.tenant)
        return mine.where(table.c.environment == key.environment, table.c.name == key.name)

    def _add(self, table: Table, **values: Any) -> None:
        self._access.write(insert(table).values(tenant=self._tenant, **values))

    def _remove(self, table: Table, key: DeploymentKey, *wanted: ColumnElement[bool]) -> None:
        """Delete rows of one deployment."""
        place = self._place(key)
        mine = [table.c.tenant == self._tenant, *(table.c[name] == value for name, value in place.items())]
        self._access.write(delete(table).where(*mine, *wanted))

    def _replace(self, table: Table, key: Values, values: Values) -> None:
        """Update the row with this key, or insert it; safe since one change writes at a time."""
        statement = update(table).where(table.c.tenant == self._tenant, *(table.c[name] == key[name] for name in key))
        if not self._access.write(statement.values(**values)):
            self._add(table, **key, **values)

    def _append(self, table: Table, key: DeploymentKey, noun: object) -> None:
        """Store a noun behind the last one of its deployment."""
        newest = self._access.rows(self._select_of(table, key, func.max(table.c.number)))[0][0]
        self._add(table, **self._place(key), number=(newest or 0) + 1, **body_of(noun))

    def _tail(self, kind: type[T], table: Table, key: DeploymentKey, limit: int) -> Sequence[T]:
        """Return the newest nouns of a deployment, oldest first."""
        query = self._select_of(table, key).order_by(table.c.number.desc()).limit(limit)
        return [read(kind, row) for row in reversed(self._access.rows(query))]

    def _place(self, key: DeploymentKey) -> dict[str, str]:
        """Return the columns that name a deployment; another tenant's cannot be written."""
        if key.tenant != self._tenant:
            raise NotFound.of("deployment", str(key), ls="custody deployment ls")
        return {"environment": key.environment, "name": key.name}

    def _reach(self, refs: Iterable[DatasetRef], kind: str, name: str, number: int = 0) -> None:
        """Remember which dataset versions a run or model version learned from."""
        mine = {"tenant": self._tenant, "kind": kind, "name": name, "number": number}
        self._access.add_new(reach, [{**mine, "dataset": ref.name, "version": ref.version} for ref in set(refs)])

    def _names(self, table: Table, column: ColumnElement[Any]) -> list[str]:
        """Return the names in use, for "did you mean"."""
        return [row[0] for row in self._access.rows(self._select(table, column).distinct().limit(1000))]
