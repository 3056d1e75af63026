"""The ledger: read in the order of seq, written only behind its head."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, select

from custody.adapters.sql.body import text_of, time_of
from custody.adapters.sql.session import Access, first, paged
from custody.adapters.sql.tables import checkpoints
from custody.adapters.sql.tables import ledger as table
from custody.core.digest import Digest, Json, canonical
from custody.core.errors import InvalidInput
from custody.core.page import Page
from custody.core.tenancy import TenantId
from custody.ledger.checkpoint import Checkpoint
from custody.ledger.entry import GENESIS, Draft, Entry, chained, time_text

_CHUNK = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def append(access: Access, draft: Draft) -> Entry:
    """Write a draft behind the head; the caller's transaction is the only one that writes."""
    head = first(access, select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()))
    entry = chained(draft, head.seq + 1, Digest(head.hash)) if head is not None else chained(draft, 1, GENESIS)
    values = {name: getattr(entry, name) for name in ("seq", "tenant", "actor", "kind", "subject", "prev", "hash")}
    body = canonical(dict(entry.body)).decode()
    access.write(insert(table).values(**values, at=time_text(entry.at), body=body))
    return entry


class SqlLedger:
    """Reads entries; `alone` opens a transaction to keep a checkpoint in."""

    def __init__(self, access: Access, alone: Callable[[], AbstractContextManager[Access]]) -> None:
        self._access = access
        self._alone = alone

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Stream all entries in the order of seq, exactly as stored."""
        query = select(table).order_by(table.c.seq).limit(_CHUNK)
        rows = self._access.rows(query.where(table.c.seq > after) if after else query)
        while rows:
            yield from map(_entry, rows)
            rows = self._access.rows(query.where(table.c.seq > rows[-1].seq))

    def page(
        self, tenant: TenantId | None, *, subject: str | None, kind: str | None, after: str | None, limit: int
    ) -> Page[Entry]:
        """Return entries newest first; tenant None means all."""
        query = select(table)
        for column, wanted in ((table.c.tenant, tenant), (table.c.subject, subject), (table.c.kind, kind)):
            query = query if wanted is None else query.where(column == wanted)
        return paged(self._access, query, [table.c.seq], after=after, limit=limit, noun=_entry)

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Return the signed checkpoints, oldest first."""
        rows = self._access.rows(select(checkpoints).order_by(checkpoints.c.size, checkpoints.c.at, checkpoints.c.signature))
        return [Checkpoint(row.size, Digest(row.root), time_of(row.at), row.key_id, row.signature) for row in rows]

    def keep(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint; the same one again changes nothing."""
        values = {name: getattr(checkpoint, name) for name in ("signature", "size", "root", "key_id")}
        with self._alone() as access:
            if first(access, select(checkpoints.c.size).where(checkpoints.c.signature == checkpoint.signature)) is None:
                access.write(insert(checkpoints).values(**values, at=text_of(checkpoint.at)))


def _entry(row: Row[Any]) -> Entry:
    tenant, prev, own = TenantId(row.tenant), Digest(row.prev), Digest(row.hash)
    return Entry(row.seq, tenant, row.actor, row.kind, row.subject, _time(row.at), _body(row.body), prev, own)


def _body(text: str) -> dict[str, Json]:
    """Read a body; one that `append` cannot have written becomes another body, so that its hash is wrong."""
    try:
        body = json.loads(text)
        if isinstance(body, dict) and canonical(body) == text.encode():
            return body
    except (ValueError, InvalidInput):
        pass
    return {"unreadable": text}


def _time(text: str) -> datetime:
    """Read a time; one that `append` cannot have written becomes 1970, so that its hash is wrong."""
    try:
        at = datetime.fromisoformat(text)
        return at if time_text(at) == text else _EPOCH
    except (ValueError, TypeError):
        return _EPOCH
