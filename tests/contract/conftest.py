"""The real servers that contract suites run against: a private PostgreSQL and an S3-speaking server, both on loopback."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.sql.stores import SqlStores


def _not_installed(message: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _postgres_binaries() -> Path:
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    for folder in reversed(found):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return _not_installed("PostgreSQL is not installed; to run these tests: apt-get install postgresql")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _start(binaries: Path, folder: Path, user: str | None) -> tuple[subprocess.Popen[bytes], int]:
    import psycopg

    port = _free_port()
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=100"]
    command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
    for setting in settings:
        command += ["-c", setting]
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(command, cwd=folder, user=user, group=user, stdout=log, stderr=log)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", connect_timeout=2).close()
            return server, port
        time.sleep(0.05)
    server.kill()
    server.wait(10)
    return pytest.fail("PostgreSQL did not start:\n" + (folder / "log").read_text(errors="replace"))


@pytest.fixture(scope="session")
def fresh_postgres() -> Iterator[Callable[[], str]]:
    """Hand out a function that creates a new empty database on a private server and returns its SQLAlchemy URL."""
    import psycopg

    binaries = _postgres_binaries()
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user:
            shutil.chown(folder, user, user)
        init = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust"]
        init += ["-E", "UTF8", "--no-locale", "-N"]
        done = subprocess.run(init, cwd=folder, user=user, group=user, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        server, port = _start(binaries, folder, user)
        number = count(1)

        def fresh() -> str:
            name = f"custody_{next(number)}"
            with psycopg.connect(host="127.0.0.1", port=port, user="postgres", autocommit=True) as connection:
                connection.execute(f"create database {name}".encode())
            return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"

        yield fresh
        server.send_signal(signal.SIGINT)  # fast shutdown: connections are cut
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres_url(fresh_postgres: Callable[[], str]) -> str:
    """Return the URL of an empty PostgreSQL database that this test module has to itself."""
    return fresh_postgres()


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Return the URL of a bucket on an S3-speaking server; any credentials open it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "test-only", "aws_secret_access_key": "test-only"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="contract")
        client.close()
        yield f"s3://contract?endpoint={endpoint}&region=us-east-1"
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the SQLAlchemy URL of an empty database, once for each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/custody.db"
    fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
    return fresh()


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[SqlStores]:
    """Return the stores of an empty project."""
    opened = SqlStores(database_url, FolderObjects(tmp_path / "objects"))
    opened.upgrade()
    yield opened
    opened.close()
