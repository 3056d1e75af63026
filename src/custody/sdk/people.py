"""The client's verbs for people's rights and for the keys that seal."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from custody.sdk.wire import Result, Wire


class People:
    """Erasure, obligations, access requests, encryption; every verb that changes something returns its ledger entry."""

    wire: Wire

    def erase(
        self, subject: str, *, days: int = 30, owner: str = "", canaries: Sequence[str] = (), dry_run: bool = False
    ) -> Result:
        """Erase one person everywhere; canaries: further texts of theirs that must be found nowhere afterwards."""
        body = {"subject": subject, "days": days, "owner": owner, "canaries": list(canaries)}
        return self.wire.call("POST", "/erasures", params={"dry_run": dry_run}, json=body)

    def erasure_receipt(self, id: str) -> Result:  # noqa: A002
        """Return the signed receipt of an erasure, as a file that anybody can check: `custody erase verify FILE`."""
        return self.wire.call("GET", f"/erasures/{quote(id, safe='')}/receipt")

    def obligation_ls(self, *, only_open: bool = False) -> Result:
        """List what models owe after erasures, those due first at the front."""
        return self.wire.call("GET", "/obligations", params={"open": only_open})

    def obligation_answer(self, id: str, answer: str, *, dry_run: bool = False, **more: Any) -> Result:  # noqa: A002
        """Close an obligation: `retrain` with evidence=RUN, `exclude`, or `accept` with evidence=GROUND and approver=NAME."""
        body = {"answer": answer, **{name: value for name, value in more.items() if value}}
        return self.wire.call("POST", f"/obligations/{quote(id, safe='')}/answer", params={"dry_run": dry_run}, json=body)

    def subject_export(self, subject: str) -> tuple[bytes, int]:
        """Return everything about one person as a zip, with the number of the entry that recorded it."""
        response = self.wire.send("POST", "/subjects/export", json={"subject": subject})
        return response.content, int(response.headers["X-Custody-Ledger"])

    def encryption_ls(self) -> Result:
        """List data keys, never their secrets."""
        return self.wire.call("GET", "/encryption/keys")

    def encryption_rotate(self, *, master: bool = False, dry_run: bool = False) -> Result:
        """Make a new data key for the tenant; master: wrap every data key again under the master key that is set now."""
        return self.wire.call("POST", "/encryption/rotate", params={"master": master, "dry_run": dry_run})

    def encryption_reseal(
        self, *, retire: bool = False, dry_run: bool = False, progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> Result:
        """Seal everything of the tenant under its newest data key, stretch by stretch; retire: then destroy the older keys.

        progress: called with how many documents were looked at, and how many there are. Killed, it goes on when called again.
        """
        after, looked, changed = "", 0, 0
        while True:
            given: dict[str, Any] = {"after": after, "retire": retire, "dry_run": dry_run}
            part = self.wire.call("POST", "/encryption/reseal", params=given)
            looked, changed, after = looked + part.data["looked"], changed + part.data["changed"], part.data["after"]
            progress(looked, looked - part.data["looked"] + part.data["total"])
            if part.data["done"]:
                data = {**part.data, "looked": looked, "changed": changed}
                del data["after"], data["total"]
                return replace(part, data=data)

    def encryption_destroy(self, *, reason: str, dry_run: bool = False) -> Result:
        """Destroy all keys of the tenant: nothing that they sealed can ever be read, no pseudonym be linked again."""
        return self.wire.call("POST", "/encryption/destroy", params={"dry_run": dry_run}, json={"reason": reason})
