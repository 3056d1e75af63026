"""Tells a story on the real platform: runs commands as a person would, shows them, and stops where one ends otherwise."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from custody.sdk import connect

BIN = Path(sys.executable).parent
MARK = ".made-by-a-story"
SHOWN = ("accuracy", "precision", "recall")


class Story:
    """Commands run in `folder`, where their files lie, on the project in `project`."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.folder, self.project, self.started = folder, project, time.monotonic()

    @property
    def seconds(self) -> float:
        """Return how long the story has taken so far."""
        return time.monotonic() - self.started

    def title(self, text: str) -> None:
        """Begin a chapter."""
        bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("== ", "")
        print(f"\n{bold}{text}{plain}  [{self.seconds:.0f} s]", flush=True)

    def custody(self, *arguments: str, expect: int = 0, show: bool = True, keep: str = "") -> str:
        """Run a command as a person would, show it, and stop the story if it ends otherwise than expected.

        keep: words separated by `|`; only lines with one of them are shown.
        """
        if show:
            print(f"  $ custody {' '.join(arguments)}")
        done = subprocess.run([BIN / "custody", *arguments], capture_output=True, text=True, check=False, cwd=self.folder)
        if done.returncode != expect:
            sys.exit(f"{done.stdout}{done.stderr}\nthe story stopped: exit code {done.returncode}, expected {expect}")
        if show:
            for line in (done.stdout + done.stderr).splitlines():
                if not keep or any(word in line for word in keep.split("|")):
                    print(f"    {line[:190]}", flush=True)
        return done.stdout

    def answer(self, *arguments: str) -> Any:
        """Run a command for its JSON."""
        return json.loads(self.custody(*arguments, "--format", "json", show=False))

    def until(self, what: str, test: Any, seconds: float = 60) -> Any:
        """Wait until something is true; the worker does its rounds every second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := test():
                return found
            time.sleep(0.3)
        return sys.exit(f"the story stopped: {what} did not happen within {seconds:.0f} s; see {self.project / 'up.log'}")

    def monitor(self, key: str) -> dict[str, Any]:
        """Return what is known about a deployment's quality: evaluations, looks, alerts; as `custody monitor show` says."""
        with connect() as client:
            return dict(client.monitor_show(key).data)

    def row(self, key: str) -> dict[str, Any]:
        """Return a deployment's row on the overview; as `custody deployment show` says."""
        with connect() as client:
            return dict(client.deployment_show(key).data["row"])

    def show_monitor(self, key: str) -> None:
        """Print what the monitor of a deployment found last."""
        view = self.monitor(key)
        print(f"  $ custody monitor show {key}")
        for one in view["evaluations"][-1:]:
            found = [m for m in one["metrics"] if m["metric"] in SHOWN]
            metrics = ", ".join(f"{m['metric']} {m['value']:.3f} [{m['low']:.3f}, {m['high']:.3f}]" for m in found)
            span = f"{one['start'][:10]} to {one['end'][:10]}"
            print(f"    {span}: {one['labelled']} of {one['predictions']} predictions have a label; {metrics}")
        for look in {one["reference"]: one for one in view["looks"]}.values():
            print(f"    drift against {look['reference']}: {look['level']} (log10 e {look['log10_e']:.1f}); {look['sentence']}")
        for alert in view["alerts"][:1]:
            print(f"    alert ({alert['state']}): {alert['check']['sentence']}")

    def begin(self) -> None:
        """Make the project's folder anew; a folder that no story made is left alone."""
        if self.project.exists():
            if not (self.project / MARK).is_file():
                sys.exit(f"'{self.project}' exists and was not made by a story: move it away first.")
            shutil.rmtree(self.project)
        self.project.mkdir(parents=True)
        (self.project / MARK).touch()

    @contextmanager
    def platform(self, tenants: Iterable[str]) -> Iterator[tuple[int, str]]:
        """Start everything with one command, admit the tenants, and stop it at the end; gives the inference port and a key."""
        print(f"  $ custody init {self.project} && custody up --project {self.project}")
        port, inference_port = free_port(), free_port()
        start = ["--project", str(self.project), "up", "--port", str(port), "--inference-port", str(inference_port)]
        with (self.project / "up.log").open("w") as log:
            quick = {**os.environ, "CUSTODY_SEAL_INTERVAL": "0"}  # a story does not wait a minute for its captures
            up = subprocess.Popen([BIN / "custody", *start], stdout=subprocess.PIPE, stderr=log, text=True, env=quick)
            try:
                lines = [up.stdout.readline().rstrip() for _ in range(3)] if up.stdout else []
                if len(lines) < 3 or not lines[2]:
                    sys.exit(f"custody up did not start; see {self.project / 'up.log'}")
                print("\n".join(f"    {line}" for line in lines))
                key = lines[2].split()[1]
                os.environ.update(CUSTODY_URL=f"http://127.0.0.1:{port}", CUSTODY_KEY=key)
                for tenant in tenants:
                    self.custody("tenant", "add", tenant, keep="ledger")
                yield inference_port, key
            finally:
                up.terminate()
                up.wait(timeout=30)

    def end(self) -> None:
        """Say how to look at the project."""
        print(f"\nThe whole story took {self.seconds:.0f} s. Look at it in the dashboard:")
        print(f"  {BIN / 'custody'} --project {self.project} key add me --role admin      # prints a key to sign in with")
        print(f"  {BIN / 'custody'} --project {self.project} up")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
