"""One command for all processes: control plane, data plane, worker; each is started again when it dies."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from custody.bootstrap.control import LOCAL, clock, init, wire
from custody.bootstrap.sealing import sealing_arguments
from custody.bootstrap.settings import Settings, load
from custody.bootstrap.signing import KeyFile
from custody.core.errors import Unavailable
from custody.core.tenancy import HOUSE, Role
from custody.inference.exchange import address
from custody.lifecycle.admit import add_key
from custody.lifecycle.publish import publish
from custody.lifecycle.stores import Caller, Ports

KEY_NAME = "up"
_PATIENCE = 60.0  # seconds until every process answers
_LONGEST_REST = 30.0  # seconds between two starts of a process that keeps dying


@dataclass(slots=True)
class _Process:
    name: str
    arguments: list[str]
    running: subprocess.Popen[bytes] | None = None
    rest: float = 0.5
    due: float = 0.0

    def start(self) -> None:
        self.running = subprocess.Popen([sys.executable, "-m", *self.arguments], stdout=subprocess.DEVNULL)

    def watch(self, now: float) -> None:
        if self.running is not None and (code := self.running.poll()) is not None:
            sys.stderr.write(f"{self.name} ended with {code}; starting it again in {self.rest:.1f} s\n")
            self.running, self.due = None, now + self.rest
            self.rest = min(self.rest * 2, _LONGEST_REST)
        if self.running is None and now >= self.due:
            self.start()

    def stop(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()


def up(folder: Path, *, port: int | None = None, inference_port: int | None = None) -> int:
    """Run a project until a signal; prints the addresses, and a key the first time."""
    init(folder)
    settings = load(folder, os.environ, {"port": port, "inference_port": inference_port})
    ports = wire(settings)
    secret = _first_key(ports)
    publish(ports, clock())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    processes = _processes(settings)
    for process in processes:
        process.start()
    try:
        if _wait(settings, processes, stop):
            _say(settings, secret)
        while not stop.wait(0.5):
            for process in processes:
                process.watch(time.monotonic())
    finally:
        for process in processes:
            process.stop()
        for process in processes:
            if process.running is not None:
                _end(process.running)
    return 0


def _processes(settings: Settings) -> list[_Process]:
    key = KeyFile(settings.key_file).public_key.hex()
    inference = ["--objects", settings.objects_url, "--public-key", key, "--host", settings.host]
    inference += ["--port", str(settings.inference_port), "--state-dir", str(settings.state_dir)]
    inference += sealing_arguments(settings)
    folder = str(settings.folder)
    return [
        _Process("control plane", ["custody.bootstrap.control", folder, "--port", str(settings.port)]),
        _Process("inference", ["custody.bootstrap.inference", *inference]),
        _Process("worker", ["custody.bootstrap.worker", folder]),
    ]


def _first_key(ports: Ports) -> str | None:
    if any(key.name == KEY_NAME and key.revoked_at is None for key in ports.stores.tenants.keys()):  # noqa: SIM118 - not a dict
        return None
    _, secret, _ = add_key(ports, Caller(HOUSE, LOCAL, clock()), KEY_NAME, Role.ADMIN, None)
    return secret


def _wait(settings: Settings, processes: list[_Process], stop: threading.Event) -> bool:
    host, path = settings.host, "/v2/health/live"
    urls = [f"http://{address(host, settings.port)}/health", f"http://{address(host, settings.inference_port)}{path}"]
    end = time.monotonic() + _PATIENCE
    checks: list[Callable[[], bool]] = [lambda url=url: _answers(url) for url in urls]  # type: ignore[misc]  # bound early
    while checks and not stop.is_set():
        checks = [check for check in checks if not check()]
        dead = [process.name for process in processes if process.running is not None and process.running.poll() is not None]
        if dead or time.monotonic() > end:
            raise Unavailable(
                f"{dead[0] if dead else 'custody'} did not start.",
                why="This project may be up already, or a port is taken by another program; the lines above say more.",
                fix="Stop the other one, or take other ports: custody up --port PORT --inference-port PORT",
            )
        stop.wait(0.1)
    return not stop.is_set()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _say(settings: Settings, secret: str | None) -> None:
    lines = [
        f"dashboard and API  http://{address(settings.host, settings.port)}",
        f"inference          http://{address(settings.host, settings.inference_port)}/tenants/TENANT/v2/models/NAME/infer",
        f"key                {secret}  (shown this once; it may do everything)"
        if secret
        else "key                made earlier; another: custody key add NAME",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _end(running: subprocess.Popen[bytes]) -> None:
    try:
        running.wait(timeout=15)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
