"""Texts of people that stood plainly before a project sealed: sealed once, whatever comes between, on every database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.keys.texts import SealedTexts
from custody.adapters.sql import sealing
from custody.adapters.sql.residue import scrub
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import labels, sealings
from custody.core.errors import Unavailable
from custody.core.keys import MARK
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Actor, Role, TenantId
from custody.feedback.label import Label

KEY = DeploymentKey(TenantId("acme"), "prod", "churn")
ADA, NOW = Actor("ada", Role.ADMIN), datetime(2026, 1, 1, tzinfo=UTC)
NAMES = [*(f"person{n}@example.org" for n in range(20)), *(f"zora{n}@example.org" for n in range(5))]  # around "sealed:"


@contextmanager
def opened(url: str, folder: Path, *, sealing: bool) -> Iterator[SqlStores]:
    ring = KeyRing(FolderObjects(folder / "ring"), LocalMaster(bytes(32), "test"))
    stores = SqlStores(url, FolderObjects(folder / "objects"), SealedTexts(ring, sealing=sealing))
    try:
        stores.upgrade()
        yield stores
    finally:
        stores.close()


def say(stores: SqlStores, *names: str, days: int = 0) -> None:
    with stores.change(KEY.tenant, ADA, NOW) as change:
        change.labels.add([Label(KEY, name, "Yes", "outcome", NOW + timedelta(days=days), "ada") for name in names])


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


def test_a_work_that_was_killed_goes_on_with_the_next_opening(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    pages, seal_page = list[int](), sealing._seal_page

    def killed(*args: Any) -> None:
        pages.append(1)
        if len(pages) > 1:
            raise Killed
        seal_page(*args)

    monkeypatch.setattr(sealing, "_MANY", 10)
    with opened(database_url, tmp_path, sealing=False) as stores:
        say(stores, *NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "_seal_page", killed)
        with pytest.raises(Killed), opened(database_url, tmp_path, sealing=True):
            pass
    with closing(SqlStores(database_url, FolderObjects(tmp_path / "objects"))) as half:
        assert (len(plain(half)), state(half)) == (15, sealing.BEGUN)
    with opened(database_url, tmp_path, sealing=True) as stores:
        assert (plain(stores), state(stores)) == ([], sealing.DONE)


def test_pages_that_could_not_be_given_back_are_with_the_next_opening(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_: object) -> None:
        raise Unavailable("Others hold the database.")

    scrubbed = list[bool]()
    with opened(database_url, tmp_path, sealing=False) as stores:
        say(stores, *NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "scrub", busy)
        with opened(database_url, tmp_path, sealing=True) as stores:
            assert (plain(stores), state(stores)) == ([], sealing.BEGUN)
    monkeypatch.setattr(sealing, "scrub", lambda _: scrubbed.append(True))
    for _ in range(2):
        with opened(database_url, tmp_path, sealing=True) as stores:
            assert state(stores) == sealing.DONE
    assert scrubbed == [True]


def test_what_another_process_said_meanwhile_is_not_overwritten(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(_: object) -> None:
        with opened(database_url, tmp_path, sealing=False) as other:
            say(other, "late@example.org")

    with opened(database_url, tmp_path, sealing=False) as stores:
        say(stores, *NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "scrub", meanwhile)
        with opened(database_url, tmp_path, sealing=True) as stores:
            assert (plain(stores), state(stores)) == (["late@example.org"], None)
    with opened(database_url, tmp_path, sealing=True) as stores:
        assert (plain(stores), state(stores)) == ([], sealing.DONE)


def test_a_database_that_others_write_is_opened_and_cleaned_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "custody.db"

    def held(engines: Any) -> None:
        with closing(sqlite3.connect(file)) as other:
            other.execute("begin immediate")
            with closing(engines.write.raw_connection()) as mine:
                mine.driver_connection.execute("pragma busy_timeout = 100")  # instead of ten seconds
            scrub(engines)

    with opened(f"sqlite:///{file}", tmp_path, sealing=False) as stores:
        say(stores, *NAMES)
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "scrub", held)
        with opened(f"sqlite:///{file}", tmp_path, sealing=True) as stores:
            assert (plain(stores), state(stores)) == ([], sealing.BEGUN)
    with opened(f"sqlite:///{file}", tmp_path, sealing=True) as stores:
        assert state(stores) == sealing.DONE


@pytest.mark.parametrize("later", ["plain", "sealed"])
def test_of_a_label_that_stands_plainly_and_sealed_the_later_stays(database_url: str, tmp_path: Path, later: str) -> None:
    with opened(database_url, tmp_path, sealing=True) as stores:
        say(stores, "twin@example.org", days=1)
        old = SqlStores(database_url, FolderObjects(tmp_path / "objects"))
        say(old, "twin@example.org", days=2 if later == "plain" else 0)
        old.close()
        assert plain(stores) == ["twin@example.org"]
    with opened(database_url, tmp_path, sealing=False):
        pass
    with opened(database_url, tmp_path, sealing=True) as stores:
        assert plain(stores) == []
        (found,) = [stores.of(KEY.tenant).labels.value_of(KEY, ["twin@example.org"])]
        assert found is not None
        assert found.received_at == NOW + timedelta(days=2 if later == "plain" else 1)


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
