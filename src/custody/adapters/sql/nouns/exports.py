"""Exports of rows."""

from custody.adapters.sql.body import body_of, read, text_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import exports as table
from custody.core.errors import Conflict, NotFound
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

    def add(self, export: Export) -> None:
        """Store an export; Conflict if its name is taken."""
        if first(self._access, self._select(table, table.c.name).where(table.c.name == export.name)) is not None:
            raise Conflict(
                f"There is an export '{export.name}' already.",
                why="A name stands for one export for ever, so that a file found outside leads back to it.",
                fix="Give another name: custody export rows DATASET --name NAME",
            )
        self._add(table, name=export.name, created_at=text_of(export.created_at), **body_of(export))
