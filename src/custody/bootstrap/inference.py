"""The inference process: object store, ONNX Runtime and the data plane's app, run by uvicorn."""

import argparse
import ctypes
import os
import socket
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from custody.adapters.blobs.open import open_objects
from custody.adapters.frameworks.onnx import OnnxModel
from custody.bootstrap.listener import Listener
from custody.bootstrap.sealing import open_ring, open_sealed
from custody.bootstrap.watching import LOG_FORMATS, log_to_stderr, watch
from custody.core.errors import CustodyError, InvalidInput
from custody.core.objects import Objects
from custody.inference.app import Door, InferenceApp
from custody.inference.exchange import Limits

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc


@dataclass(frozen=True, slots=True)
class Options:
    """What an inference process is started with.

    public_key: the control plane's Ed25519 key, 32 bytes. port, grpc_port: 0 takes a free one, printed when ready; no
    grpc_port, no gRPC. state_dir: owned by this process; holds the cached manifest and the captures that are not shipped yet.
    memory_mb: MiB that the models may take together; without it all are loaded at once. drain_seconds: after SIGTERM it says
    that it is not ready, and goes on answering so long, before it stops listening. access_log: a file, or - for stderr.
    compress_from: bytes from which on answers to infer calls are compressed, if their callers accept that; without it none is.
    worker: its number among processes that share the ports; then fds are their listening sockets, and parent the process that
    started them, without which they stop. keyring, master_key: the data keys and the master keys that wrap them (the current
    one first), where objects are sealed; encrypt: seal captures too.
    """

    objects: str
    public_key: bytes
    state_dir: Path
    host: str = "127.0.0.1"
    port: int = 8090
    grpc_port: int | None = None
    memory_mb: float | None = None
    tenant_requests: int = 512
    server_requests: int = 2048
    drain_seconds: float = 1.0
    access_log: str | None = None
    log_format: str = "text"
    compress_from: int | None = None
    worker: int | None = None
    fds: tuple[int, ...] = ()
    parent: int | None = None
    keyring: str = ""
    master_key: tuple[str, ...] = ()
    encrypt: bool = False


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight and ship their captures.

    Raises: InvalidInput for a bad URL or key, or a missing extra; Conflict if another process owns the state_dir or a port.
    """
    if len(options.public_key) != 32:
        raise InvalidInput(
            f"The public key has {len(options.public_key)} bytes.", why="An Ed25519 key has 32, written as 64 hex digits."
        )
    log_to_stderr(options.log_format)
    _keep_memory()
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)  # of a caller's numbers, who is told in words
    app = InferenceApp(
        _objects(options),
        OnnxModel,
        options.public_key,
        options.state_dir,
        limits=Limits(tenant_requests=options.tenant_requests, server_requests=options.server_requests),
        memory_bytes=int(options.memory_mb * 2**20) if options.memory_mb is not None else None,
        worker=options.worker,
        compress_from=options.compress_from,
    )
    watch(app, os.environ, options.access_log)
    if options.grpc_port is not None:
        app.doors.append(_grpc_door(app, options))
    sockets = [socket.socket(fileno=fd) for fd in options.fds]
    own = sockets[options.worker : options.worker + 1] if options.worker is not None else None
    others = [one for one in sockets if own and one is not own[0]]
    listener = Listener(
        app, options.host, options.port, drain_seconds=options.drain_seconds, parent=options.parent, others=others
    )
    listener.run(own)


def _keep_memory() -> None:
    """Have glibc keep up to 4 MiB of what is freed: a page that the system gives anew costs more than what is written to it.

    Source: mallopt(3).
    """
    with suppress(AttributeError):  # another C library
        tune = ctypes.CDLL(None).mallopt
        tune(_TRIM_THRESHOLD, 4 * 1024 * 1024)
        tune(_MMAP_THRESHOLD, 1024 * 1024)


def _objects(options: Options) -> Objects:
    if not options.keyring:
        return open_objects(options.objects, environ=os.environ)
    if not options.master_key:
        raise InvalidInput("A ring of keys needs its master key.", fix="Give --master-key, as in custody.toml.")
    ring = open_ring(options.keyring, options.master_key, os.environ)
    return open_sealed(options.objects, ring, os.environ, sealing=options.encrypt)


def _grpc_door(app: InferenceApp, options: Options) -> Door:
    try:
        from custody.inference.oip.door import GrpcDoor  # noqa: PLC0415 - an extra, loaded when it is asked for
    except ImportError as error:
        raise InvalidInput("Serving gRPC needs grpcio.", why=f"{error}.", fix="pip install 'custody-ml[grpc]'") from error
    return GrpcDoor(app, options.host, options.grpc_port or 0, shared=options.worker is not None)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def main() -> None:
    """Read the arguments of a supervisor and serve."""
    parser = argparse.ArgumentParser(prog="custody.bootstrap.inference", description="Serve what the signed manifest says.")
    parser.add_argument("--objects", required=True, help="object store: file:PATH or s3://bucket/prefix")
    parser.add_argument("--public-key", required=True, type=bytes.fromhex, help="the control plane's Ed25519 key, 64 hex digits")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--grpc-port", type=int, help="also serve gRPC on this port")
    parser.add_argument(
        "--memory-mb", type=float, help="MiB that models may take; more are loaded when asked for, others dropped"
    )
    parser.add_argument("--tenant-requests", type=int, default=512, help="requests of a tenant in flight; more are told 429")
    parser.add_argument("--server-requests", type=int, default=2048, help="requests of all tenants in flight; more are told 503")
    parser.add_argument("--drain-seconds", type=float, default=1.0, help="seconds between SIGTERM and the end of listening")
    parser.add_argument("--access-log", help="file for one JSON line per request, - for stderr; without it there is none")
    parser.add_argument("--log-format", choices=LOG_FORMATS, default="text", help="of the log on stderr")
    parser.add_argument(
        "--compress-from",
        type=int,
        help="bytes from which on answers to infer calls are compressed, if their callers accept that",
    )
    parser.add_argument("--state-dir", required=True, type=Path, help="folder for the cached manifest and unshipped captures")
    parser.add_argument("--worker", type=int, help="number among the processes of `custody serve`")
    parser.add_argument("--fds", type=_numbers, default=(), help="listening sockets of all of them, inherited")
    parser.add_argument("--parent", type=int, help="process without which this one stops")
    parser.add_argument("--keyring", default="", help="data keys that sealed the objects: file:PATH or s3://bucket/prefix")
    parser.add_argument("--master-key", action="append", default=[], help="what wraps them; a former one after the current one")
    parser.add_argument("--encrypt", action="store_true", help="seal captures too")
    given = parser.parse_args()
    given.master_key = tuple(given.master_key)
    try:
        run(Options(**vars(given)))
    except CustodyError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
