"""All ports in one place: what a step of the lifecycle may read, and the one way to write."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import pyarrow as pa

from custody.core.digest import Digest, Json
from custody.core.keys import Keys, Reseals
from custody.core.objects import Objects
from custody.core.page import Page
from custody.core.prediction import CaptureBatch, unique_at
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Actor, Role, TenantId
from custody.data.export import Exports
from custody.data.ports import Datasets, Tables
from custody.deployment.ports import Deployments
from custody.feedback.label import Labels
from custody.gates.ports import Gates
from custody.ledger.entry import Entry
from custody.ledger.ports import Ledger
from custody.monitoring.embedding import Embed
from custody.monitoring.ports import Monitors
from custody.privacy.erasure.ports import Subjects
from custody.privacy.ports import Consents
from custody.privacy.scans.inspection import Detectors, pattern_detectors
from custody.privacy.scans.ports import PseudonymKeys, Scans
from custody.registry.ports import Loader, Models, Runs


@dataclass(frozen=True, slots=True)
class Tenant:
    """One of the team's clients, or the team itself (`default`)."""

    id: TenantId
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as stored: never the secret, only its sha-256. tenant None: every tenant. rows False: aggregates only."""

    id: str
    sha256: Digest
    name: str
    role: Role
    tenant: TenantId | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rows: bool = True


class Tenants(Protocol):
    """Tenants and the keys that enter them."""

    def get(self, tenant: TenantId) -> Tenant:
        """Return a tenant; NotFound names close ones."""
        ...

    def page(self, *, after: str | None = None, limit: int = 50) -> Page[Tenant]:
        """List tenants by name."""
        ...

    def add(self, tenant: Tenant) -> None:
        """Store a tenant; Conflict if it exists."""
        ...

    def key(self, sha256: Digest) -> Key | None:
        """Return the key with this hash, revoked and expired ones too."""
        ...

    def keys(self) -> Sequence[Key]:
        """Return all keys, oldest first."""
        ...

    def save_key(self, key: Key) -> None:
        """Store a key, replacing the one with its id."""
        ...


class Captures(Protocol):
    """One tenant's sealed batches."""

    def add(self, batch: CaptureBatch) -> None:
        """Store a batch; Conflict if its id was recorded before."""
        ...

    def has(self, id: str) -> bool:  # noqa: A002 - the field's word
        """Tell whether a batch id was recorded."""
        ...

    def of(self, key: DeploymentKey, *, start: datetime | None = None, end: datetime | None = None) -> Sequence[CaptureBatch]:
        """Return the batches whose events touch [start, end), in order of sealing."""
        ...

    def replace(self, batch: CaptureBatch) -> None:
        """Store a batch again under its id, with fewer rows; one without rows keeps its id, so that it is never sealed again."""
        ...

    def around(self, key: DeploymentKey, at: datetime, *, before: timedelta = ...) -> Sequence[CaptureBatch]:
        """Return the batches that may hold a prediction made at a time."""
        ...

    def last(self, key: DeploymentKey) -> CaptureBatch | None:
        """Return the batch sealed last."""
        ...

    def count(self, key: DeploymentKey) -> int:
        """Return how many rows were sealed, those of shadows too."""
        ...

    def answered(self, key: DeploymentKey) -> int:
        """Return how many predictions somebody was answered with, of those that were sealed."""
        ...

    def hours(self, key: DeploymentKey, *, limit: int = 720) -> Sequence[datetime]:
        """Return the newest hours (their beginnings) in which predictions were made, newest first."""
        ...


class Shelf(Protocol):
    """One tenant's stores; another tenant's things cannot be reached from here."""

    @property
    def tenant(self) -> TenantId: ...
    @property
    def datasets(self) -> Datasets: ...
    @property
    def scans(self) -> Scans: ...
    @property
    def consents(self) -> Consents: ...
    @property
    def exports(self) -> Exports: ...
    @property
    def runs(self) -> Runs: ...
    @property
    def models(self) -> Models: ...
    @property
    def gates(self) -> Gates: ...
    @property
    def deployments(self) -> Deployments: ...
    @property
    def captures(self) -> Captures: ...
    @property
    def labels(self) -> Labels: ...
    @property
    def monitors(self) -> Monitors: ...
    @property
    def subjects(self) -> Subjects: ...
    @property
    def reseals(self) -> Reseals: ...


class Change(Shelf, Protocol):
    """A shelf inside a transaction: all writes and their ledger entries are kept together or not at all."""

    @property
    def tenants(self) -> Tenants: ...

    def record(self, kind: str, subject: str, body: dict[str, Json]) -> Entry:
        """Append a ledger entry in this transaction."""
        ...


class Stores(Protocol):
    """Every store of a project."""

    @property
    def objects(self) -> Objects: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def tenants(self) -> Tenants: ...

    def of(self, tenant: TenantId) -> Shelf:
        """Return one tenant's stores, for reading."""
        ...

    def scrub(self) -> None:
        """Give back to the disk what deleted rows left in the database's own files."""
        ...

    def holds(self, needle: str) -> int:
        """Return in how many places of the database a text still stands."""
        ...

    def change(self, tenant: TenantId, actor: Actor, now: datetime) -> AbstractContextManager[Change]:
        """Open a transaction that writes one tenant's stores; an exception inside undoes all of it."""
        ...


class Signer(Protocol):
    """The project's Ed25519 key: signs manifests and ledger checkpoints."""

    @property
    def key_id(self) -> str: ...
    @property
    def public_key(self) -> bytes: ...
    def sign(self, body: bytes) -> bytes: ...


class PersonalRows(Protocol):
    """Rows under keys of single people."""

    def seal(self, tenant: TenantId, table: pa.Table, people: Sequence[str]) -> bytes:
        """Return rows sealed each under the key of its person; people: a token for each row, empty for nobody."""
        ...

    def destroy(self, tenant: TenantId, person: str) -> int:
        """Destroy the keys of one person and return how many there were; one process at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that a step of the lifecycle reaches the world through.

    backup_days: after so many days no backup of the database or the objects is kept; 0 where nobody said.
    people: seals rows under keys of single people, where a dataset asks for it. erasure_list: where a second copy of the list of
    erasures is kept, apart from the objects, if a place is set.
    """

    stores: Stores
    tables: Tables
    load: Loader
    signer: Signer
    random: Callable[[int], bytes]
    embed: Callable[[str], Embed]
    pseudonyms: PseudonymKeys
    keys: Keys
    detectors: Detectors = field(default_factory=pattern_detectors)
    backup_days: float = 0.0
    people: PersonalRows | None = None
    erasure_list: Objects | None = None

    def new_id(self, now: datetime) -> str:
        """Return a new id of 26 characters that sort by time."""
        return unique_at(int(now.timestamp() * 1000), self.random(10))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for which tenant, at what time."""

    tenant: TenantId
    actor: Actor
    now: datetime

    def may(self, role: Role) -> "Caller":
        """Return this caller if it holds the role and may enter the tenant; else Denied or NotFound."""
        self.actor.enter(self.tenant)
        self.actor.require(role)
        return self

    def may_see_rows(self) -> "Caller":
        """Return this caller if it may see single rows in this tenant; else Denied or NotFound."""
        self.actor.enter(self.tenant)
        self.actor.require_rows()
        return self

    def within(self, tenant: TenantId) -> "Caller":
        """Return the same caller in another tenant, if it may enter it."""
        return replace(self, tenant=self.actor.enter(tenant))
