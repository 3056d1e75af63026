"""Who read rows: each read of rows by a person or a key is in the ledger, written in the reader's own transaction."""

from custody.core.digest import Json, digest_of_json
from custody.lifecycle.stores import Caller, Ports

BUCKETS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)


def bucket(rows: int) -> str:
    """Return how many rows, roughly: an exact number could tell who is in them.

    >>> bucket(0), bucket(7), bucket(250)
    ('0', '1 to 9', '100 to 999')
    """
    if rows <= 0:
        return "0"
    low = max(limit for limit in BUCKETS if limit <= rows)
    return f"{low} to {low * 10 - 1}" if low < BUCKETS[-1] else f"{low} or more"


def access(ports: Ports, caller: Caller, subject: str, query: dict[str, Json], *, rows: int, purpose: str) -> int:
    """Record that rows were read: who, what of, what for, the digest of the question, how many roughly.

    One entry a question, however many rows it answers. Raises what a change raises; then no row may be handed out.
    """
    with ports.stores.change(caller.tenant, caller.actor, caller.now) as change:
        facts: dict[str, Json] = {"query": digest_of_json(query), "rows": bucket(rows), "purpose": purpose}
        return change.record("rows.read", subject, facts).seq
