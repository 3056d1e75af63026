"""Captures between the answer and the object store: written to files first, shipped in batches later, never lost silently."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from custody.core.errors import Unavailable
from custody.core.objects import Objects
from custody.core.tenancy import TenantId
from custody.inference.captures.journal import Line
from custody.serving import is_packed, packed

Prepare = Callable[[IO[bytes]], Iterable[bytes] | None]  # a file's lines as they are to be stored, None if as they are
_SUFFIX, _DRAFT, _GIVEN = ".ndjson", ".new", "-"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
_MOST_PARTS = os.sysconf("SC_IOV_MAX")  # of one write
_SHARE = 4  # times what is left free: what a tenant may take


@dataclass(slots=True)
class _File:
    fd: int
    path: Path
    tenant: str
    size: int = 0


class Spool:
    """Files of capture lines, one open per deployment: `<folder>/<tenant>/<batch id>.ndjson`.

    A line is handed to the operating system before `append` returns, so that killing this process loses none. A tenant may take
    four fifths of the spool, and less where others take much: each finds room that grows with what is free.
    batch_id: makes a name that no other node makes and that sorts by time; the name fixes where the batch is shipped.
    """

    def __init__(self, folder: Path, batch_id: Callable[[], str], *, most_bytes: int, roll_bytes: int = 8 * 1024 * 1024) -> None:
        self._folder, self._batch_id = folder, batch_id
        self._most_bytes, self._roll_bytes = most_bytes, roll_bytes
        self._open: dict[str, _File] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for draft in folder.glob(f"*/*{_DRAFT}"):
            draft.unlink()
        left = sorted(folder.glob(f"*/*{_SUFFIX}"), key=lambda path: path.name)  # by an earlier process
        self._closed = {path: path.stat().st_size for path in left}  # in the order in which they are shipped
        self._taken = Counter[str]()  # bytes of each tenant
        for path, size in self._closed.items():
            self._taken[path.parent.name] += size
        self.size_bytes = self._taken.total()

    def append(self, key: str, *parts: bytes) -> bool:
        """Write lines of a deployment, `tenant/environment/name`; False if the spool is full or the disk refuses: none is kept.

        parts: of the lines, which are not joined first.
        """
        size = sum(map(len, parts))
        if not self._has_room(key, size):
            return False
        try:
            file = self._open.get(key) or self._create(key)
            written = os.writev(file.fd, parts if len(parts) <= _MOST_PARTS else [b"".join(parts)])
            if written < size:
                os.ftruncate(file.fd, file.size)
                return False
        except OSError:
            return False
        file.size += written
        self._taken[file.tenant] += written
        self.size_bytes += written
        if file.size >= self._roll_bytes:
            self._close(key)
        return True

    def holds(self, key: str, name: str) -> bool:
        """Tell whether there is a closed file of a deployment's tenant with this name."""
        return self._folder / key.partition("/")[0] / f"{name}{_SUFFIX}" in self._closed

    def begin(self, key: str, size: int, name: str | None = None) -> Path | None:
        """Keep room for `size` bytes of a deployment's lines, and return the new file for them, None if there is no room.

        `write_alone` writes it, in any thread; then `end` must be called. name: of the batch, with a dash, where it may be stored already;
        else it gets a new one.
        """
        if not self._has_room(key, size):
            return None
        try:
            path = self._named(key, name)
        except OSError:
            return None
        self._taken[path.parent.name] += size
        self.size_bytes += size
        return path

    def end(self, path: Path, size: int, *, written: bool) -> None:
        """Have a file that was begun shipped, or forget it."""
        if written:
            self._closed[path] = size
        else:
            self._forget(path, size)

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

    def shipped(self, path: Path) -> None:
        """Forget a file that was shipped and removed."""
        self._forget(path, self._closed.pop(path))

    def lacking(self, lines: Iterable[Line]) -> list[Line]:
        """Return which lines of a journal no closed file ends with: who is killed while it is emptied leaves some in both."""
        wanted: dict[str, dict[bytes, Line]] = {}
        for line in lines:
            wanted.setdefault(line.place.partition("/")[0], {})[line.text] = line
        for path in self._closed:
            if some := wanted.get(path.parent.name):
                with path.open("rb") as file:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - sum(map(len, some))))
                    for found in file.read().splitlines(keepends=True):
                        some.pop(found, None)
        return [line for some in wanted.values() for line in some.values()]

    def _has_room(self, key: str, size: int) -> bool:
        """Tell whether a tenant may have more: a share of what would be left free, so that there is always room for another one.

        Source: Choudhury and Hahne, Dynamic queue length thresholds for shared-memory packet switches, 1998, equation 1.
        """
        free = self._most_bytes - self.size_bytes - size
        if self._most_bytes <= (1 + _SHARE) * free:  # nobody has more than a share of that
            return True
        tenant = key.partition("/")[0]
        return self._taken[tenant] + size <= _SHARE * free

    def _forget(self, path: Path, size: int) -> None:
        self._taken[path.parent.name] -= size
        self.size_bytes -= size

    def _named(self, key: str, name: str | None = None) -> Path:
        folder = self._folder / key.partition("/")[0]
        folder.mkdir(exist_ok=True)
        return folder / f"{name or self._batch_id()}{_SUFFIX}"

    def _create(self, key: str) -> _File:
        path = self._named(key)
        file = self._open[key] = _File(os.open(path, _NEW, 0o600), path, path.parent.name)
        return file

    def _close(self, key: str) -> None:
        file = self._open.pop(key)
        with suppress(OSError):  # it is closed all the same
            os.close(file.fd)
        self._closed[file.path] = file.size


def write_alone(path: Path, lines: bytes) -> bool:
    """Write lines into a file that was begun, in one step; False if the disk refuses: none is kept."""
    draft = path.with_suffix(_DRAFT)
    try:
        fd = os.open(draft, _NEW, 0o600)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(fd, rest) :]
        finally:
            os.close(fd)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        return False
    return True


def ship(path: Path, objects: Objects, prepare: Prepare) -> int:
    """Store one closed file as the batch `captures/<tenant>/<its name>`, remove it, and return its size.

    A name that is taken was shipped before; given names stay as they are, and others tell whether it is compressed. prepare: removes
    personal data from the lines, and samples them; if it fails, the file stays, and nothing is stored.
    """
    name = f"captures/{TenantId(path.parent.name)}/{path.name}"
    with path.open("rb", buffering=0) as file:
        try:
            prepared = prepare(file)
            pack = b"".join if _GIVEN in path.stem else packed
            batch = None if prepared is None else pack(prepared)
        except (Unavailable, OSError):
            raise
        except Exception as error:
            raise ValueError(f"its lines cannot be prepared: {type(error).__name__}") from error
        size = os.fstat(file.fileno()).st_size
    if batch is None:
        objects.create_from(name, path)
    elif batch:
        objects.create(name + ".gz" * is_packed(batch), batch)
    path.unlink()
    return size
