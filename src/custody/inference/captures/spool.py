"""Captures between the answer and the object store: written to files first, shipped in batches later, never lost silently."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from custody.core.objects import Objects
from custody.core.tenancy import TenantId
from custody.serving import complete_lines, packed

Prepare = Callable[[Iterator[bytes]], Iterable[bytes]]  # pieces of whole lines, as they were captured and as they are stored
_SUFFIX = ".ndjson"


@dataclass(slots=True)
class _File:
    fd: int
    path: Path
    size: int = 0


class Spool:
    """Files of capture lines, one open per deployment: `<folder>/<tenant>/<batch id>.ndjson`.

    A line is handed to the operating system before `append` returns, so that killing this process loses none.
    batch_id: makes a name that no other node makes and that sorts by time; the name fixes where the batch is shipped.
    """

    def __init__(self, folder: Path, batch_id: Callable[[], str], *, most_bytes: int, roll_bytes: int = 8 * 1024 * 1024) -> None:
        self._folder, self._batch_id = folder, batch_id
        self._most_bytes, self._roll_bytes = most_bytes, roll_bytes
        self._open: dict[str, _File] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._closed = sorted(folder.glob(f"*/*{_SUFFIX}"), key=lambda path: path.name)  # left by an earlier process
        self.size_bytes = sum(path.stat().st_size for path in self._closed)

    def append(self, key: str, lines: bytes) -> bool:
        """Write lines of a deployment, `tenant/environment/name`; False if the spool is full or the disk refuses: none is kept."""
        if self.size_bytes + len(lines) > self._most_bytes:
            return False
        try:
            file = self._open.get(key) or self._create(key)
            written = os.write(file.fd, lines)
            if written < len(lines):
                os.ftruncate(file.fd, file.size)
                return False
        except OSError:
            return False
        file.size += written
        self.size_bytes += written
        if file.size >= self._roll_bytes:
            self._close(key)
        return True

    @property
    def open_files(self) -> int:
        """Return how many files lines are written to."""
        return len(self._open)

    def roll(self, most: int | None = None) -> None:
        """Close the files that hold lines, so that they can be shipped; most: only so many, those that were opened first."""
        for key in list(self._open)[:most]:
            self._close(key)

    def pending(self) -> Iterator[Path]:
        """Return the closed files, oldest first."""
        return iter(tuple(self._closed))

    def shipped(self, path: Path, size: int) -> None:
        """Forget a file that was shipped and removed."""
        self._closed.remove(path)
        self.size_bytes -= size

    def _create(self, key: str) -> _File:
        path = self._folder / key.partition("/")[0] / f"{self._batch_id()}{_SUFFIX}"
        path.parent.mkdir(exist_ok=True)
        file = self._open[key] = _File(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), path)
        return file

    def _close(self, key: str) -> None:
        file = self._open.pop(key)
        os.close(file.fd)
        self._closed.append(file.path)


def batch_name(tenant: TenantId, batch_id: str) -> str:
    """Return where a batch is stored."""
    return f"captures/{tenant}/{batch_id}.ndjson.gz"


def ship(path: Path, objects: Objects, prepare: Prepare) -> int:
    """Store one closed file as a batch, remove it, and return its size; a name that is taken was shipped before.

    prepare: removes personal data from the lines, and samples them; if it fails, the file stays, and nothing is stored.
    """
    with path.open("rb", buffering=0) as file:
        batch = packed(prepare(complete_lines(file)))
        size = os.fstat(file.fileno()).st_size
    if batch:
        objects.create(batch_name(TenantId(path.parent.name), path.name.removesuffix(_SUFFIX)), batch)
    path.unlink()
    return size
