"""A PostgreSQL server of the tests' own, on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest


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
        with suppress(psycopg.OperationalError):
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", connect_timeout=2).close()
            return server, port
        time.sleep(0.05)
    server.kill()
    server.wait(10)
    return pytest.fail("PostgreSQL did not start:\n" + (folder / "log").read_text(errors="replace"))


@contextmanager
def postgres() -> Iterator[Callable[[], str]]:
    """Run a PostgreSQL server; yields a function that creates a new empty database on it and returns its SQLAlchemy URL."""
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
