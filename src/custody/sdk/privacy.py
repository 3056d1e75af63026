"""The client's verbs about people's data: consent."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from custody.sdk.paths import path_of
from custody.sdk.wire import Result, Wire


class PrivacyVerbs:
    """What people said about the use of their data."""

    wire: Wire

    def consent_add(self, rows: Sequence[Mapping[str, Any]], *, source: str = "", dry_run: bool = False) -> Result:
        """Record what people said: subject, purpose, status, valid_from, and optionally valid_to, source, notice, children.

        The server keeps a keyed token of each person. The same rows again add nothing, but say that the source is up to date.
        """
        body = {"rows": [dict(row) for row in rows], "source": source}
        return self.wire.call("POST", "/consents", json=body, params={"dry_run": dry_run})

    def consent_ls(self, *, subject: str | None = None) -> Iterator[Any]:
        """List consent records, newest first; subject: one person, as your own systems name them."""
        return self.wire.pages("/consents", params={"subject": subject})

    def consent_check(self, dataset: str, *, purpose: str, at: str | None = None) -> Result:
        """Say how many rows of a dataset version a training for a purpose would get, and why not the others."""
        return self.wire.call("GET", f"/consents/check/{path_of(dataset)}", params={"purpose": purpose, "at": at})
