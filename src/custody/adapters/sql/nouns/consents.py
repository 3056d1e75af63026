"""Consent records."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from custody.adapters.sql.body import maybe_time_of, text_of, time_of
from custody.adapters.sql.session import OfTenant, paged
from custody.adapters.sql.tables import consents as table
from custody.core.page import Page
from custody.privacy.consent import ConsentRecord, Said

_MANY = 1000  # rows in one statement


class SqlConsents(OfTenant):
    """One tenant's consent records; they are added to and read, never changed."""

    def add(self, records: Sequence[ConsentRecord]) -> int:
        """Store records and return how many were not there yet."""
        rows = [{"tenant": self._tenant, "id": one.id, **_columns(one)} for one in records]
        return sum(self._access.add_new(table, rows[start : start + _MANY]) for start in range(0, len(rows), _MANY))

    def of(self, purposes: Sequence[str], at: datetime) -> Sequence[ConsentRecord]:
        """Return all records about these purposes that were recorded by a time."""
        query = self._select(table, *table.c).where(table.c.purpose.in_(purposes), table.c.recorded_at <= text_of(at))
        return [_record(row) for row in self._access.rows(query.order_by(table.c.recorded_at, table.c.id))]

    def page(self, *, subject: str | None = None, after: str | None = None, limit: int = 50) -> Page[ConsentRecord]:
        """List records, newest first; subject: one person's token."""
        query = self._select(table, *table.c)
        if subject is not None:
            query = query.where(table.c.subject == subject)
        return paged(self._access, query, [table.c.recorded_at, table.c.id], after=after, limit=limit, noun=_record)


def _columns(record: ConsentRecord) -> dict[str, Any]:
    return {
        "subject": record.subject,
        "purpose": record.purpose,
        "said": record.said.value,
        "valid_from": text_of(record.valid_from),
        "valid_to": text_of(record.valid_to),
        "source": record.source,
        "notice": record.notice,
        "children": record.children,
        "recorded_at": text_of(record.recorded_at),
    }


def _record(row: Row[Any]) -> ConsentRecord:
    return ConsentRecord(
        row.subject,
        row.purpose,
        Said(row.said),
        time_of(row.valid_from),
        maybe_time_of(row.valid_to),
        row.source,
        row.notice,
        row.children,
        time_of(row.recorded_at),
    )
