"""One process for one state folder."""

import fcntl
from pathlib import Path
from typing import IO

from custody.core.errors import Conflict


def locked(state_dir: Path) -> IO[bytes]:
    """Take a state folder for this process until the file is closed; Conflict if another process has it."""
    lock = (state_dir / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise Conflict(
            "Another inference server uses this state folder.",
            why="Captures of two processes in one spool would be shipped twice or lost.",
            fix="Give each server its own --state-dir.",
        ) from error
    return lock
