"""Exports of rows."""

from custody.adapters.sql.body import body_of, read, text_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import exports as table
from custody.core.errors import NotFound
from custody.core.page import Page
from custody.core.refs import near
from custody.data.export import Export


class SqlExports(OfTenant):
    """One tenant's exports of rows."""

    def get(self, name: str) -> Export:
        """Return an export; NotFound names close ones."""
        row = first(self._access, self._select(table).where(table.c.name == name))
        if row is None:
            raise NotFound.of("export", name, ls="custody export ls", near=near(name, self._names(table, table.c.name)))
        return read(Export, row)

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Export]:
        """List exports, newest first."""
        query = self._select(table, table.c.created_at, table.c.name, table.c.format, table.c.body)
        return paged(
            self._access, query, [table.c.created_at, table.c.name], after=after, limit=limit, noun=lambda row: read(Export, row)
        )

    def has(self, name: str) -> bool:
        """Tell whether a name is taken."""
        return first(self._access, self._select(table, table.c.name).where(table.c.name == name)) is not None

    def add(self, export: Export) -> None:
        """Store an export whose name is not taken."""
        self._add(table, name=export.name, created_at=text_of(export.created_at), **body_of(export))
