"""What other processes do to a project while a test looks on."""

import os
import sys
from contextlib import closing
from pathlib import Path

from stores_world import ACME, ADA, CHURN, NOW, later, model, revision

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.sql.stores import SqlStores
from custody.core.errors import Conflict
from custody.core.tenancy import Actor, Role


def opened(url: str) -> SqlStores:
    return SqlStores(url, FolderObjects(Path("never-written")))


def upgrade(url: str, _number: int) -> bool:
    with closing(opened(url)) as stores:
        stores.upgrade()
    return True


def promote(url: str, number: int) -> list[int]:
    """Read the head, then add the next revision, 25 times; return the numbers that were added."""
    with closing(opened(url)) as stores:
        won = []
        for _ in range(25):
            with stores.change(ACME, Actor(f"worker-{number}", Role.ADMIN), NOW) as change:
                head = change.deployments.head(CHURN)
                following = revision(
                    head.number + 1 if head else 1, at=later(head.number if head else 0), actor=f"worker-{number}"
                )
                change.deployments.add(following)
                change.record("rollout.step", str(CHURN), {"revision": following.number})
            won.append(following.number)
        return won


def race(url: str, number: int) -> list[int]:
    """Decide on revisions 1 to 25 in advance, without looking; return those that this process won."""
    with closing(opened(url)) as stores:
        won = []
        for wanted in range(1, 26):
            try:
                with stores.change(ACME, Actor(f"worker-{number}", Role.ADMIN), NOW) as change:
                    change.record("rollout.step", str(CHURN), {"revision": wanted})
                    change.deployments.add(revision(wanted, actor=f"worker-{number}"))
                won.append(wanted)
            except Conflict:
                pass
        return won


def append(url: str, number: int) -> int:
    with closing(opened(url)) as stores:
        for step in range(25):
            with stores.change(ACME, Actor(f"worker-{number}", Role.ADMIN), later(step)) as change:
                change.record("test.step", f"worker@{number}", {"step": step})
    return 25


def hang(url: str) -> None:
    """Write for ever in a transaction that is never finished, and say so."""
    stores = opened(url)
    with stores.change(ACME, ADA, NOW) as change:
        for version in range(1, 200):
            change.models.add(model(version=version))
            change.record("model.converted", f"churn@{version}", {})
        os.write(1, b"deep inside\n")
        sys.stdin.read()


if __name__ == "__main__":
    hang(sys.argv[1])
