"""Key files: written whole or not at all, once, and read by their owner only."""

import os
from pathlib import Path


def write_once(path: Path, raw: bytes) -> None:
    """Write bytes as hex digits unless the file is there; of several processes the first one wins, and none reads half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    half = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(raw.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(half, path)
    except FileExistsError:
        return
    finally:
        half.unlink()
