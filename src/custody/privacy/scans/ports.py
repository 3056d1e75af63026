"""What scans need from storage: the newest scan of each version and the tenant's policy; and the keys of pseudonyms."""

from collections.abc import Sequence
from typing import Protocol

from custody.core.digest import Digest
from custody.core.refs import DatasetRef
from custody.core.tenancy import TenantId
from custody.privacy.pseudonym import PseudonymKey
from custody.privacy.rules import PrivacyPolicy
from custody.privacy.scans.scan import Scan


class Scans(Protocol):
    """One tenant's scans and privacy policy."""

    def get(self, ref: DatasetRef) -> Scan | None:
        """Return the newest scan of a version; None if it was never scanned."""
        ...

    def save(self, scan: Scan) -> None:
        """Store a scan in place of the version's last one."""
        ...

    def stale(self, policy: Digest, pack: Digest, *, limit: int) -> Sequence[DatasetRef]:
        """Return versions that were never scanned, or under another policy or pack; oldest first."""
        ...

    def policy(self) -> PrivacyPolicy:
        """Return the tenant's newest policy; the default if it set none."""
        ...

    def add_policy(self, policy: PrivacyPolicy) -> None:
        """Store a new policy version; Conflict if the number is taken."""
        ...


class PseudonymKeys(Protocol):
    """Keeps each tenant's key for pseudonyms outside of the data's store."""

    def of(self, tenant: TenantId) -> PseudonymKey:
        """Return a tenant's key, made when it is first asked for; Denied once it is destroyed."""
        ...

    def has(self, tenant: TenantId) -> bool:
        """Tell whether a tenant has a key, and make none."""
        ...

    def destroy(self, tenant: TenantId) -> bool:
        """Destroy a tenant's key for good and tell whether there was one: its pseudonyms link to nobody any more."""
        ...
