"""No byte of PostgreSQL (heap, statistics, write-ahead log, server log, backups) ever holds a person's texts in a sealing project.

What was stored plainly before is gone from everything but the log's old segments and backups, which the receipt names.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from erasure_world import ACME, KEYS, Place, bucket_for, fill, project
from postgres_server import postgres
from sqlalchemy import make_url, select
from stores_world import ADA, CHURN, NOW

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.keys.texts import SealedTexts
from custody.adapters.blobs.open import open_objects
from custody.adapters.blobs.sealed import SealedObjects
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import golden_sets, labels
from custody.core.errors import Denied
from custody.lifecycle.forget import Forgotten, forget
from custody.lifecycle.sealing import destroy
from custody.lifecycle.stores import Caller
from custody.privacy.erasure.ports import ErasureState
from custody.privacy.erasure.spelling import stands_in

_LOOKS = 20
LOUD = ("log_statement = 'all'", "log_min_duration_statement = 0", "log_parameter_max_length_on_error = -1")


class Server:
    """The server that holds one database: its folder on this machine, and everything that it writes there."""

    def __init__(self, url: str) -> None:
        self.url, where = url, make_url(url)
        self.at = {"host": str(where.host), "port": str(where.port), "user": str(where.username)}
        with self._connect() as connection:
            for setting in LOUD:  # the worst case: every statement and each of its values goes into the server's log
                connection.execute(f"alter database {where.database} set {setting}".encode())
            found = connection.execute("show data_directory").fetchone()
        assert found is not None
        self.folder = Path(found[0])

    def _connect(self) -> "psycopg.Connection[tuple[str, ...]]":
        return psycopg.connect(**self.at, dbname=make_url(self.url).database, autocommit=True)  # type: ignore[arg-type]

    def run(self, *statements: str) -> None:
        with self._connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def holding(self, *texts: str, but: str = "never") -> list[str]:
        """Return the files, below the data folder and beside it (the log), in which a text stands.

        The server goes on writing meanwhile: where a file went away before it was read, perhaps to another name, all are read again.
        """
        for _ in range(_LOOKS):
            try:
                files = [path for path in [*self.folder.rglob("*"), self.folder.parent / "log"] if path.is_file()]
                bodies = [(path, path.read_bytes()) for path in files if but not in str(path)]
            except FileNotFoundError:
                continue
            return [str(path) for path, body in bodies if any(stands_in(body, one) for one in texts)]
        raise AssertionError(f"The server's files did not hold still in {_LOOKS} looks.")

    def backup(self, tool: str, *options: str) -> None:
        binary = next(path for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{tool}"), reverse=True))
        at = [f"--host={self.at['host']}", f"--port={self.at['port']}", f"--username={self.at['user']}"]
        subprocess.run([str(binary), *at, *options], check=True, capture_output=True, timeout=120)


@pytest.fixture
def server() -> Iterator[Server]:
    """Run a server for one test: the databases of the others would be read and backed up with its own."""
    with postgres() as fresh:
        yield Server(fresh())


@pytest.fixture(params=[True, False], ids=["sealed", "plain"])
def place(request: pytest.FixtureRequest, server: Server, s3_url: str, tmp_path: Path) -> Iterator[Place]:
    home = tmp_path / "project"
    home.mkdir()
    with bucket_for(s3_url) as (url, client, name), project(home, server.url, url, sealing=request.param) as made:
        made.bucket, made.name = client, name
        yield made


def erased(place: Place) -> Forgotten:
    done, _ = forget(place.ports, Caller(ACME, ADA, NOW), place.who, canaries=[place.canary])
    assert (done.state, done.left) == (ErasureState.DONE, ())
    return done


@pytest.mark.parametrize("place", [True], indirect=True, ids=["sealed"])
def test_no_text_of_a_person_is_ever_in_any_file_of_the_server_or_in_a_backup(
    place: Place, server: Server, tmp_path: Path
) -> None:
    fill(place)
    with place.ports.stores.change(ACME, ADA, NOW) as change:
        change.monitors.set_state(CHURN, "slices", json.dumps([f"note is {place.canary}"]))
    server.run("analyze", "checkpoint")
    assert place.canary in json.loads(place.ports.stores.of(ACME).monitors.state(CHURN, "slices") or "[]")[0]
    with place.ports.stores.change(ACME, ADA, NOW) as change:
        change.monitors.set_state(CHURN, "slices", "[]")
    assert server.holding(place.who, place.canary) == []
    server.backup("pg_basebackup", f"--pgdata={tmp_path / 'base'}", "--wal-method=stream", "--checkpoint=fast")
    server.backup("pg_dump", f"--file={tmp_path / 'dump.sql'}", make_url(server.url).database or "")
    erased(place)
    assert server.holding(place.who, place.canary) == []
    backups = [path for path in [*(tmp_path / "base").rglob("*"), tmp_path / "dump.sql"] if path.is_file()]
    assert any(b"nothing" in path.read_bytes() or b"labels" in path.read_bytes() for path in backups)
    assert not [path for path in backups if stands_in(path.read_bytes(), place.who) or stands_in(path.read_bytes(), place.canary)]
    assert all(not stands_in(body, text) for body in place.raw() for text in (place.who, place.canary))


@pytest.mark.parametrize("place", [False], indirect=True, ids=["plain"])
def test_a_plain_project_keeps_texts_only_where_the_receipt_says(place: Place, server: Server) -> None:
    fill(place)
    server.run("analyze", "checkpoint")
    assert [one for one in server.holding(place.who) if "/base/" in one]
    done = erased(place)
    server.run("checkpoint")
    assert server.holding(place.who, place.canary, but="pg_wal") == [str(server.folder.parent / "log")]  # its writes were logged
    assert done.receipt is not None
    receipt = json.loads(json.loads(place.ports.stores.objects.of(ACME).get(done.receipt))["receipt"])
    assert "write-ahead log" in receipt["keeps_until_expiry"]
    assert receipt["backups_gone_by"] == "2026-03-31T12:30:15.123456+00:00"


def copied(place: Place, folder: Path) -> FolderObjects:
    """Copy what a bucket holds into another store, as a backup does."""
    made, inner = FolderObjects(folder), open_objects(place.url, environ=KEYS)
    for name in inner.names(""):
        body = inner.read(name)
        assert body is not None
        made.publish(name, body)
    return made


@pytest.mark.parametrize("place", [True], indirect=True, ids=["sealed"])
def test_an_old_copy_of_the_objects_cannot_be_read_once_the_tenants_keys_are_destroyed(place: Place, tmp_path: Path) -> None:
    fill(place)
    part = place.ports.stores.of(ACME).datasets.latest("tickets")
    assert part is not None
    ring = KeyRing(FolderObjects(place.folder / "ring"), LocalMaster(bytes(32), "test"))
    old = SealedObjects(copied(place, tmp_path / "backup"), ring).of(ACME)
    assert place.who in str(place.ports.tables.from_parquet(old.get(part.parts[0].object)).column("who").to_pylist())
    erased(place)
    destroy(place.ports, Caller(ACME, ADA, NOW), reason="the contract ended")
    ring = KeyRing(FolderObjects(place.folder / "ring"), LocalMaster(bytes(32), "test"))
    restored = SealedObjects(FolderObjects(tmp_path / "backup"), ring).of(ACME)
    with pytest.raises(Denied, match="can never be read again"):
        restored.get(part.parts[0].object)
    with pytest.raises(Denied, match="can never be read again"):
        place.ports.stores.of(ACME).labels.names(CHURN)  # and so are names in an old copy of the database


def test_what_stood_plainly_is_sealed_when_the_project_begins_to_seal(database_url: str, tmp_path: Path) -> None:
    url = str(tmp_path / "objects")
    with project(tmp_path, database_url, url, sealing=False) as place:
        fill(place)
        before, golden = place.ports.stores.of(ACME).labels.names(CHURN), place.ports.stores.of(ACME).gates.golden("churn")
    with closing(SqlStores(database_url, open_objects(url), _texts(tmp_path, sealing=True))) as stores:
        stores.upgrade()
        shelf = stores.of(ACME)
        assert (shelf.labels.names(CHURN), shelf.gates.golden("churn")) == (before, golden)
        with stores._engines.read.connect() as connection:
            stored = [*connection.execute(select(labels.c.prediction)), *connection.execute(select(golden_sets.c.body))]
        assert not [one for (one,) in stored if stands_in(one.encode(), place.who) or stands_in(one.encode(), place.canary)]
        assert not [path for path in tmp_path.glob("custody.db*") if stands_in(path.read_bytes(), place.canary)]
    with closing(SqlStores(database_url, open_objects(url), _texts(tmp_path, sealing=False))) as stores:
        stores.upgrade()
        assert stores.of(ACME).labels.value_of(CHURN, [place.who]) is not None  # and stays readable when it ends


def _texts(home: Path, *, sealing: bool) -> SealedTexts:
    return SealedTexts(KeyRing(FolderObjects(home / "ring"), LocalMaster(bytes(32), "test")), sealing=sealing)
