"""Runs."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, update

from custody.adapters.sql.body import body_of, maybe_time_of, read, text_of, time_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import runs as table
from custody.core.digest import Digest
from custody.core.errors import Conflict, NotFound
from custody.core.page import Page
from custody.registry.run import Run, RunStatus, RunSummary


class SqlRuns(OfTenant):
    """One tenant's runs."""

    def get(self, id: str) -> Run:  # noqa: A002 - the field's word
        """Return a run; NotFound if there is none."""
        row = first(self._access, self._select(table).where(table.c.id == id))
        if row is None:
            raise NotFound.of("run", id, ls="custody run ls")
        return read(Run, row)

    def last(self, name: str | None = None) -> Run | None:
        """Return the run started last."""
        query = self._select(table).order_by(table.c.started_at.desc(), table.c.id.desc())
        row = first(self._access, query if name is None else query.where(table.c.name == name))
        return None if row is None else read(Run, row)

    def page(
        self, name: str | None = None, *, status: RunStatus | None = None, after: str | None = None, limit: int = 50
    ) -> Page[RunSummary]:
        """List runs, newest first."""
        c = table.c
        query = self._select(table, c.id, c.name, c.status, c.started_at, c.ended_at)
        if name is not None:
            query = query.where(c.name == name)
        if status is not None:
            query = query.where(c.status == status.value)
        return paged(self._access, query, [c.started_at, c.id], after=after, limit=limit, noun=_summary)

    def add(self, run: Run) -> None:
        """Store a new run."""
        if first(self._access, self._select(table, table.c.id).where(table.c.id == run.id)) is not None:
            raise Conflict(f"Run '{run.id}' exists already.", fix=f"Look at it: custody run show {run.id}", facts={"run": run.id})
        self._add(table, id=run.id, **_columns(run))
        self._reach((use.ref for use in run.datasets), "run", run.id)

    def save(self, run: Run) -> None:
        """Replace a stored run; Conflict if it is no longer running, unless it is stored exactly so."""
        mine = update(table).where(
            table.c.tenant == self._tenant, table.c.id == run.id, table.c.status == RunStatus.RUNNING.value
        )
        if self._access.write(mine.values(**_columns(run))):
            self._reach((use.ref for use in run.datasets), "run", run.id)
            return
        if (stored := self.get(run.id)) != run:
            raise Conflict(
                f"Run '{run.id}' has already ended as {stored.status}.",
                why="A run that ended is not changed any more.",
                fix=f"Look at it: custody run show {run.id}",
                facts={"run": run.id, "status": stored.status},
            )

    def replace_fixture(self, id: str, old: Digest, new: Digest) -> None:  # noqa: A002 - the field's word
        """Point a run's logged models to a parity fixture from which an erased person's rows were taken."""
        run = self.get(id)
        models = tuple(replace(one, fixture=new) if one.fixture == old else one for one in run.models)
        self._replace(table, {"id": id}, body_of(replace(run, models=models)))


def _columns(run: Run) -> dict[str, Any]:
    times = {"started_at": text_of(run.started_at), "ended_at": text_of(run.ended_at)}
    return {"name": run.name, "status": run.status.value, **times, **body_of(run)}


def _summary(row: Row[Any]) -> RunSummary:
    return RunSummary(row.id, row.name, RunStatus(row.status), time_of(row.started_at), maybe_time_of(row.ended_at))
