"""The database's version, and what a user reads when the database does not answer."""

import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, text
from stores_world import ACME, ADA, CHURN, NOW, dataset, label, model

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.sql.body import body_of
from custody.adapters.sql.engine import open_engines
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import metadata, models
from custody.adapters.sql.upgrade import VERSION, _run, version_of
from custody.core.errors import Conflict, CustodyError, IntegrityBroken, InvalidInput, Unavailable
from custody.core.refs import DatasetRef


def opened(url: str) -> SqlStores:
    return SqlStores(url, FolderObjects(Path("never-written")))


def no_secret(error: CustodyError, *secrets: str) -> None:
    said = str(error).lower()
    assert error.what
    for word in ("select ", "insert ", "sqlalche", "psycopg", "sqlite3", *secrets):
        assert word not in said


def test_the_versions_lead_to_the_tables_of_the_code(stores: SqlStores) -> None:
    with stores._engines.write.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_codes_version_is_the_newest_one(stores: SqlStores) -> None:
    with stores._engines.read.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == version_of(connection) == VERSION


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.models.add(model())
        stores.upgrade()  # nor does it wait for the writer
    assert stores.of(ACME).models.latest("churn") == model()


def test_what_an_older_version_stored_is_kept_by_the_upgrade(database_url: str) -> None:
    with closing(opened(database_url)) as stores:
        with stores._engines.write.begin() as connection:
            _run(connection, "0001")
        place = {"tenant": ACME, "name": "churn", "version": 1, "artifact": model().artifact, "run_id": "run-1"}
        with stores.change(ACME, ADA, NOW) as change:
            change._access.write(insert(models).values(**place, created_at="2026", **body_of(model())))
            change.record("model.converted", "churn@1", {})
        stores.upgrade()
        assert stores.of(ACME).models.latest("churn") == model()
        assert stores.of(ACME).subjects.reached([DatasetRef("tickets", 1)]).models == (model().ref,)
        assert list(stores.of(ACME).labels.draws(CHURN)) == []
        assert [entry.kind for entry in stores.ledger.entries()] == ["model.converted"]


def test_the_people_in_further_columns_are_indexed_anew(database_url: str) -> None:
    plain = dataset(version=2)
    pairs = replace(dataset(), card=replace(dataset().card, further_subject_keys=("a", "b")))
    with closing(opened(database_url)) as stores:
        with stores._engines.write.begin() as connection:
            _run(connection, "0005")
        with stores.change(ACME, ADA, NOW) as change:
            for each in (pairs, plain):
                change.datasets.add(each)
                change.subjects.index(each.ref, [["token"]])
        stores.upgrade()
        assert stores.of(ACME).datasets.unindexed() == [pairs.ref]


def test_of_older_batches_all_rows_count_as_answered(database_url: str) -> None:
    with closing(opened(database_url)) as stores:
        with stores._engines.write.begin() as connection:
            _run(connection, "0006")
            connection.execute(text("insert into captures values (" + ", ".join(["'1'"] * 11) + ")"))
        stores.upgrade()
        with stores._engines.read.connect() as connection:
            assert connection.execute(text("select rows, answered from captures")).all() == [(1, 1)]


def test_a_database_that_is_newer_than_the_code_is_left_alone(stores: SqlStores) -> None:
    with stores._engines.write.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(Conflict, match="has version 9999") as raised:
        stores.upgrade()
    assert raised.value.fix == "pip install --upgrade custody-ml"


def test_every_key_and_index_of_a_tenants_table_begins_with_the_tenant() -> None:
    of_the_project = {"tenants", "keys", "ledger", "checkpoints", "sealings"}
    for table in metadata.sorted_tables:
        keys = [] if table.name in of_the_project else [[*table.primary_key.columns]]
        keys += [] if table.name == "keys" else [[*index.columns] for index in table.indexes]
        assert all(key[0].name == "tenant" for key in keys), table.name


def test_a_database_without_tables_names_the_command_that_makes_them(database_url: str) -> None:
    with closing(opened(database_url)) as stores, pytest.raises(Unavailable, match="no tables yet") as raised:
        stores.of(ACME).models.latest("churn")
    no_secret(raised.value)


