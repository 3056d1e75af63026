"""The port of a project's data keys: one ring for each tenant, whose destruction makes what it sealed unreadable for ever."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from custody.core.tenancy import TenantId


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be told about a data key, never the key: its number, its name, and the master key that wraps it.

    current: new objects are sealed with it. destroyed_at: since then nothing that it sealed can be read.
    """

    tenant: TenantId
    number: int
    id: str
    master: str
    made_at: datetime
    current: bool
    destroyed_at: datetime | None = None


PERSONAL = b"CUSTODYP"  # rows that are sealed under keys of single people begin so
MARK = "sealed:1:"  # sealed texts in a database begin so


@dataclass(frozen=True, slots=True)
class Resealed:
    """One stretch of sealing a tenant's documents anew: how many were looked at, and how many were under another key.

    after: the last name, where the next stretch begins; empty at the end. total: how many names there are.
    """

    after: str
    looked: int
    changed: int
    total: int


@dataclass(frozen=True, slots=True)
class Reseal:
    """Where sealing a tenant's objects anew stands: for which key, since when, and when nothing older was left."""

    number: int
    key: str
    started_at: datetime
    done_at: datetime | None = None


class Reseals(Protocol):
    """One tenant's work of sealing anew."""

    def get(self) -> Reseal | None:
        """Return the newest one."""
        ...

    def save(self, reseal: Reseal) -> None:
        """Store it in place of the one before."""
        ...


class Texts(Protocol):
    """Seals single texts of people where they stand in a database, so that none is ever in its files or logs in the clear."""

    @property
    def seals(self) -> bool:
        """Tell whether what is written from now on is sealed."""
        ...

    def seal(self, tenant: TenantId, place: str, text: str) -> str:
        """Return a text sealed for one place (table and column); the same text gives the same, so that it can be looked up."""
        ...

    def open(self, tenant: TenantId, place: str, text: str) -> str:
        """Return what was sealed, and any other text as it is; Denied once the tenant's keys are destroyed."""
        ...

    def spelled(self, tenant: TenantId, place: str, text: str) -> Sequence[str]:
        """Return how a text may be stored, to look for it; never plainly where texts are sealed: servers log what is looked for."""
        ...


class Keys(Protocol):
    """Data keys of all tenants, each wrapped by the project's master key."""

    def index(self, tenant: TenantId) -> bytes:
        """Return the 32 bytes under which a tenant's names and people are made into tokens; Denied once destroyed."""
        ...

    def tenants(self) -> Sequence[TenantId]:
        """Return the tenants that have or had keys, sorted."""
        ...

    def ls(self, tenant: TenantId) -> Sequence[KeyInfo]:
        """List a tenant's data keys, oldest first; those of a destroyed ring are told by one entry."""
        ...

    def rotate(self, tenant: TenantId, now: datetime) -> KeyInfo:
        """Make a new data key that seals from now on; older ones still open what they sealed."""
        ...

    def has(self, tenant: TenantId) -> bool:
        """Tell whether a tenant has keys that are not destroyed, and make none."""
        ...

    def retire(self, tenant: TenantId, below: int) -> int:
        """Destroy a tenant's data keys of a lower number, and return how many there were; nothing may need them."""
        ...

    def rewrap(self) -> int:
        """Wrap every key again under the master key that is set now, and return how many were not."""
        ...

    def check_destroyable(self, tenant: TenantId) -> None:
        """Raise Conflict for the team's own keys: the manifest and the models of all tenants hang on them."""
        ...

    def destroy(self, tenant: TenantId, now: datetime) -> int:
        """Destroy all keys of a tenant and return how many there were; again, 0."""
        ...
