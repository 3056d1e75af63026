"""One entry of the ledger, format 1."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from custody.core.digest import Digest, Json, canonical, digest_of
from custody.core.tenancy import TenantId

FORMAT = "custody-ledger-v1"
GENESIS = Digest("0" * 64)


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact to record: kind such as `gate.passed`, subject such as `churn@7`, body of digests, references, reasons."""

    tenant: TenantId
    actor: str
    kind: str
    subject: str
    at: datetime
    body: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded fact; seq starts at 1, prev is the hash of entry seq - 1 (64 zeros before the first)."""

    seq: int
    tenant: TenantId
    actor: str
    kind: str
    subject: str
    at: datetime
    body: Mapping[str, Json]
    prev: Digest
    hash: Digest


def time_text(at: datetime) -> str:
    """Write a time as UTC with microseconds: `2026-01-31T12:00:00.000000Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def entry_hash(draft: Draft, seq: int, prev: Digest) -> Digest:
    """Return sha-256 over the format tag, the previous hash and the entry's canonical JSON."""
    fields: Json = {
        "seq": seq,
        "tenant": draft.tenant,
        "actor": draft.actor,
        "kind": draft.kind,
        "subject": draft.subject,
        "at": time_text(draft.at),
        "body": dict(draft.body),
    }
    return digest_of(f"{FORMAT}\n{prev}\n".encode() + canonical(fields))


def chained(draft: Draft, seq: int, prev: Digest) -> Entry:
    """Return the draft as entry `seq` behind the entry whose hash is `prev`."""
    return Entry(
        seq, draft.tenant, draft.actor, draft.kind, draft.subject, draft.at, draft.body, prev, entry_hash(draft, seq, prev)
    )