def test_a_writer_that_waits_too_long_is_told_to_try_again(stores: SqlStores, database_url: str) -> None:
    patience = "set lock_timeout = '20ms'" if database_url.startswith("postgresql") else "pragma busy_timeout = 20"
    with closing(opened(database_url)) as other:
        with other._engines.write.begin() as connection:
            connection.execute(text(patience))
        with stores.change(ACME, ADA, NOW) as change:
            change.models.add(model())
            with pytest.raises(Unavailable, match="busy") as raised, other.change(ACME, ADA, NOW):
                pytest.fail("two writers at once")
        no_secret(raised.value)
        with other.change(ACME, ADA, NOW) as change:
            assert change.models.latest("churn") == model()


def test_a_full_disk_is_said_and_undoes_the_change(tmp_path: Path) -> None:
    with closing(opened(f"sqlite:///{tmp_path}/custody.db")) as stores:
        stores.upgrade()
        with stores._engines.write.begin() as connection:
            pages = connection.execute(text("pragma page_count")).scalar_one()
            connection.execute(text(f"pragma max_page_count = {pages + 2}"))
        labels = [label(f"p-{number}") for number in range(5000)]
        with pytest.raises(Unavailable, match="database is full") as raised, stores.change(ACME, ADA, NOW) as change:
            change.labels.add(labels)
        no_secret(raised.value, "p-1")
        assert stores.of(ACME).labels.count(CHURN) == 0


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with closing(opened(f"sqlite:///{tmp_path}/nowhere/custody.db")) as stores:
        with pytest.raises(Unavailable, match="cannot be opened") as raised:
            stores.upgrade()
        no_secret(raised.value)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "custody.db").write_bytes(b"this is not a database at all, but long enough to be read as one" * 100)
    with closing(opened(f"sqlite:///{tmp_path}/custody.db")) as stores:
        with pytest.raises(IntegrityBroken, match="damaged") as raised:
            stores.of(ACME).models.latest("churn")
        no_secret(raised.value)


def test_a_server_that_is_down_is_said_without_the_password() -> None:
    pytest.importorskip("psycopg", reason="pip install 'custody-ml[postgres]'")
    with closing(opened("postgresql://ada:hunter2@127.0.0.1:1/custody")) as stores:
        with pytest.raises(Unavailable, match="PostgreSQL does not answer") as raised:
            stores.of(ACME).models.latest("churn")
        no_secret(raised.value, "hunter2")


def test_a_missing_driver_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidInput) as raised:
        open_engines("postgresql://ada:hunter2@127.0.0.1/custody")
    assert raised.value.fix == "pip install 'custody-ml[postgres]'"
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["", "custody.db", "mysql://ada:hunter2@host/db", "sqlite://", "sqlite:///:memory:", "nonsense://hunter2"]
)
def test_what_is_no_database_is_refused_without_showing_the_url(url: str) -> None:
    with pytest.raises(InvalidInput, match="not the URL of a database") as raised:
        open_engines(url)
    assert "hunter2" not in str(raised.value)


def test_sqlite_is_opened_for_durability(tmp_path: Path) -> None:
    with closing(opened(f"sqlite:///{tmp_path}/custody.db")) as stores:
        stores.upgrade()
        with stores._engines.write.begin() as connection:
            settings = {
                name: connection.execute(text(f"pragma {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "secure_delete")
            }
        assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
        with stores._engines.read.connect() as connection, pytest.raises(Exception, match="readonly"):
            connection.execute(text("delete from models"))


def test_an_old_reader_does_not_guess_at_a_newer_format(tmp_path: Path) -> None:
    with closing(opened(f"sqlite:///{tmp_path}/custody.db")) as stores:
        stores.upgrade()
        with stores.change(ACME, ADA, NOW) as change:
            change.models.add(model())
        with closing(sqlite3.connect(tmp_path / "custody.db")) as raw, raw:
            raw.execute("update models set format = 2")
        with pytest.raises(Conflict, match="format 2"):
            stores.of(ACME).models.latest("churn")
