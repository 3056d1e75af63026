"""Model versions and their aliases."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, tuple_

from custody.adapters.sql.body import body_of, read, text_of, time_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import aliases
from custody.adapters.sql.tables import models as table
from custody.core.digest import Digest
from custody.core.errors import Conflict, NotFound
from custody.core.page import Page
from custody.core.refs import ModelRef, near
from custody.registry.model import ModelSummary, ModelVersion


class SqlModels(OfTenant):
    """One tenant's model versions and aliases."""

    def get(self, ref: ModelRef) -> ModelVersion:
        """Return a version; NotFound names close ones."""
        row = first(self._access, self._select(table).where(*_is(ref)))
        if row is not None:
            return read(ModelVersion, row)
        if latest := self.latest(ref.name):
            raise NotFound.of("model", str(ref), ls=f"custody model ls {ref.name}", near=[str(latest.ref)])
        raise NotFound.of("model", str(ref), ls="custody model ls", near=near(ref.name, self._names(table, table.c.name)))

    def latest(self, name: str) -> ModelVersion | None:
        """Return the newest version."""
        row = first(self._access, self._select(table).where(table.c.name == name).order_by(table.c.version.desc()))
        return None if row is None else read(ModelVersion, row)

    def of_run(self, run_id: str) -> Sequence[ModelVersion]:
        """Return the versions registered from a run."""
        query = self._select(table).where(table.c.run_id == run_id).order_by(table.c.name, table.c.version)
        return [read(ModelVersion, row) for row in self._access.rows(query)]

    def page(self, name: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[ModelSummary]:
        """List versions, newest first."""
        c = table.c
        query, key = self._select(table, c.name, c.version, c.artifact, c.run_id, c.created_at), [c.version]
        if name is not None:
            query = query.where(c.name == name)
        else:
            key = [c.created_at, c.name, c.version]
        found = paged(self._access, query, key, after=after, limit=limit, noun=_summary)
        return Page(self._with_aliases(found.items), found.next)

    def add(self, version: ModelVersion) -> None:
        """Store a new version; Conflict if the number is taken."""
        ref = version.ref
        if first(self._access, self._select(table, table.c.version).where(*_is(ref))) is not None:
            raise Conflict(
                f"Model version {ref} exists already.",
                why="Somebody else registered it in the meantime.",
                fix=f"Look at it: custody model show {ref}",
                facts={"model": str(ref)},
            )
        self._add(
            table,
            name=ref.name,
            version=ref.version,
            artifact=version.artifact,
            run_id=version.run_id,
            created_at=text_of(version.created_at),
            **body_of(version),
        )
        self._reach((use.ref for use in version.datasets), "model", ref.name, ref.version)

    def of_artifact(self, artifact: Digest) -> Sequence[ModelRef]:
        """Return the versions that have an artifact."""
        query = self._select(table, table.c.name, table.c.version).where(table.c.artifact == artifact)
        return [ModelRef(row.name, row.version) for row in self._access.rows(query)]

    def replace_fixture(self, ref: ModelRef, fixture: Digest) -> None:
        """Point a version to a parity fixture from which an erased person's rows were taken."""
        changed = replace(self.get(ref), fixture=fixture)
        self._replace(table, {"name": ref.name, "version": ref.version}, body_of(changed))

    def alias(self, name: str, alias: str) -> ModelRef | None:
        """Return what an alias names."""
        query = self._select(aliases, aliases.c.version).where(aliases.c.name == name, aliases.c.alias == alias)
        row = first(self._access, query)
        return None if row is None else ModelRef(name, row.version)

    def set_alias(self, alias: str, ref: ModelRef) -> None:
        """Point an alias at a version; NotFound if there is no such version."""
        self.get(ref)
        self._replace(aliases, {"name": ref.name, "alias": alias}, {"version": ref.version})

    def _with_aliases(self, items: Sequence[ModelSummary]) -> tuple[ModelSummary, ...]:
        wanted = tuple_(aliases.c.name, aliases.c.version).in_([(item.ref.name, item.ref.version) for item in items])
        query = self._select(aliases, aliases.c.name, aliases.c.version, aliases.c.alias).where(wanted)
        names: dict[ModelRef, list[str]] = {}
        for row in self._access.rows(query.order_by(aliases.c.alias)) if items else ():
            names.setdefault(ModelRef(row.name, row.version), []).append(row.alias)
        return tuple(replace(item, aliases=tuple(names.get(item.ref, ()))) for item in items)


def _is(ref: ModelRef) -> list[Any]:
    return [table.c.name == ref.name, table.c.version == ref.version]


def _summary(row: Row[Any]) -> ModelSummary:
    return ModelSummary(ModelRef(row.name, row.version), Digest(row.artifact), row.run_id, time_of(row.created_at))
