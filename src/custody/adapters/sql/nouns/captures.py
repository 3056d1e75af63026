"""Sealed batches of captured predictions."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func

from custody.adapters.sql.body import text_of, time_of
from custody.adapters.sql.session import OfTenant, first
from custody.adapters.sql.tables import captures as table
from custody.core.digest import Digest
from custody.core.errors import Conflict
from custody.core.prediction import CaptureBatch
from custody.core.refs import DeploymentKey

_TIMES = tuple(field.name for field in fields(CaptureBatch) if field.type is datetime)
_ID_PRECISION = timedelta(milliseconds=1)  # a prediction id holds whole milliseconds


class SqlCaptures(OfTenant):
    """One tenant's sealed batches."""

    def add(self, batch: CaptureBatch) -> None:
        """Store a batch; Conflict if its id was recorded before."""
        if self.has(batch.id):
            raise Conflict(f"The batch of captures '{batch.id}' was recorded before.", fix="Nothing to do.")
        times = {name: text_of(getattr(batch, name)) for name in _TIMES}
        self._add(
            table,
            id=batch.id,
            **self._place(batch.deployment),
            object=batch.object,
            rows=batch.rows,
            answered=batch.answered,
            **times,
        )

    def has(self, id: str) -> bool:  # noqa: A002 - the field's word
        """Tell whether a batch id was recorded."""
        return first(self._access, self._select(table, table.c.id).where(table.c.id == id)) is not None

    def of(self, key: DeploymentKey, *, start: datetime | None = None, end: datetime | None = None) -> Sequence[CaptureBatch]:
        """Return the batches whose events touch [start, end), in order of sealing."""
        query = self._select_of(table, key, *table.c)
        if start is not None:
            query = query.where(table.c.last_event >= text_of(start))
        if end is not None:
            query = query.where(table.c.first_event < text_of(end))
        return [_batch(row, key) for row in self._access.rows(query.order_by(table.c.sealed_at, table.c.id))]

    def around(self, key: DeploymentKey, at: datetime, *, before: timedelta = timedelta(0)) -> Sequence[CaptureBatch]:
        """Return the batches that may hold a prediction made at a time, or that began so long after it at most."""
        low, high = text_of(at - _ID_PRECISION), text_of(at + _ID_PRECISION + before)
        query = self._select_of(table, key, *table.c).where(table.c.first_at <= high, table.c.last_at >= low)
        return [_batch(row, key) for row in self._access.rows(query.order_by(table.c.sealed_at, table.c.id))]

    def last(self, key: DeploymentKey) -> CaptureBatch | None:
        """Return the batch sealed last."""
        query = self._select_of(table, key, *table.c).order_by(table.c.sealed_at.desc(), table.c.id.desc())
        row = first(self._access, query)
        return None if row is None else _batch(row, key)

    def count(self, key: DeploymentKey) -> int:
        """Return how many rows were sealed, those of shadows too."""
        return self._sum(key, table.c.rows)

    def answered(self, key: DeploymentKey) -> int:
        """Return how many predictions somebody was answered with, of those that were sealed."""
        return self._sum(key, table.c.answered)

    def _sum(self, key: DeploymentKey, column: ColumnElement[int]) -> int:
        row = first(self._access, self._select_of(table, key, func.sum(column).label("total")))
        return int(row.total or 0) if row is not None else 0

    def hours(self, key: DeploymentKey, *, limit: int = 720) -> Sequence[datetime]:
        """Return the newest hours (their beginnings) in which predictions were made, newest first."""
        hour = func.substr(table.c.last_at, 1, 13).label("hour")
        query = self._select_of(table, key, hour).distinct().order_by(hour.desc()).limit(limit)
        return [time_of(f"{row.hour}:00:00+00:00") for row in self._access.rows(query)]

    def replace(self, batch: CaptureBatch) -> None:
        """Store a batch again under its id, with fewer rows; one without rows keeps its id, so that it is never sealed again."""
        self._replace(table, {"id": batch.id}, {"object": batch.object, "rows": batch.rows})


def _batch(row: Row[Any], key: DeploymentKey) -> CaptureBatch:
    times = {name: time_of(getattr(row, name)) for name in _TIMES}
    return CaptureBatch(id=row.id, deployment=key, object=Digest(row.object), rows=row.rows, answered=row.answered, **times)
