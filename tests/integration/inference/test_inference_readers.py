"""Callers that ask and do not read what they are told."""

import json
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from inference_world import KEYS, Server, World, body, metrics_of, tabular
from test_inference_manifest import until

from custody.core.tenancy import TenantId

INFER = "/tenants/acme/v2/models/churn/infer"
_ROWS = 2000


def asked() -> bytes:
    """Return a request whose answer is long."""
    content = json.dumps(body(_ROWS, outputs=[{"name": "score"}, {"name": "probabilities"}])).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS[TenantId('acme')]}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def deaf(server: Server) -> socket.socket:
    """Connect, ask as much as the server takes, and read nothing."""
    host, port = server.url.removeprefix("http://").split(":")
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect((host, int(port)))
    wire.settimeout(0.2)
    request = asked()
    with suppress(TimeoutError):
        for _ in range(200):
            wire.sendall(request)
    return wire


def resident_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def test_callers_that_do_not_read_hold_up_nobody_and_take_little_memory_and_no_stop(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.server("--drain-seconds", "0") as server, ExitStack() as deaf_ones:
        with server.client() as client:
            assert client.post("/v2/models/churn/infer", json=body(_ROWS)).status_code == 200
            before = resident_mib(server)
            for _ in range(8):
                deaf_ones.enter_context(deaf(server))
            for _ in range(20):
                assert client.post("/v2/models/churn/infer", json=body(), timeout=5).status_code == 200
            assert resident_mib(server) - before < 64
        until(lambda: 'custody_requests_in_flight{tenant="acme"} 0' in metrics_of(server))  # what they sent before is answered
        assert server.stop() == 0
