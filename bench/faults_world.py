"""What the fault benchmarks share: a signed manifest in a folder, a server process, steady load, and what they cost in memory."""

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.frameworks.sklearn import export
from custody.core.digest import digest_of
from custody.core.exported import Exported
from custody.core.manifest import KeyGrant, Manifest, Service, SignedManifest, Target
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import TenantId
from custody.serving import read_batch

TENANT, KEY = TenantId("acme"), "bench-key"
HEADERS = {"authorization": f"Bearer {KEY}"}
FEATURES = 4


def path_of(name: str = "churn") -> str:
    """Return where a deployment answers infer calls."""
    return f"/tenants/{TENANT}/v2/models/{name}/infer"


def request(rows: int = 1) -> bytes:
    """Return a V2 request of so many rows."""
    data = [0.5, -1.25, 3.0, 0.125] * rows
    return json.dumps({"inputs": [{"name": "input", "datatype": "FP32", "shape": [rows, FEATURES], "data": data}]}).encode()


def model(seed: int) -> Exported:
    """Return a small real model; another seed is another model with the same signature."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(200, FEATURES)).astype(np.float32)
    return export(LogisticRegression().fit(rows, rows[:, 0] + rng.normal(0, 0.5, 200) > 0), rows)


def noted(text: str) -> bytes:
    """Return what makes an ONNX file another one when it stands behind it, a note (`doc_string`) and nothing else."""
    return b"\x32" + bytes([len(text)]) + text.encode()


@dataclass
class Server:
    """A server process that answers."""

    process: "subprocess.Popen[str]"
    port: int
    log: Path

    def ask(self, body: bytes = b"", path: str = path_of(), method: str = "POST", **more: Any) -> tuple[int, bytes]:
        """Return status and body of one call on a connection of its own."""
        wire = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            wire.request(method, path, body or None, {**HEADERS, **more.pop("headers", {})}, **more)
            answer = wire.getresponse()
            return answer.status, answer.read()
        finally:
            wire.close()

    def revision(self) -> int:
        """Return the revision that answers now."""
        return int(json.loads(self.ask(request())[1])["parameters"]["revision"])

    def metric(self, name: str) -> int:
        """Return a counter, summed over the workers."""
        text = self.ask(path="/metrics", method="GET")[1].decode()
        return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)

    def rss_mib(self) -> float:
        """Return the resident memory of the process and its children."""
        return sum(map(_rss_mib, [self.process.pid, *children(self.process.pid)]))


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _rss_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass
class World:
    """An object store in a folder that plays the control plane's part."""

    folder: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sequence: int = 0

    @property
    def objects(self) -> FolderObjects:
        return FolderObjects(self.folder / "objects")

    def target(self, seed: int = 1) -> Target:
        made = model(seed)
        parity = self.objects.put(msgspec.json.encode(made.fixture))
        return Target(ModelRef("churn", seed), self.objects.put(made.onnx), made.signature, 0.5, parity)

    def service(self, target: Target, revision: int = 1, name: str = "churn") -> Service:
        return Service(DeploymentKey(TENANT, "prod", name), revision, target)

    def publish(self, *services: Service) -> None:
        self.sequence += 1
        manifest = Manifest(self.sequence, datetime.now(UTC), services, (KeyGrant(digest_of(KEY.encode()), TENANT),))
        text = msgspec.json.encode(manifest).decode()
        signature = base64.b64encode(self.key.sign(text.encode())).decode()
        self.objects.publish("manifest/current", msgspec.json.encode(SignedManifest(text, signature, "bench")))

    @contextmanager
    def server(self, *more: str, workers: int = 0) -> Iterator[Server]:
        """Start a server, or `custody serve` with so many workers, and end it with SIGTERM."""
        public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        start = ["custody.cli.main", "serve", "--workers", str(workers)] if workers else ["custody.bootstrap.inference"]
        given = ["--objects", f"file:{self.folder / 'objects'}", "--public-key", public, "--port", "0"]
        command = [sys.executable, "-m", *start, *given, "--state-dir", str(self.folder / "state"), *more]
        log = self.folder / "server.log"
        with log.open("a") as out:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True)
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                if "ready on" not in line:
                    raise SystemExit(f"the server did not start: {log.read_text()[-2000:]}")
                yield Server(process, int(line.rsplit(":", 1)[1]), log)
            finally:
                process.terminate()
                process.wait(30)

    def captured(self) -> Counter[str]:
        """Return how often each prediction was shipped."""
        found: Counter[str] = Counter()
        for name in self.objects.names("captures/"):
            body = self.objects.read(name)
            found.update(str(one.id) for one in read_batch(body or b""))
        return found


class Load(threading.Thread):
    """Asks without a pause on one kept connection; counts statuses, broken connections, and keeps what was answered."""

    def __init__(self, server: Server, path: str = path_of(), pause_s: float = 0.002) -> None:
        super().__init__(daemon=True)
        self.server, self.path, self.pause_s, self.ended = server, path, pause_s, threading.Event()
        self.statuses: Counter[int] = Counter()
        self.broken, self.seconds, self.ids, self.revisions = 0, list[float](), list[str](), list[int]()

    def run(self) -> None:
        wire, body = self._wire(), request()
        while not self.ended.wait(self.pause_s):
            began = time.perf_counter()
            try:
                wire.request("POST", self.path, body, HEADERS)
                answer = wire.getresponse()
                told = answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                wire.close()
                wire = self._wire()
                continue
            self.seconds.append(time.perf_counter() - began)
            self.statuses[answer.status] += 1
            if answer.status == 200:
                parameters = json.loads(told)["parameters"]
                self.ids.append(parameters["prediction_id"])
                self.revisions.append(parameters["revision"])
        wire.close()

    def _wire(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)

    def __enter__(self) -> Self:
        self.start()
        until(lambda: self.statuses or self.broken, 20)
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    @property
    def failed(self) -> int:
        """Return how many requests were not answered with 200."""
        return self.broken + sum(count for status, count in self.statuses.items() if status != 200)


def until(condition: Callable[[], object], seconds: float) -> float:
    """Wait until something holds and return how many seconds that took; infinity if it never did."""
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        with suppress(OSError, http.client.HTTPException, KeyError, ValueError):
            if condition():
                return time.perf_counter() - began
        time.sleep(0.005)
    return float("inf")


@dataclass
class Verdicts:
    """What was found beside what must be; prints each line at once."""

    short: int = 0

    def at_most(self, what: str, found: float, most: float, unit: str = "") -> None:
        self._say(what, f"{found:.4g} {unit}".strip(), f"at most {most:g}", good=found <= most)

    def same(self, what: str, found: object, wanted: object) -> None:
        self._say(what, str(found), str(wanted), good=found == wanted)

    def note(self, what: str, found: str) -> None:
        print(f"  note  {what}: {found}", flush=True)

    def _say(self, what: str, found: str, must: str, *, good: bool) -> None:
        self.short += not good
        print(f"  {'ok  ' if good else 'MISS'}  {what}: {found} (must: {must})", flush=True)


def median(values: Sequence[float]) -> float:
    """Return the middle value, NaN of none."""
    return float(np.median(values)) if values else float("nan")
