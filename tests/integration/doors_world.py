"""A small real project behind its doors: the `custody` command, the three processes, and the traffic that tests send."""

import atexit
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import httpx
import numpy as np
import yaml

from custody.bootstrap.control import wire
from custody.bootstrap.sealing import sealing_arguments
from custody.bootstrap.settings import load
from custody.bootstrap.signing import KeyFile
from custody.lifecycle.stores import Ports
from custody.sdk.client import Client, connect

T = TypeVar("T")
KEY = "acme/prod/churn"
CUSTODY = Path(sys.executable).with_name("custody")

CARD: dict[str, Any] = {
    "title": "Tickets of a telephone company",
    "description": "One row per customer, made up for tests.",
    "owner": "test team",
    "sources": ["a seeded generator"],
    "collection_method": "synthetic",
    "collection_period": "2024",
    "geography": ["CA"],
    "subjects": ["customers"],
    "legal_basis": "contract",
    "purposes": ["train_ai_system"],
    "license": "CC0-1.0",
    "contact": "data-office@example.org",
    "collection_detail": "drawn from a random generator",
    "storage": ["CA"],
    "processing": ["any"],
    "classification": "internal",
    "proprietary": ["none"],
    "retention": "P5Y",
    "limitations": "Nobody in it exists.",
    "bias_treatment": "none: the plan says nothing about who a person is",
}
TRAIN = """import sys

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import custody.sdk as custody

with custody.run("churn", purpose="train_ai_system") as run:
    rows = run.dataset("tickets@1").to_pandas()
    numbers = make_column_transformer((OneHotEncoder(drop="if_binary"), ["plan"]), (StandardScaler(), ["age", "spend"]))
    model = make_pipeline(numbers, LogisticRegression(C=float(sys.argv[1])))
    model.fit(rows[["age", "spend", "plan"]], rows["churned"])
    run.param(C=sys.argv[1])
    run.metric(rows=len(rows))
    for name in ("churn", "strict"):
        run.log_model(name, model, sample=rows[["age", "spend", "plan"]])
"""
POLICY: dict[str, Any] = {
    "thresholds": [0.5, 0.6],
    "metrics": [{"metric": "auc", "minimum": 0.6}],
    "golden_required": False,
    "max_flips": 3,
}
STRICT: dict[str, Any] = {**POLICY, "metrics": [{"metric": "auc", "minimum": 0.999}]}
GOLDEN = [
    {"id": "young basic", "inputs": {"age": 20, "spend": 400.0, "plan": "basic"}, "expect": "Yes"},
    {"id": "old premium", "inputs": {"age": 75, "spend": 20.0, "plan": "premium"}, "expect": "No"},
]
MONITOR = {"metric": "accuracy", "window": "200 labels", "canary_share": 0.5}


@cache
def environment() -> dict[str, str]:
    """Return the environment of every process that tests start; they share one folder of compiled modules."""
    unwanted = {"PYTHONDONTWRITEBYTECODE", *(name for name in os.environ if name.startswith("CUSTODY_"))}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    modules = Path(__file__).parents[2] / ".pytest_cache" / "modules"
    return {**kept, "PYTHONPYCACHEPREFIX": str(modules), "NO_COLOR": "1", "CUSTODY_SEAL_INTERVAL": "0"}


@cache
def _forks() -> subprocess.Popen[str]:
    """Start the process whose forks run commands; it ends with the tests."""
    script = [sys.executable, str(Path(__file__).with_name("forked_command.py"))]
    made = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    atexit.register(made.communicate)
    return made


