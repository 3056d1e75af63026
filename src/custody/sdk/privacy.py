"""The client's calls about personal data: scans, scrubbing, reviews, the tenant's policy."""

from collections.abc import Mapping, Sequence
from typing import Any

from custody.sdk.paths import version_path
from custody.sdk.wire import Result, Wire


class PrivacyCalls:
    """Part of `Client`."""

    wire: Wire

    def dataset_scan(self, ref: str) -> Result:
        """Scan a version for personal data again; look at `data["state"]`: only `cleared` may be used."""
        return self.wire.call("POST", f"/datasets/{version_path(ref)}/scan")

    def dataset_rescan(self, *, limit: int = 50) -> Result:
        """Scan again what was scanned under another policy or pack, or never; the oldest versions first."""
        return self.wire.call("POST", "/datasets/rescan", params={"limit": limit})

    def dataset_report(self, ref: str) -> Result:
        """Show where a version stands, its signed report, and exactly what may be claimed about it."""
        return self.wire.call("GET", f"/datasets/{version_path(ref)}/scan")

    def dataset_scrub(
        self,
        ref: str,
        *,
        columns: Mapping[str, str] | None = None,
        suppress_below_k: bool = False,
        tier: str | None = None,
        dry_run: bool = False,
    ) -> Result:
        """Make the next version without the personal data that was found.

        columns: remove, tag, pseudonymise or keep, by column; or, for declared quasi-identifiers, `band:10` of numbers, `prefix:3`
        of texts, `month` or `year` of dates. suppress_below_k: leave out the rows of groups smaller than the policy's or card's k.
        tier: default or strict, the policy's by default.
        """
        body = {"columns": dict(columns or {}), "suppress_below_k": suppress_below_k, "tier": tier}
        return self.wire.call("POST", f"/datasets/{version_path(ref)}/scrub", json=body, params={"dry_run": dry_run})

    def review_ls(self, ref: str, *, unmasked: bool = False) -> list[Any]:
        """List what waits for a person in a version, with masked context if the key may see rows; unmasked for approvers."""
        params = {"unmasked": unmasked or None}
        found: list[Any] = self.wire.call("GET", f"/datasets/{version_path(ref)}/review", params=params).data
        return found

    def review_answer(self, ref: str, items: Sequence[str], answer: str, *, reason: str = "", dry_run: bool = False) -> Result:
        """Decide that findings or single spans are `personal` or `harmless`, or sign the scan as `reviewed` without items."""
        body = {"items": list(items), "answer": answer, "reason": reason}
        return self.wire.call("POST", f"/datasets/{version_path(ref)}/review", json=body, params={"dry_run": dry_run})

    def privacy_set(self, policy: Mapping[str, Any], *, dry_run: bool = False) -> Result:
        """Set the tenant's privacy policy."""
        return self.wire.call("PUT", "/privacy", json=dict(policy), params={"dry_run": dry_run})

    def privacy_show(self) -> Result:
        """Show the tenant's privacy policy."""
        return self.wire.call("GET", "/privacy")
