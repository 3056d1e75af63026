"""The inference process: object store, ONNX Runtime and the data plane's app, run by uvicorn."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn

from custody.adapters.blobs.open import open_objects
from custody.adapters.frameworks.onnx import OnnxModel
from custody.core.errors import CustodyError, InvalidInput
from custody.inference.app import InferenceApp

_CONCURRENT = 4096  # connections; above it uvicorn answers 503


class _Server(uvicorn.Server):
    """Says when it listens, for a supervisor that waits for it."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        sys.stdout.write(f"inference ready on http://{host}:{port}\n")
        sys.stdout.flush()


def run(objects_url: str, public_key: bytes, host: str, port: int, state_dir: Path) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight and ship their captures.

    public_key: the control plane's Ed25519 key, 32 bytes. port: 0 takes a free one, printed when ready.
    state_dir: owned by this process; holds the cached manifest and the captures that are not shipped yet.
    Raises: InvalidInput for a bad URL or key, Conflict if another process owns the state_dir.
    """
    if len(public_key) != 32:
        raise InvalidInput(f"The public key has {len(public_key)} bytes.", why="An Ed25519 key has 32, written as 64 hex digits.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    app = InferenceApp(open_objects(objects_url, environ=os.environ), OnnxModel, public_key, state_dir)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        ws="none",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        log_config=None,
        log_level="warning",
        limit_concurrency=_CONCURRENT,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )
    _Server(config).run()


def main() -> None:
    """Read the arguments of a supervisor and serve."""
    parser = argparse.ArgumentParser(prog="custody.bootstrap.inference", description="Serve what the signed manifest says.")
    parser.add_argument("--objects", required=True, help="object store: file:PATH or s3://bucket/prefix")
    parser.add_argument("--public-key", required=True, type=bytes.fromhex, help="the control plane's Ed25519 key, 64 hex digits")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--state-dir", required=True, type=Path, help="folder for the cached manifest and unshipped captures")
    given = parser.parse_args()
    try:
        run(given.objects, given.public_key, given.host, given.port, given.state_dir)
    except CustodyError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