def custody(*arguments: str | Path, cwd: Path | None = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, as `installed` does, but forked from one that has imported everything."""
    forks, told = _forks(), [str(one) for one in arguments]
    assert forks.stdin is not None
    assert forks.stdout is not None
    with TemporaryDirectory() as home:
        files = {name: Path(home, name) for name in ("stdin", "stdout", "stderr")}
        for name, file in files.items():
            file.write_text((text or "") if name == "stdin" else "", encoding="utf-8")
        asked = {"arguments": told, "folder": str(cwd or Path.cwd()), "environment": environment()}
        forks.stdin.write(json.dumps({**asked, **{name: str(file) for name, file in files.items()}}) + "\n")
        forks.stdin.flush()
        code = int(forks.stdout.readline())
        out, err = (files[name].read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return subprocess.CompletedProcess(["custody", *told], code, out, err)


def installed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    return subprocess.run([CUSTODY, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment())


def rows(n: int, seed: int = 7) -> list[dict[str, Any]]:
    """Return customers; the young ones who spend much leave."""
    rng = np.random.default_rng(seed)
    age, spend = rng.integers(18, 80, n), rng.uniform(0, 500, n).round(2)
    plan = rng.choice(["basic", "premium"], n)
    leaves = (spend / 500 - age / 80 + (plan == "basic") * 0.5 + rng.normal(0, 0.2, n)) > 0.2
    return [
        {"age": int(a), "spend": float(s), "plan": str(p), "churned": "Yes" if y else "No"}
        for a, s, p, y in zip(age, spend, plan, leaves, strict=True)
    ]


def write_csv(path: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


def write_yaml(path: Path, values: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False))
    return path


def body(row: Mapping[str, Any], *, key: str | None = None, times: int = 1) -> dict[str, Any]:
    """Return an infer request for a row, repeated in one batch."""
    kinds = {"age": "INT64", "spend": "FP32", "plan": "BYTES"}
    inputs = [{"name": name, "datatype": kind, "shape": [times, 1], "data": [row[name]] * times} for name, kind in kinds.items()]
    return {"inputs": inputs, **({"id": key} if key else {})}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(what: str, test: Callable[[], T], seconds: float = 40) -> T:
    """Ask again until something is true, for a bounded time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := test():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


@dataclass
class Project:
    """A project folder, and what the commands said that made it."""

    folder: Path
    told: dict[str, "subprocess.CompletedProcess[str]"] = field(default_factory=dict)

    def run(self, *arguments: str | Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        return custody("--project", self.folder, *arguments, cwd=self.folder.parent, text=text)

    def tell(self, name: str, *arguments: str | Path, expect: int = 0) -> None:
        """Run a step and keep what it said."""
        done = self.run(*arguments)
        assert done.returncode == expect, f"{name}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.told[name] = done

    def client(self) -> Client:
        return connect(self.folder)

    @contextmanager
    def ports(self) -> Iterator[Ports]:
        """Open the project's stores in this process."""
        found = wire(load(self.folder, {}))
        try:
            yield found
        finally:
            stores: Any = found.stores
            stores.close()

    def entries(self) -> int:
        """Return the length of the ledger."""
        with self.ports() as ports:
            return len(list(ports.stores.ledger.entries()))


@dataclass
class Running:
    """The three processes of a project, each started, killed and started again by the test."""

    project: Project
    port: int = field(default_factory=free_port)
    inference_port: int = field(default_factory=free_port)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def inference_url(self) -> str:
        return f"http://127.0.0.1:{self.inference_port}"

    def start(self, name: str) -> None:
        """Start control, inference or worker, and wait until it answers."""
        settings = load(self.project.folder, {})
        folder = str(settings.folder)
        arguments = {
            "control": [folder, "--port", str(self.port)],
            "worker": [folder],
            "inference": [
                *("--objects", settings.objects_url, "--public-key", KeyFile(settings.key_file).public_key.hex()),
                *("--port", str(self.inference_port), "--state-dir", str(settings.state_dir)),
                *sealing_arguments(settings),
            ],
        }[name]
        with (settings.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"custody.bootstrap.{name}", *arguments], stdout=log, stderr=log, env=environment()
            )
        if name != "worker":
            path = {"control": f"{self.url}/health", "inference": f"{self.inference_url}/v2/health/ready"}[name]
            until(f"{name} answers", lambda: self._answers(name, path))

    def _answers(self, name: str, url: str) -> bool:
        assert self.processes[name].poll() is None, (self.project.folder / f"{name}.log").read_text()[-3000:]
        try:
            return httpx.get(url, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait(20)

    def client(self, key: str) -> Client:
        return connect(self.url, key=key)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@contextmanager
def running(project: Project, *names: str) -> Iterator[Running]:
    """Run some of the processes; `publish` belongs to whoever changes something, so the order does not matter."""
    made = Running(project)
    try:
        for name in names:
            made.start(name)
        yield made
    finally:
        made.stop()


@dataclass
class Up:
    """A running `custody up` with the first key."""

    project: Project
    url: str
    inference_url: str
    key: str
    pid: int

    def client(self, key: str | None = None, tenant: str | None = None) -> Client:
        return connect(self.url, key=key or self.key, tenant=tenant)

    def http(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, follow_redirects=False)

    def run(self, *arguments: str | Path, text: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a command against the server."""
        return custody("--url", self.url, "--key", self.key, *arguments, cwd=self.project.folder.parent, text=text)


@contextmanager
def up(project: Project) -> Iterator[Up]:
    """Start everything as a person does, and stop it as Ctrl-C does."""
    port, inference_port = free_port(), free_port()
    command: list[str | Path] = [
        CUSTODY,
        "--project",
        project.folder,
        "up",
        "--port",
        str(port),
        "--inference-port",
        str(inference_port),
    ]
    with (project.folder / "up.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment())
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            assert lines[2].startswith("key"), (project.folder / "up.log").read_text()[-3000:]
            key = lines[2].split()[1]
            yield Up(project, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{inference_port}", key, process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(40)
            finally:
                process.kill()
                process.wait(10)
                process.stdout.close()


@dataclass
class Traffic:
    """Threads that ask a deployment without a pause, and note every id that was answered and every failure."""

    url: str
    key: str
    threads: int = 2
    tolerant: bool = False  # the process is killed meanwhile: a broken connection is no failure
    answered: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _workers: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number in range(self.threads):
            worker = threading.Thread(target=self._ask, args=(number,))
            worker.start()
            self._workers.append(worker)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for worker in self._workers:
            worker.join(30)

    def _ask(self, number: int) -> None:
        row, path = rows(1, seed=number)[0], f"{self.url}/tenants/acme/v2/models/churn/infer"
        with httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=10) as client:
            sent = 0
            while not self._stop.is_set():
                try:
                    found = client.post(path, json=body(row, times=1 + sent % 3))
                except httpx.TransportError as error:
                    if not self.tolerant:
                        self.failures.append(repr(error))
                    self._stop.wait(0.02)
                    continue
                if found.status_code != 200:
                    if not (self.tolerant and found.status_code == 503):
                        self.failures.append(f"{found.status_code} {found.text[:200]}")
                    continue
                self.answered.append(json.loads(found.text)["parameters"]["prediction_id"])
                sent += 1
                self._stop.wait(0.004)
