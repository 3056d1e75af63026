"""A dataset version: immutable, named by the digest of what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from custody.core.digest import Digest, digest_of_json
from custody.core.errors import Conflict
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
    closed_at: since then its rows may not be read, since a person's were among them; erasure: which one; replaced_by: the
    version that holds the rest, once it is written. Then `parts` is empty, and the digest stays as the record.
    card_signature: Ed25519 over the card's digest, by the project's key; empty for versions stored before cards were signed.
    own_keys: each person's rows are sealed under a key of their own, which an erasure destroys.
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
    card_signature: str = ""
    card_key_id: str = ""
    closed_at: datetime | None = None
    erasure: str = ""
    replaced_by: DatasetRef | None = None
    own_keys: bool = False

    @property
    def subject_column(self) -> str | None:
        """Return the column that names the person a row is about, as the card or the schema says."""
        return self.card.subject_key or self.schema.subject

    @property
    def subject_columns(self) -> tuple[str, ...]:
        """Return every column that names a person a row is about; the row is each of theirs."""
        first = self.subject_column
        return (*((first,) if first else ()), *self.card.further_subject_keys)

    def standing(self) -> "DatasetVersion":
        """Return this version if its rows are there; Conflict, never a silent substitute, once a person's were erased."""
        if self.closed_at is None:
            return self
        rest = (
            f"What is left of it is {self.replaced_by}." if self.replaced_by else "The rest is being written, or nothing is left."
        )
        raise Conflict(
            f"The rows of {self.ref} are erased.",
            why=f"A person asked for it on {self.closed_at:%Y-%m-%d}. {rest}",
            fix=f"Use what is left: custody dataset show {self.replaced_by or self.ref}",
            facts={"dataset": str(self.ref), "replaced_by": str(self.replaced_by or "")},
        )


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a list of datasets shows; scan: where its newest scan for personal data left it, under which policy and pack."""

    ref: DatasetRef
    digest: Digest
    rows: int
    title: str
    trainable: bool
    created_at: datetime
    scan: str = "quarantined"
    scan_policy: str | None = None
    scan_pack: str | None = None


def content_digest(parts: Sequence[Part], schema: Schema) -> Digest:
    """Return the digest of a version: over its schema and its files' digests and row counts, in order."""
    columns = [[column.name, column.type.value] for column in schema.columns]
    roles = [schema.target, schema.positive, schema.subject, schema.time, list(schema.groups)]
    return digest_of_json({"columns": columns, "roles": roles, "parts": [[part.object, part.rows] for part in parts]})  # type: ignore[dict-item]  # nested JSON
