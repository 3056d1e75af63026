"""The worker: seals captures, watches and keeps the manifest true, round after round; retrains beside that."""

import argparse
import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from custody.bootstrap.control import clock, wire
from custody.bootstrap.recipes import LocalSteps
from custody.bootstrap.sealing import secret_variables
from custody.bootstrap.settings import load
from custody.core.errors import Conflict, CustodyError
from custody.core.refs import DeploymentKey
from custody.lifecycle.feeds import watch_feeds
from custody.lifecycle.forget import resume
from custody.lifecycle.listing import enlist_all
from custody.lifecycle.owed import remind
from custody.lifecycle.release import settle
from custody.lifecycle.retrain import reap, retrain_next
from custody.lifecycle.scan import rescan
from custody.lifecycle.seal import seal
from custody.lifecycle.watch import Seen, watch

log = logging.getLogger("custody.worker")


def guarded(*steps: Callable[[], object]) -> None:
    """Do each step; one that fails is reported and holds none of the others up."""
    for step in steps:
        try:
            step()
        except CustodyError as error:
            log.warning("%s: %s", type(error).__name__, error)
        except Exception:
            log.exception("a step of the worker failed; it is tried again in the next round")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the project's worker lock; Conflict if another worker has it."""
    with (folder / "worker.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(
                "This project has a worker already.",
                why="One worker per project: two would retrain twice.",
                fix="Stop the other 'custody up' first.",
            ) from error
        yield


def main() -> None:
    """Work until a signal."""
    parser = argparse.ArgumentParser(prog="custody.bootstrap.worker")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    settings = load(given.folder, os.environ)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with alone(settings.folder):
        ports, seen, asked = wire(settings), Seen(), dict[DeploymentKey, datetime]()
        reap(ports, clock())
        guarded(lambda: resume(ports, clock()), lambda: enlist_all(ports))
        steps = LocalSteps(ports, settings.folder, trusted=settings.trust_recipes, passed=secret_variables(settings))

        def rounds(*due: Callable[[], object]) -> None:
            while not stop.is_set():
                guarded(*due)
                stop.wait(settings.interval)

        training = threading.Thread(target=rounds, args=(lambda: retrain_next(ports, steps, clock),))
        scanning = threading.Thread(target=rounds, args=(lambda: rescan(ports, clock()),))
        training.start()  # a training takes hours, a scan minutes; captures and alarms do not wait for them
        scanning.start()
        sys.stdout.write("worker ready\n")
        sys.stdout.flush()
        rounds(
            lambda: settle(ports, clock()),
            lambda: seal(ports, clock(), every=timedelta(seconds=settings.seal_interval)),
            lambda: watch(ports, clock(), seen),
            lambda: watch_feeds(ports, clock(), asked),
            lambda: remind(ports, clock()),
        )
        steps.stop()
        training.join()
        scanning.join()


if __name__ == "__main__":
    main()
