"""A dataset version: immutable, named by the digest of what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from custody.core.digest import Digest, digest_of_json
from custody.core.refs import DatasetRef
from custody.core.schema import Schema
from custody.data.card import Card

HOLDOUT = 0.4


@dataclass(frozen=True, slots=True)
class Part:
    """One immutable Parquet file."""

    object: Digest
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """Rows with a schema, a profile and a provenance card.

    profile: digest of the mergeable column summaries. holdout: share of rows kept from training, 0..1,
    chosen by a hash of each row's content, so that the same row is on the same side in every version.
    """

    ref: DatasetRef
    digest: Digest
    rows: int
    schema: Schema
    card: Card
    parts: tuple[Part, ...]
    profile: Digest
    created_at: datetime
    holdout: float = HOLDOUT
    derived_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a list of datasets shows; scan: where its newest scan for personal data left it."""

    ref: DatasetRef
    digest: Digest
    rows: int
    title: str
    trainable: bool
    created_at: datetime
    scan: str = "quarantined"


def content_digest(parts: Sequence[Part], schema: Schema) -> Digest:
    """Return the digest of a version: over its schema and its files' digests and row counts, in order."""
    columns = [[column.name, column.type.value] for column in schema.columns]
    roles = [schema.target, schema.positive, schema.subject, schema.time, list(schema.groups)]
    return digest_of_json({"columns": columns, "roles": roles, "parts": [[part.object, part.rows] for part in parts]})  # type: ignore[dict-item]  # nested JSON
