"""Texts of people that stood plainly before a project sealed: sealed once, whatever comes between, on every database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.keys.texts import MARK, SealedTexts
from custody.adapters.sql import sealing
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import labels, sealings
from custody.core.errors import Unavailable
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Actor, Role, TenantId
from custody.feedback.label import Label

KEY = DeploymentKey(TenantId("acme"), "prod", "churn")
ADA, NOW = Actor("ada", Role.ADMIN), datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [f"person{n}@example.org" for n in range(25)]


@contextmanager
def opened(url: str, folder: Path, *, sealing: bool) -> Iterator[SqlStores]:
    ring = KeyRing(FolderObjects(folder / "ring"), LocalMaster(bytes(32), "test"))
    stores = SqlStores(url, FolderObjects(folder / "objects"), SealedTexts(ring, sealing=sealing))
    try:
        stores.upgrade()
        yield stores
    finally:
        stores.close()


def say(stores: SqlStores, *names: str) -> None:
    with stores.change(KEY.tenant, ADA, NOW) as change:
        change.labels.add([Label(KEY, name, "Yes", "outcome", NOW, "ada") for name in names])


def plain(stores: SqlStores) -> list[str]:
    with stores._engines.read.connect() as connection:
        return [one for one in connection.execute(select(labels.c.prediction)).scalars() if not one.startswith(MARK)]


def state(stores: SqlStores) -> int | None:
    with stores._engines.read.connect() as connection:
        found: int | None = connection.execute(select(sealings.c.version)).scalar()
        return found


def test_all_pages_are_sealed_and_every_name_is_found(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_MANY", 10)
    with opened(database_url, tmp_path, sealing=False) as stores:
        say(stores, *NAMES)
        assert (sorted(plain(stores)), state(stores)) == (sorted(NAMES), None)
    with opened(database_url, tmp_path, sealing=True) as stores:
        assert (plain(stores), state(stores)) == ([], sealing.DONE)
        assert list(stores.of(KEY.tenant).labels.names(KEY)) == sorted(NAMES)
    with opened(database_url, tmp_path, sealing=False) as stores:
        assert state(stores) is None


def test_a_work_that_was_stopped_goes_on_with_the_next_opening(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> bool:
        raise Killed

    scrubbed = list[bool]()
    with opened(database_url, tmp_path, sealing=False) as stores:
        say(stores, *NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "_seal_row", killed)
        with pytest.raises(Killed), opened(database_url, tmp_path, sealing=True):
            pass

    def busy(_: object) -> None:
        raise Unavailable("Others hold the database.")

    with monkeypatch.context() as patch:
        patch.setattr(sealing, "scrub", busy)
        with opened(database_url, tmp_path, sealing=True) as stores:
            assert (plain(stores), state(stores)) == ([], sealing.BEGUN)
    monkeypatch.setattr(sealing, "scrub", lambda _: scrubbed.append(True))
    for _ in range(2):
        with opened(database_url, tmp_path, sealing=True) as stores:
            assert state(stores) == sealing.DONE
    assert scrubbed == [True]


def test_a_label_that_an_older_process_wrote_plainly_is_deleted_too(database_url: str, tmp_path: Path) -> None:
    with opened(database_url, tmp_path, sealing=True) as stores:
        say(stores, *NAMES)
        old = SqlStores(database_url, FolderObjects(tmp_path / "objects"))
        say(old, "late@example.org")
        old.close()
        assert plain(stores) == ["late@example.org"]
        with stores.change(KEY.tenant, ADA, NOW) as change:
            assert change.labels.forget(KEY, ["late@example.org", NAMES[0]]) == 2
        assert plain(stores) == []
        assert len(stores.of(KEY.tenant).labels.names(KEY)) == len(NAMES) - 1
