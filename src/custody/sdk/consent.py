"""The client's verbs about people's data: cards, consent, exports."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from custody.sdk.paths import segment, version_path
from custody.sdk.wire import Result, Wire


class PrivacyVerbs:
    """What people said about the use of their data."""

    wire: Wire

    def dataset_card(self, ref: str, form: str = "plain") -> Result:
        """Show a card in plain sentences, or in a standard: croissant, dps, spdx, dpv, odrl."""
        return self.wire.call("GET", f"/datasets/{version_path(ref)}/card", params={"form": form})

    def card_check(self, card: Mapping[str, Any]) -> Result:
        """Check a card without storing it; InvalidInput names every fault."""
        return self.wire.call("POST", "/cards/check", json=json.loads(json.dumps(dict(card), default=str)))

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
        return self.wire.call("GET", f"/consents/check/{version_path(dataset)}", params={"purpose": purpose, "at": at})

    def export_rows(
        self,
        name: str,
        dataset: str,
        *,
        purpose: str,
        recipient: str,
        days: int = 7,
        columns: Sequence[str] = (),
        dry_run: bool = False,
    ) -> Result:
        """Allow that rows of a dataset version leave under a name, for a purpose, to somebody, for some days."""
        body = {
            "name": name,
            "dataset": dataset,
            "purpose": purpose,
            "recipient": recipient,
            "days": days,
            "columns": list(columns),
        }
        return self.wire.call("POST", "/exports", json=body, params={"dry_run": dry_run})

    def export_ls(self) -> Iterator[Any]:
        """List exports, newest first."""
        return self.wire.pages("/exports")

    def export_get(self, name: str) -> bytes:
        """Return the rows of an export as Parquet; Denied after its end. Every call is in the ledger."""
        return self.wire.send("GET", f"/exports/{segment(name)}/rows").content

    def export_identify(self, file: str | Path) -> Result:
        """Say which export a Parquet file came from, by its metadata or by the order of its rows."""
        return self.wire.call("POST", "/exports/identify", files={"file": ("rows", Path(file).read_bytes())})
