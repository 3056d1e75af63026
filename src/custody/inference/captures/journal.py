"""Captures before they are lines: frames in a mapped file, which is emptied before it is full (format version 3).

What is written there outlives this process, as what was handed to the system does, and costs nearly nothing: the pages are there,
and stay in the processor's caches. Lines are made of hundreds of frames at once, at a third of what few cost.

The file: `_MAGIC`; at 32 where what is safe ends, and how often it was emptied, which all checksums begin with; at 48 of a `BatchJournal` its
name, and zeros of others; from 64 on batches, of what was made safe at once.
A batch: its size, a checksum, and when it was recorded, by the clock on the wall in ms and by the one that requests come by in ns;
its frames. A frame is a request: its size; the sizes of two parts; how many inputs it has, and rows; its checksum; when it came; the
size of each input. Then the parts: its target with the names, types and shapes of its inputs; the unique part of its id, and as JSON
its scores, decisions, time, keys, and which answer it mirrors; and the inputs. Numbers are little-endian; batches and frames begin at
multiples of 8. They are written, and read, by `_journal.c`.
"""

import logging
import mmap
import os
from functools import lru_cache
from itertools import chain
from math import prod
from pathlib import Path
from struct import Struct
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import orjson

from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import ModelRef
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
_BATCH_MAGIC = b"custody batch journal %d\n" % _FORMAT  # versions that know none must not take it for one of the others
END_AT, NAMED, FIRST = 32, slice(48, 64), 64
END = Struct("<qQ")
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

    def __init__(self, path: Path, size: int = _SIZE, *, makes_batches: bool = False) -> None:
        """Make the file, of so many bytes. Raises OSError if there is no room for it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # a full disk is found out here; later, the process would be killed
            self._map = mmap.mmap(fd, size)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(fd)
        self._path, self.size = path, size
        frames = Frames(self._map)
        self.add, self.commit, self.clear = frames.add, frames.commit, frames.clear
        magic = _BATCH_MAGIC if makes_batches else _MAGIC
        self._map[: len(magic)] = magic

    def is_empty(self) -> bool:
        """Tell whether nothing stands in it."""
        return self.commit() <= FIRST

    def lines(self) -> list[Line]:
        """Return what is safe, as lines."""
        end = self.commit()
        with memoryview(self._map) as whole, whole[:end] as safe:
            return _lines(safe)

    def close(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)


class Target(NamedTuple):
    """Who answered, and what the columns are.

    head: how its lines begin, see `line_head`. columns: what stands before each, the type of its numbers, and how many a row has.
    """

    place: str
    head: bytes
    columns: tuple[tuple[bytes, str, int], ...]

    @property
    def told(self) -> dict[str, Any]:
        """Return what its lines begin with: id, mode, threshold."""
        told: dict[str, Any] = orjson.loads(self.head[:-1] + b"}")
        return told

    @property
    def model(self) -> ModelRef:
        """Return the model."""
        return PredictionId.parse(self.told["id"] + "0" * 26).model

    @property
    def threshold(self) -> float:
        """Return the threshold."""
        return float(self.told["threshold"])

    @property
    def names(self) -> list[str]:
        """Return the names of the inputs."""
        return [orjson.loads(name[:-1]) for name, _, _ in self.columns]

    @property
    def places(self) -> list[str]:
        """Return the names of the inputs, or of their places where a row has several numbers, see `spread`."""
        wide = zip(self.names, self.columns, strict=True)
        return [*chain.from_iterable([f"{n}.{i}" for i in range(w)] if w > 1 else [n] for n, (_, _, w) in wide)]


def named(name: bytes) -> str:
    """Return the id that a journal's name is, 16 bytes."""
    return unique_at(int.from_bytes(name[:6]), name[6:])


@lru_cache(256)
def target_of(what: bytes) -> Target:
    """Read what a frame says of its target."""
    place, head, rest = what.split(b"\0", 2)
    pieces = []
    while rest.startswith(b'"'):
        piece, _, rest = rest.partition(b"\0")
        pieces.append(piece)
    columns = []
    for piece in pieces:
        end = 1 + 8 * (rest[0] - 1)  # behind how many axes there are the lengths of all but the first
        columns.append((piece[:-1], chr(piece[-1]), prod(np.frombuffer(rest[1:end], np.int64).tolist())))
        rest = rest[end:]
    return Target(place.decode(), head, tuple(columns))


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


def left(path: Path) -> tuple[str | None, list[Line]]:
    """Return what a process left in its journal when it was killed, and of a `BatchJournal` its id.

    Raises ValueError if it is of another version, or damaged.
    """
    body = path.read_bytes()
    if not any(body):  # killed as soon as the file was made
        return None, []
    if not body.startswith((_MAGIC, _BATCH_MAGIC)):
        raise ValueError("it is of another version")
    end, _ = END.unpack_from(body.ljust(FIRST), END_AT)
    if not FIRST <= end <= len(body):
        raise ValueError("a part of it is missing")
    return named(body[NAMED]) if body.startswith(_BATCH_MAGIC) else None, _lines(memoryview(body)[:end])


def _lines(safe: memoryview) -> list[Line]:
    _, generation = END.unpack_from(safe, END_AT)
    return [line_of_parts(*line) for line in lines(safe[FIRST:], generation)]


def line_of_parts(at_ms: int, what: bytes, rows: int, *lists_and_columns: Any) -> Line:
    """Return a line from what `_journal.c` tells of it."""
    *lists, columns = lists_and_columns
    target = target_of(what)
    named = [(name, code, data) for (name, code, _), data in zip(target.columns, columns, strict=True)]
    return Line(target.place, rows, line_of_columns(target.head, at_ms, Lists(*lists), named))


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
