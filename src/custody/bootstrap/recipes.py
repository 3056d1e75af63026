"""Runs a recorded training command again, in a child process with a folder of its own."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from custody.bootstrap.control import clock
from custody.core.errors import Denied
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE, TenantId
from custody.lifecycle.retrain import WORKER
from custody.lifecycle.stores import Caller, Ports
from custody.lifecycle.train import begin, train
from custody.registry.run import Recipe, Run, RunStatus
from custody.sdk.running import environment

LONGEST = 6 * 3600  # seconds
PASSED = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "OMP_NUM_THREADS", "SSL_CERT_FILE"}  # no secrets
log = logging.getLogger("custody.worker")


class LocalSteps:
    """Repeats recipes on this machine; only where the project trusts the commands that its runs recorded.

    passed: environment variables that a command needs to open the project, beside the usual ones.
    """

    def __init__(self, ports: Ports, folder: Path, *, trusted: bool, passed: Iterable[str] = ()) -> None:
        self._ports, self._folder, self._trusted = ports, folder, trusted
        self._passed = PASSED | set(passed)
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End a command that is running; its run is recorded as killed, and the request goes on at the next start."""
        self._stopping.set()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def run(self, tenant: TenantId, name: str, recipe: Recipe, dataset: DatasetRef, cause: str) -> Run:
        """Run the command with its files in a fresh folder; the run is recorded whatever happens."""
        if tenant != HOUSE:
            raise Denied(
                f"The worker does not run commands of the tenant '{tenant}'.",
                why="A recorded command runs with the worker's rights, which reach every tenant.",
                fix="Train where the tenant's own code may run, and register the result.",
            )
        if not self._trusted:
            raise Denied(
                "The worker may not run recorded commands here.",
                fix="Set trust_recipes = true in custody.toml, or train by hand.",
            )
        run, _ = begin(self._ports, Caller(tenant, WORKER, clock()), name, environment=environment(), recipe=recipe, cause=cause)
        status = RunStatus.FAILED
        try:
            with tempfile.TemporaryDirectory(prefix="custody-run-") as folder:
                status = self._execute(tenant, run, recipe, dataset, Path(folder))
        except (OSError, ValueError) as error:  # the program is missing, or its arguments are none
            log.warning("run %s could not be started: %s", run.id, type(error).__name__)
        finally:
            ended, _ = train(self._ports, Caller(tenant, WORKER, clock()), run.id, status)
        return ended

    def _execute(self, tenant: TenantId, run: Run, recipe: Recipe, dataset: DatasetRef, folder: Path) -> RunStatus:
        for path, digest in recipe.files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self._ports.stores.objects.get(digest))
        program = sys.executable if recipe.command[0] in {"python", "python3"} else recipe.command[0]
        extra = {
            "CUSTODY_PROJECT": str(self._folder.absolute()),
            "CUSTODY_RUN": run.id,
            "CUSTODY_DATASET": str(dataset),
            "CUSTODY_TENANT": tenant,
        }
        inherited = {name: value for name, value in os.environ.items() if name in self._passed or name.startswith("LC_")}
        self._child = subprocess.Popen([program, *recipe.command[1:]], cwd=folder, env=inherited | extra)
        try:
            code = self._child.wait(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            return RunStatus.FAILED
        if self._stopping.is_set():
            return RunStatus.KILLED
        return RunStatus.FINISHED if code == 0 else RunStatus.FAILED
