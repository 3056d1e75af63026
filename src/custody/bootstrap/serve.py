"""`custody serve`: several inference processes on one port; one that dies is started again and ships what it left."""

import os
import shutil
import signal
import socket
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import hexdigits
from typing import Any

from custody.bootstrap.crew import Worker, end, run
from custody.bootstrap.sealing import sealing_arguments
from custody.bootstrap.settings import load
from custody.bootstrap.signing import KeyFile
from custody.core.errors import Conflict, InvalidInput, NotFound
from custody.inference.captures.journal import given, left_in
from custody.inference.captures.lock import locked

_BACKLOG = 2048
_PATIENCE_S = 45.0  # from the signal to the end of a worker: its drain comes on top


@dataclass(frozen=True, slots=True)
class Place:
    """What to follow and where to listen. state_dir: owned by this process; each worker has a folder in it.

    grpc_port: without one there is no gRPC. sealing: how the inference process opens sealed objects, as its own arguments.
    """

    objects: str
    public_key: str
    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 8090
    grpc_port: int | None = None
    sealing: tuple[str, ...] = ()


def place_of(project: Path | None, environ: Mapping[str, str], given: Mapping[str, Any]) -> Place:
    """Return the place that flags name, and a project's own where they name none; project None is the current folder.

    Raises: InvalidInput if there is no project and the flags do not say what to follow.
    """
    found = {name: value for name, value in given.items() if value is not None}
    if found.keys() >= {"objects", "public_key"} and project is None:
        return Place(**{"state_dir": Path("serve"), **found})
    try:
        settings = load(project or Path(), environ)
    except NotFound as error:
        raise InvalidInput(
            "There is nothing to follow.", why=error.what, fix="Name a project (--project), or give --objects and --public-key."
        ) from error
    own = {
        "objects": settings.objects_url,
        "public_key": KeyFile(settings.key_file).public_key.hex(),
        "state_dir": settings.folder / "serve",
        "host": settings.host,
        "port": settings.inference_port,
        "sealing": tuple(sealing_arguments(settings)),
    }
    return Place(**{**own, **found})


def serve(place: Place, flags: Mapping[str, object], *, workers: int = 1, drain_seconds: float = 1.0) -> int:
    """Run inference processes on one port until a signal, then let each drain; returns the exit code.

    flags: of the inference process, by name, besides those that the place and this process decide.
    What a former, larger number of workers left in the folder is shipped by the first.
    Raises: InvalidInput for what is no key, or a missing extra; Conflict if the folder or a port is taken, Unavailable if a worker cannot start.
    """
    if len(place.public_key) != 64 or not set(place.public_key) <= set(hexdigits):
        raise InvalidInput(
            "This is no public key.",
            why="An Ed25519 key is written as 64 hex digits.",
            fix="custody serve in the project prints it.",
        )
    if place.grpc_port is not None and find_spec("grpc") is None:
        raise InvalidInput("Serving gRPC needs grpcio.", fix="pip install 'custody-ml[grpc]'")
    place.state_dir.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    came = [signal.SIGTERM]
    with ExitStack() as held:
        held.enter_context(locked(place.state_dir))
        adopt(place.state_dir, workers)
        listening = [held.enter_context(one) for one in _listening(place.host, place.port, workers)]
        fds = tuple(one.fileno() for one in listening)
        shared = {"objects": place.objects, "public_key": place.public_key, "host": place.host, "drain_seconds": drain_seconds}
        shared |= {"fds": ",".join(map(str, fds)), "parent": os.getpid(), **flags}
        if place.grpc_port is not None:
            shared["grpc_port"] = held.enter_context(_reserved(place.host, place.grpc_port)).getsockname()[1]
        crew = [Worker(_arguments(shared, place, n), fds, 1 + ("grpc_port" in shared)) for n in range(workers)]

        def handle(number: int, _: object) -> None:
            if stop.is_set():  # an impatient second signal
                for worker in crew:
                    worker.signal(number)
            came.append(signal.Signals(number))
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)
        try:
            run(crew, stop)
        finally:
            end(crew, came[-1], drain_seconds + _PATIENCE_S)
    return 0


def _arguments(shared: Mapping[str, object], place: Place, number: int) -> list[str]:
    own = {**shared, "worker": number, "state_dir": place.state_dir / f"worker-{number}"}
    flags = [part for name, value in own.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return [*flags, *place.sealing]


def adopt(state_dir: Path, workers: int) -> None:
    """Give the captures that no worker of this run would find to the first one; their names, which fix where they go, stay."""
    first, kept = state_dir / "worker-0", {f"worker-{number}" for number in range(workers)}
    first.mkdir(exist_ok=True)
    _adopt(state_dir, first)
    for folder in sorted(state_dir.glob("worker-*")):
        if folder.name not in kept:
            with locked(folder):  # its worker may outlive the process that started it, for a while
                _adopt(folder, first)
                shutil.rmtree(folder)


def _adopt(folder: Path, first: Path) -> None:
    for path in sorted(folder.glob("spool/*/*.ndjson")):
        target = first / "spool" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    for path in left_in(folder):
        path.replace(given(first))
    for path in folder.glob("unreadable-*"):
        path.replace(first / path.name)


def _listening(host: str, port: int, number: int) -> list[socket.socket]:
    """Open a socket for each worker on one port: the system deals connections evenly, and keeps those of a dead worker."""
    sockets: list[socket.socket] = []
    try:
        socket.create_server((host, port), family=_family(host)).close()  # taken by another program: SO_REUSEPORT would share it
        for _ in range(number):
            sockets.append(socket.create_server((host, port), family=_family(host), backlog=_BACKLOG, reuse_port=True))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for one in sockets:
            one.close()
        raise Conflict(
            f"Port {port} of {host} cannot be listened on.", why=f"{error.strerror}.", fix="Take another --port."
        ) from error
    return sockets


def _reserved(host: str, port: int) -> socket.socket:
    """Take a port without listening: the workers, which share it, do."""
    reserved = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise Conflict(
            f"Port {port} of {host} cannot be used.", why=f"{error.strerror}.", fix="Take another --grpc-port."
        ) from error
    return reserved


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
