"""What the ledger needs from storage."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from custody.core.page import Page
from custody.core.tenancy import TenantId
from custody.ledger.checkpoint import Checkpoint
from custody.ledger.entry import Entry


class Ledger(Protocol):
    """Reads entries; only a change writes one (see lifecycle.stores.Change.record)."""

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Stream all entries in the order of seq, exactly as stored."""
        ...

    def page(
        self, tenant: TenantId | None, *, subject: str | None, kind: str | None, after: str | None, limit: int
    ) -> Page[Entry]:
        """Return entries newest first; tenant None means all."""
        ...

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Return the signed checkpoints, oldest first."""
        ...

    def keep(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint."""
        ...
