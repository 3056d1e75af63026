"""Start one server, wait until it answers rightly, load it with wrk, end it: each server alone on its core."""

import json
import math
import os
import secrets
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bodies import Request, ask, requests_of, write
from machine import MARK, cpu_seconds, end, processes, pss_mib, require_free
from servers import Place, Server, environment_of

READY_S = 120.0
TOLERANCE = 1e-4
_SHIPPED_S = 1.5  # until what was recorded is shipped
_WARM_S = 1
_CHECKED = 8
_LEAST = 20  # requests per connection that a load should hold: those in flight at its end then weigh little
ROTATE = Path(__file__).parent / "rotate.lua"


@dataclass(frozen=True, slots=True)
class Cell:
    """One load: how requests are encoded, rows in each, connections that wait for answers."""

    encoding: str
    batch: int
    connections: int

    def __str__(self) -> str:
        return f"{self.encoding} b={self.batch} c={self.connections}"


@dataclass(frozen=True, slots=True)
class Load:
    """What a load showed; cpu_us: of all of the server's processes, per request. void: why it does not count, if so."""

    cpu_us: float
    rate: float
    median_ms: float
    requests: int
    void: str = ""


class Wrong(Exception):
    """A server did not start, or answered something else than the model."""


@dataclass(slots=True)
class Running:
    """A server that answers. ready_s: from its start to its first answer. pss_mib: idle, after a few checked answers."""

    server: Server
    place: Place
    paths: list[str]
    headers: dict[str, str]
    process: "subprocess.Popen[bytes]"
    token: str
    ready_s: float = 0.0
    pss_mib: float = 0.0

    def requests(self, cell: Cell) -> list[Request]:
        """Return a load's requests in this server's format."""
        return requests_of(self.place.model, self.server.formats[cell.encoding], cell.batch, self.paths, self.headers)

    def pids(self) -> set[int]:
        return processes(self.token, self.process.pid)

    def wait(self, request: Request, started: float) -> None:
        """Wait for the first answer with status 200."""
        while time.perf_counter() - started < READY_S:
            if self.process.poll() is not None:
                raise Wrong(f"it ended with status {self.process.returncode}")
            try:
                if ask(request, self.place.port)[0] == 200:
                    self.ready_s = time.perf_counter() - started
                    return
            except (OSError, HTTPException):
                pass
            time.sleep(0.01)
        raise Wrong(f"it did not answer within {READY_S:g} seconds")

    def check(self, cell: Cell) -> None:
        """Compare answers with the original model's scores; Wrong if one differs."""
        spoken = self.server.formats[cell.encoding]
        for request in self.requests(cell)[:_CHECKED]:
            status, body, headers = ask(request, self.place.port)
            if status != 200:
                raise Wrong(f"{cell}: status {status}: {body[:300]!r}")
            try:
                found = spoken.read(body, headers) if self.server.checked else request.scores
            except (ValueError, LookupError, StopIteration) as error:
                raise Wrong(f"{cell}: the answer has no scores: {body[:300]!r}") from error
            apart = [abs(a - b) for a, b in zip(found, request.scores, strict=False)]
            if len(found) != len(request.scores) or not max(apart) <= TOLERANCE:  # NaN differs too
                raise Wrong(f"{cell}: scores {found[:3]} differ from {request.scores[:3]}")

    def shed_rows(self) -> int:
        """Return how many predictions custody answered without capturing them."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.place.port}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith("custody_shed_predictions_total "))

    def load(self, cell: Cell, seconds: int, core: int) -> Load:
        """Load the server, longer if it is slow; requests in flight at the end count as answered, which favours slow servers."""
        path = self.place.folder / "requests.bin"
        write(self.requests(cell), self.place.port, path)
        warm = _wrk(self.place.port, cell, path, 1, core)["requests"]
        seconds = max(seconds, min(4 * seconds, math.ceil(_LEAST * cell.connections / (warm + 1))))
        before = self.pids()
        spent = cpu_seconds(before)
        found = _wrk(self.place.port, cell, path, seconds, core)
        spent = cpu_seconds(before | self.pids()) - spent
        answered = found["requests"] + cell.connections
        void = f"{found['failed']} failed, {found['not_2xx']} not 2xx" if found["failed"] or found["not_2xx"] else ""
        return Load(spent / answered * 1e6, found["requests"] / found["seconds"], found["median_ms"], found["requests"], void)

    def record_cost(self, cell: Cell, seconds: int, core: int) -> float:
        """Load a server that records in turns, and return what a request costs with its record over what it costs without.

        What its other threads do when nobody asks (they look for a new manifest) is no part of it, nor is the first use of memory that
        it keeps: it is loaded before.
        """
        self.load(cell, _WARM_S, core)
        idle, before = self._turns(), self._turns()
        found = self.load(cell, seconds, core)
        if found.void:
            raise Wrong(f"{cell}: {found.void}")
        after = self._turns()
        recorded, wanted = (
            after["captured_predictions"] - before["captured_predictions"],
            after["requests"][1] - before["requests"][1],
        )
        if after["shed_predictions"] or after["ship_failures"] or recorded < 0.99 * wanted * cell.batch or not wanted:
            raise Wrong(f"{cell}: of {wanted} requests only {recorded} predictions were recorded, or not all were shipped")
        off, on = ((after["cpu_s"][n] - before["cpu_s"][n]) / (after["requests"][n] - before["requests"][n]) for n in (0, 1))
        others, alone = (later["others_s"] - earlier["others_s"] for earlier, later in ((before, after), (idle, before)))
        alone *= (after["at_s"] - before["at_s"]) / (before["at_s"] - idle["at_s"])
        return float((on + (others - alone) / wanted) / off)

    def _turns(self) -> dict[str, Any]:
        time.sleep(_SHIPPED_S)
        path = self.place.folder / "turns.json"
        path.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(500):
            if path.exists():
                found: dict[str, Any] = json.loads(path.read_text())
                return found
            time.sleep(0.01)
        raise Wrong("it did not tell what was counted")


def _wrk(port: int, cell: Cell, path: Path, seconds: int, core: int) -> dict[str, Any]:
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{cell.connections}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(ROTATE), f"http://127.0.0.1:{port}", "--", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
    return found


@contextmanager
def running(server: Server, place: Place, cells: Sequence[Cell], core: int) -> Iterator[Running]:
    """Run a server on a core until the block ends; Wrong if it does not answer rightly. Its output is kept in the folder."""
    require_free(range(place.port, place.port + 3))
    launch = server.launch(place)
    token = secrets.token_hex(8)
    environment = {**environment_of(server, place, launch), MARK: token}
    with (place.folder / "log.txt").open("wb") as log:
        started = time.perf_counter()
        command = ["taskset", "-c", str(core), *launch.command]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=place.folder)
        one = Running(server, place, launch.paths, launch.headers, process, token)
        try:
            one.wait(one.requests(cells[0])[0], started)
            for cell in cells:
                one.check(cell)
            one.pss_mib = pss_mib(one.pids())
            yield one
        except Wrong as error:
            log.flush()
            raise Wrong(f"{server.title}: {error}\n{(place.folder / 'log.txt').read_text(errors='replace')[-2000:]}") from error
        finally:
            end(token, process.pid)
            process.wait()


def cores() -> tuple[int, int]:
    """Return the server's core and the one of wrk and this process; exit if there is only one."""
    found = sorted(os.sched_getaffinity(0))
    if len(found) < 2:
        raise SystemExit("This needs two cores: one for the server, one for the load.")
    return found[0], found[1]
