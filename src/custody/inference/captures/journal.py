"""Captures before they are lines: frames in a mapped file, which is emptied before it is full (format version 3).

What is written there outlives this process, as what was handed to the system does, and costs nearly nothing: the pages are there,
and stay in the processor's caches. Lines are made of hundreds of frames at once, at a third of what few cost.

The file: `_MAGIC`; at 32 where what is safe ends, and how often it was emptied, which all checksums begin with; from 64 on batches.
A batch: its size, a checksum, and when it was recorded, by the clock on the wall in ms and by the one that requests come by in ns;
its frames. A frame is a request: its size; the sizes of two parts; how many inputs it has, and rows; its checksum; when it came; the
size of each input. Then the parts: its target with the names, types and shapes of its inputs; the unique part of its id, and as JSON
its scores, decisions, time, keys, and which answer it mirrors; and the inputs. Numbers are little-endian; batches and frames begin at
multiples of 8. They are written, and read, by `_journal.c`.
"""

import logging
import mmap
import os
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple
from uuid import uuid4

from custody.serving import Lists, line_of_columns

_NAME, _FORMAT = "journal", 3
try:
    from custody.inference.captures._journal import FORMAT, Frames, lines

    COMPILED = FORMAT == _FORMAT
    _WHY_NOT = f"_journal.c was compiled for format {FORMAT}"
except (ImportError, RuntimeError) as error:  # NumPy raises the second where it is older than the one it was compiled for
    COMPILED, _WHY_NOT = False, f"_journal.c was not compiled where custody was installed ({error})"
_log = logging.getLogger("custody.inference")
_MAGIC = b"custody journal %d\n" % _FORMAT
_END_AT, _FIRST = 32, 64
_END = Struct("<qQ")
_SIZE = 1024 * 1024
ENOUGH = 512 * 1024  # bytes after which it is emptied: less than a millisecond's work, and a part of a processor's own cache
_IN_PLACE = {b"ext2", b"ext3", b"ext4", b"xfs", b"tmpfs"}  # file systems that write where room was reserved


class Line(NamedTuple):
    """A line of captures in parts, the deployment that it is of, as `tenant/environment/name`, and its rows."""

    place: str
    rows: int
    parts: list[bytes]

    @property
    def text(self) -> bytes:
        """Return the line."""
        return b"".join(self.parts)


class Journal:
    """The captures of one process that are not in its spool yet: see `Frames`, whose methods it has.

    add: takes a capture, or returns False. commit: makes those since the last time safe, and returns where they end; it should be
    emptied when that is over `ENOUGH`. clear: begins anew, when what was safe is in the spool.
    """

    def __init__(self, path: Path) -> None:
        """Make the file. Raises OSError if there is no room for it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(fd, 0, _SIZE)  # a full disk is found out here; later, the process would be killed
            self._map = mmap.mmap(fd, _SIZE)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(fd)
        self._path = path
        frames = Frames(self._map)
        self.add, self.commit, self.clear = frames.add, frames.commit, frames.clear
        self._map[: len(_MAGIC)] = _MAGIC

    def lines(self) -> list[Line]:
        """Return what is safe, as lines."""
        end = self.commit()
        with memoryview(self._map) as whole, whole[:end] as safe:
            return _lines(safe)

    def close(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)


def opened(folder: Path) -> Journal | None:
    """Make a folder's journal; None where that cannot be, which is told: every capture is then written to the spool as it comes."""
    why = why_none(folder)
    if why is None:
        path = folder / _NAME
        try:
            return Journal(path)
        except OSError as error:
            why = f"{path}: {error.strerror}"
    _log.info("captures are recorded without a journal, which costs a few per cent more: %s", why)
    return None


def why_none(folder: Path) -> str | None:
    """Return why there can be no journal in a folder; None if there can."""
    if not COMPILED:
        return _WHY_NOT
    return None if _is_written_in_place(folder) else f"the file system of {folder} is none that writes where room was reserved"


def left_in(folder: Path) -> list[Path]:
    """Return the journals of processes that were killed, also those that were given to this folder, see `given`."""
    return sorted(folder.glob(f"*{_NAME}"))


def given(folder: Path) -> Path:
    """Return a new name in a folder for a journal from another one."""
    return folder / f"{uuid4().hex}.{_NAME}"


def left(path: Path) -> list[Line]:
    """Return what a process left in its journal when it was killed. Raises ValueError if it is of another version, or damaged."""
    body = path.read_bytes()
    if not any(body):  # killed as soon as the file was made
        return []
    if not body.startswith(_MAGIC):
        raise ValueError("it is of another version")
    end, _ = _END.unpack_from(body.ljust(_FIRST), _END_AT)
    if not _FIRST <= end <= len(body):
        raise ValueError("a part of it is missing")
    return _lines(memoryview(body)[:end])


def _lines(safe: memoryview) -> list[Line]:
    _, generation = _END.unpack_from(safe, _END_AT)
    return [_line(*line) for line in lines(safe[_FIRST:], generation)]


def _line(at_ms: int, what: bytes, rows: int, *lists_and_columns: Any) -> Line:
    *lists, columns = lists_and_columns
    place, head, *names = what.split(b"\0", 2 + len(columns))[: 2 + len(columns)]
    named = [(name[:-1], chr(name[-1]), column) for name, column in zip(names, columns, strict=True)]
    return Line(place.decode(), rows, line_of_columns(head, at_ms, Lists(*lists), named))


def _is_written_in_place(folder: Path) -> bool:
    """Tell whether a page of a file can always be written once room was reserved: btrfs and ZFS take new room for each write.

    So may a container's own file system, which lies on another one. Where there is none left, the system kills whoever writes to
    mapped memory.
    """
    device = folder.stat().st_dev
    number = b"%d:%d" % (os.major(device), os.minor(device))
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]
    except OSError:
        return False
    return any(mount[2] == number and mount[mount.index(b"-") + 1] in _IN_PLACE for mount in mounts)
