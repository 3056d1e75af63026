"""Deployments, as chains of revisions."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, tuple_

from custody.adapters.sql.body import body_of, read, text_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import revisions as table
from custody.core.errors import Conflict, NotFound
from custody.core.page import Page
from custody.core.refs import DeploymentKey, near
from custody.deployment.revision import Revision


class SqlDeployments(OfTenant):
    """One tenant's deployments; a revision is never changed."""

    def head(self, key: DeploymentKey) -> Revision | None:
        """Return the newest revision."""
        row = first(self._access, self._select_of(table, key).order_by(table.c.number.desc()))
        return None if row is None else read(Revision, row)

    def revision(self, key: DeploymentKey, number: int) -> Revision:
        """Return one revision; NotFound if there is none."""
        row = first(self._access, self._select_of(table, key).where(table.c.number == number))
        if row is not None:
            return read(Revision, row)
        if self.head(key) is not None:
            raise NotFound.of("revision", f"{key} revision {number}", ls=f"custody deployment history {key}")
        known = self._access.rows(self._select(table, table.c.environment, table.c.name).distinct())
        close = near(str(key), [f"{self._tenant}/{row.environment}/{row.name}" for row in known])
        raise NotFound.of("deployment", str(key), ls="custody deployment ls", near=close)

    def at(self, key: DeploymentKey, time: datetime) -> Revision | None:
        """Return the revision that was in force at a time."""
        past = self._select_of(table, key).where(table.c.at <= text_of(time))
        row = first(self._access, past.order_by(table.c.number.desc()))
        return None if row is None else read(Revision, row)

    def history(self, key: DeploymentKey, *, after: str | None = None, limit: int = 50) -> Page[Revision]:
        """List revisions, newest first."""
        query = self._select_of(table, key, table.c.number, table.c.format, table.c.body)
        return paged(self._access, query, [table.c.number], after=after, limit=limit, noun=lambda row: read(Revision, row))

    def heads(self) -> Sequence[Revision]:
        """Return the newest revision of each deployment, in the order of their keys."""
        c = table.c
        newest = select(c.environment, c.name, func.max(c.number)).where(c.tenant == self._tenant)
        mine = self._select(table).where(tuple_(c.environment, c.name, c.number).in_(newest.group_by(c.environment, c.name)))
        return [read(Revision, row) for row in self._access.rows(mine.order_by(c.environment, c.name))]

    def add(self, revision: Revision) -> None:
        """Store the revision behind number - 1; Conflict that names who was faster if the number is taken."""
        key, number = revision.key, revision.number
        place, head = self._place(key), self.head(key)
        newest = head.number if head else 0
        if number <= newest:
            winner = self.revision(key, number)
            raise Conflict(
                f"Revision {number} of {key} was made by {winner.actor} at {text_of(winner.at)}: {winner.action}.",
                why="Somebody else was faster.",
                fix=f"Look at it, then try again: custody deployment show {key}",
                facts={"deployment": str(key), "revision": number, "actor": winner.actor, "action": winner.action},
            )
        if number > newest + 1:
            raise Conflict(f"Revision {number} of {key} has no predecessor.", why=f"The newest revision is {newest}.")
        self._add(
            table,
            **place,
            number=number,
            action=revision.action,
            actor=revision.actor,
            at=text_of(revision.at),
            **body_of(revision),
        )
