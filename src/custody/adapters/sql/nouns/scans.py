"""Scans of dataset versions and the tenant's privacy policy."""

from collections.abc import Sequence

from sqlalchemy import and_, or_

from custody.adapters.sql.body import body_of, read, text_of
from custody.adapters.sql.session import OfTenant, first
from custody.adapters.sql.tables import datasets, privacy_policies
from custody.adapters.sql.tables import scans as table
from custody.core.digest import Digest
from custody.core.errors import Conflict
from custody.core.refs import DatasetRef
from custody.privacy.policy import HOUSE_POLICY, PrivacyPolicy
from custody.privacy.scans.scan import Scan


class SqlScans(OfTenant):
    """One tenant's scans and privacy policy."""

    def get(self, ref: DatasetRef) -> Scan | None:
        """Return the newest scan of a version; None if it was never scanned."""
        row = first(self._access, self._select(table).where(table.c.name == ref.name, table.c.version == ref.version))
        return None if row is None else read(Scan, row)

    def save(self, scan: Scan) -> None:
        """Store a scan in place of the version's last one."""
        key = {"name": scan.ref.name, "version": scan.ref.version}
        values = {"state": scan.state.value, "policy": scan.policy, "pack": scan.pack}
        self._replace(table, key, {**values, **body_of(scan)})

    def stale(self, policy: Digest, pack: Digest, *, limit: int) -> Sequence[DatasetRef]:
        """Return versions that were never scanned, or under another policy or pack; oldest first."""
        d, s = datasets.c, table.c
        same = and_(s.tenant == d.tenant, s.name == d.name, s.version == d.version)
        query = self._select(datasets, d.name, d.version).outerjoin_from(datasets, table, same)
        old = or_(s.version.is_(None), s.policy != policy, s.pack != pack)
        rows = self._access.rows(query.where(old).order_by(d.created_at, d.name, d.version).limit(limit))
        return [DatasetRef(row.name, row.version) for row in rows]

    def policy(self) -> PrivacyPolicy:
        """Return the tenant's newest policy; the default if it set none."""
        row = first(self._access, self._select(privacy_policies).order_by(privacy_policies.c.number.desc()))
        return HOUSE_POLICY if row is None else read(PrivacyPolicy, row)

    def add_policy(self, policy: PrivacyPolicy) -> None:
        """Store a new policy version; Conflict if the number is taken."""
        c = privacy_policies.c
        if first(self._access, self._select(privacy_policies, c.number).where(c.number == policy.number)) is not None:
            raise Conflict(
                f"Version {policy.number} of the privacy policy exists already.",
                why="Somebody else stored it in the meantime.",
                fix="Look at what is stored now, then try again: custody privacy show",
            )
        self._add(privacy_policies, number=policy.number, created_at=text_of(policy.created_at), **body_of(policy))
