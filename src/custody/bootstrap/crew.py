"""Processes that are kept running: started, started again when they die, and told to end."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from custody.core.errors import Unavailable

_FIRST_REST_S, _LONGEST_REST_S = 0.2, 30.0
_STEADY_S = 60.0  # a process that lived so long is started again at once


@dataclass(slots=True)
class Worker:
    """One process; it says on its standard output where it listens, in `says` lines."""

    arguments: Sequence[str]
    fds: tuple[int, ...]
    says: int
    process: "subprocess.Popen[str] | None" = None
    lines: list[str] = field(default_factory=list)
    started: float = 0.0
    rest_s: float = _FIRST_REST_S
    due: float = 0.0

    def start(self) -> None:
        """Start it in a group of its own: Ctrl-C comes to this process alone, which hands it on."""
        command = [sys.executable, "-m", "custody.bootstrap.inference", *self.arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=self.fds, process_group=0)
        self.started = time.monotonic()
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)

    @property
    def is_ready(self) -> bool:
        """Tell whether it ever listened."""
        return len(self.lines) >= self.says

    @property
    def is_dead(self) -> bool:
        """Tell whether it ended."""
        return self.process is not None and self.process.poll() is not None

    def watch(self, now: float) -> None:
        """Start it again when it died, later each time it dies young."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self.rest_s = _FIRST_REST_S if now - self.started > _STEADY_S else min(2 * self.rest_s, _LONGEST_REST_S)
            sys.stderr.write(f"worker {self.process.pid} ended with {code}; starting it again in {self.rest_s:.1f} s\n")
            self.process, self.due = None, now + self.rest_s
        if self.process is None and now >= self.due:
            self.start()

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def run(crew: Sequence[Worker], stop: threading.Event) -> None:
    """Keep processes running until the event; prints what the first one says once all of them are ready.

    Raises: Unavailable if one ends before all were ready.
    """
    for worker in crew:
        worker.start()
    while not all(worker.is_ready for worker in crew) and not stop.is_set():
        if any(worker.is_dead for worker in crew):
            raise Unavailable("A worker did not start.", why="The lines above say more.", fix="Mend that, and start again.")
        stop.wait(0.05)
    if not stop.is_set():
        sys.stdout.write("".join(crew[0].lines))
        sys.stdout.flush()
    while not stop.wait(0.1):
        for worker in crew:
            worker.watch(time.monotonic())


def end(crew: Iterable[Worker], number: int, patience_s: float) -> None:
    """Send all a signal, wait until they end, and kill those that do not."""
    for worker in crew:
        worker.signal(number)
    for worker in crew:
        if worker.process is not None:
            try:
                worker.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
