"""Receipts of erasures: what one says, signed, and how it is handed out; never a token, nor the person's values."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from custody.core.digest import Digest, Json
from custody.core.errors import Conflict, NotFound
from custody.core.tenancy import Role, TenantId
from custody.data.dataset import DatasetVersion
from custody.ledger.entry import Entry
from custody.lifecycle.access import bucket
from custody.lifecycle.reach import Person
from custody.lifecycle.stores import Caller, Ports
from custody.privacy.erasure.ports import Erasure
from custody.privacy.erasure.receipt import VERSION, document, signed, text_of

_KEPT = (
    "backups of the database, its write-ahead log, archives and replicas, and backups of objects, made before. Where the project "
    "seals, they hold callers' keys, golden cases, detectors' states and all rows only under the tenant's keys"
)
_COUNTED = (
    "dataset versions, and rows in them: what was taken out. The others: what was stored when the erasure began; what came after "
    "was taken out too. An exact number could tell who it was, so all but the versions are rough"
)
NOT_COUNTED = "not counted"


def write_receipt(
    person: Person, erasure: Erasure, closed: Sequence[DatasetVersion], now: datetime, *, searched: int, last: int
) -> Digest:
    """Sign and store what an erasure did. closed: the versions that it took rows out of. searched: how many texts it looked for.

    last: number of its ledger entry `erasure.done`, which names the receipt.
    """
    ports = person.ports
    first = _begun(ports, person.tenant, erasure.id)
    owed = [one for one in person.shelf.subjects.obligations() if one.erasure == erasure.id]
    body: dict[str, Json] = {
        "version": VERSION,
        "erasure": erasure.id,
        "asked_at": erasure.asked_at.isoformat(),
        "done_at": now.isoformat(),
        "counts": _counts(person, closed, first),
        "counted": _COUNTED,
        "obligations": [
            {"id": one.id, "model": str(one.model), "state": one.state.value, "due_at": one.due_at.isoformat()} for one in owed
        ],
        "ledger": {"first": first.seq, "first_hash": first.hash, "last": last},
        "texts_searched": searched,
        "found_again": 0,
        "keeps_until_expiry": _KEPT,
        "backups_gone_by": (now + timedelta(days=ports.backup_days)).isoformat() if ports.backup_days else "",
    }
    signature = ports.signer.sign(text_of(body).encode())
    return ports.stores.objects.of(person.tenant).put(signed(body, ports.signer.key_id, signature))


def _begun(ports: Ports, tenant: TenantId, erasure: str) -> Entry:
    """Return the entry that an erasure begins with; one that a list brought back after a restore begins again."""
    pages = (
        ports.stores.ledger.page(tenant, subject=erasure, kind=kind, after=None, limit=1)
        for kind in ("subject.erased", "erasure.replayed")
    )
    return next(entry for page in pages for entry in page.items)


def _counts(person: Person, closed: Sequence[DatasetVersion], first: Entry) -> dict[str, Json]:
    """Count by kind from what outlives a killed process: the versions as they stand now, and the entry that began the erasure."""
    datasets = person.shelf.datasets
    rows = sum(one.rows - (datasets.get(one.replaced_by).rows if one.replaced_by else 0) for one in closed)
    begun = {"captures": "captures", "labels": "labels", "golden_cases": "golden", "fixture_rows": "fixtures"}
    return {
        "dataset_versions": len(closed),
        "rows": bucket(rows),
        **{kind: _roughly(first.body.get(fact)) for kind, fact in begun.items()},
    }


def _roughly(counted: Json) -> str:
    return bucket(counted) if isinstance(counted, int) else NOT_COUNTED  # an older custody began it, or a replay


def receipt_of(ports: Ports, caller: Caller, id: str) -> dict[str, Json]:  # noqa: A002 - the field's word
    """Return the receipt of an erasure as a file that anybody can check; Conflict while the erasure is not done."""
    caller.may(Role.VIEWER)
    erasure = next((one for one in ports.stores.of(caller.tenant).subjects.erasures() if one.id == id), None)
    if erasure is None:
        raise NotFound.of("erasure", id, ls="custody ledger ls --kind subject.erased")
    if erasure.receipt is None:
        raise Conflict(
            f"The erasure '{id}' is not done.",
            why="A receipt says that nothing is left." if not erasure.left else f"A text still stands in {erasure.left} places.",
            fix="Erase the person again: it goes on where it stopped.",
        )
    return document(ports.stores.objects.of(caller.tenant).get(erasure.receipt), {ports.signer.key_id: ports.signer.public_key})
