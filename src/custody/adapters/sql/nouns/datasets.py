"""Dataset versions."""

from typing import Any

from sqlalchemy import Row, and_

from custody.adapters.sql.body import body_of, read, text_of, time_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import datasets as table
from custody.adapters.sql.tables import scans
from custody.core.digest import Digest
from custody.core.errors import Conflict, NotFound
from custody.core.page import Page
from custody.core.refs import DatasetRef, near
from custody.data.dataset import DatasetSummary, DatasetVersion


class SqlDatasets(OfTenant):
    """One tenant's dataset versions."""

    def get(self, ref: DatasetRef) -> DatasetVersion:
        """Return a version; NotFound names close ones."""
        row = first(self._access, self._select(table).where(*_is(ref)))
        if row is not None:
            return read(DatasetVersion, row)
        if latest := self.latest(ref.name):
            raise NotFound.of("dataset", str(ref), ls=f"custody dataset ls {ref.name}", near=[str(latest.ref)])
        raise NotFound.of("dataset", str(ref), ls="custody dataset ls", near=near(ref.name, self._names(table, table.c.name)))

    def latest(self, name: str) -> DatasetVersion | None:
        """Return the newest version of a name."""
        row = first(self._access, self._select(table).where(table.c.name == name).order_by(table.c.version.desc()))
        return None if row is None else read(DatasetVersion, row)

    def by_digest(self, name: str, digest: Digest) -> DatasetVersion | None:
        """Return the version of a name with this content, so that the same rows are not stored twice."""
        same = self._select(table).where(table.c.name == name, table.c.digest == digest)
        row = first(self._access, same.order_by(table.c.version.desc()))
        return None if row is None else read(DatasetVersion, row)

    def page(self, name: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[DatasetSummary]:
        """List versions, newest first."""
        c, s = table.c, scans.c
        shown = (c.name, c.version, c.digest, c.rows, c.title, c.trainable, c.created_at, s.state)
        same = and_(s.tenant == c.tenant, s.name == c.name, s.version == c.version)
        query, key = self._select(table, *shown).outerjoin_from(table, scans, same), [c.version]
        if name is not None:
            query = query.where(c.name == name)
        else:
            key = [c.created_at, c.name, c.version]
        return paged(self._access, query, key, after=after, limit=limit, noun=_summary)

    def add(self, version: DatasetVersion) -> None:
        """Store a new version; Conflict if the number is taken."""
        ref = version.ref
        if first(self._access, self._select(table, table.c.version).where(*_is(ref))) is not None:
            raise Conflict(
                f"Dataset version {ref} exists already.",
                why="Somebody else stored it in the meantime.",
                fix=f"Look at it: custody dataset show {ref}",
                facts={"dataset": str(ref)},
            )
        self._add(
            table,
            name=ref.name,
            version=ref.version,
            digest=version.digest,
            title=version.card.title,
            created_at=text_of(version.created_at),
            rows=version.rows,
            trainable=not version.card.blocks,
            **body_of(version),
        )


def _is(ref: DatasetRef) -> list[Any]:
    return [table.c.name == ref.name, table.c.version == ref.version]


def _summary(row: Row[Any]) -> DatasetSummary:
    ref = DatasetRef(row.name, row.version)
    return DatasetSummary(
        ref, Digest(row.digest), row.rows, row.title, row.trainable, time_of(row.created_at), row.state or "quarantined"
    )
