"""What the data chapter needs from storage and file formats."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa

from custody.core.digest import Digest
from custody.core.page import Page
from custody.core.refs import DatasetRef
from custody.core.schema import Column
from custody.data.dataset import DatasetSummary, DatasetVersion

Progress = Callable[[int, float], None]


class Datasets(Protocol):
    """One tenant's dataset versions."""

    def get(self, ref: DatasetRef) -> DatasetVersion:
        """Return a version; NotFound names close ones."""
        ...

    def latest(self, name: str) -> DatasetVersion | None:
        """Return the newest version of a name."""
        ...

    def by_digest(self, name: str, digest: Digest) -> DatasetVersion | None:
        """Return the version of a name with this content, so that the same rows are not stored twice."""
        ...

    def page(self, name: str | None = None, *, after: str | None = None, limit: int = 50) -> Page[DatasetSummary]:
        """List versions, newest first."""
        ...

    def close(self, version: DatasetVersion) -> None:
        """Store that a version's rows are gone and what stands in for it; its digest stays."""
        ...

    def unindexed(self) -> Sequence[DatasetRef]:
        """Return the versions whose people are not in the index yet: those stored before there was one."""
        ...

    def holds(self, digest: Digest) -> bool:
        """Tell whether any version names an object."""
        ...

    def add(self, version: DatasetVersion) -> None:
        """Store a new version; Conflict if the number is taken."""
        ...


class Tables(Protocol):
    """Reads files into rows and writes rows as Parquet."""

    def read(
        self,
        source: Path | BinaryIO,
        format: str | None = None,  # noqa: A002 - the field's word
        *,
        columns: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> pa.Table:
        """Read CSV, JSONL or Parquet; a malformed row is InvalidInput with line and column."""
        ...

    def to_parquet(self, table: pa.Table) -> bytes:
        """Write rows; the same rows give the same bytes."""
        ...

    def from_parquet(self, body: bytes) -> pa.Table:
        """Read rows back."""
        ...

    def columns_of(self, table: pa.Table) -> tuple[Column, ...]:
        """Return names and types; a nested type is InvalidInput."""
        ...
