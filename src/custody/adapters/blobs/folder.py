"""The object store in a local folder: atomic, durable, and closed to names and links that lead out of it."""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from custody.adapters.blobs.naming import DOCUMENTS, OBJECTS, digest_at, document_path, is_name, object_path, prefix_path
from custody.core.digest import Digest, digest_of, verified
from custody.core.errors import IntegrityBroken, InvalidInput, NotFound, Unavailable
from custody.core.keys import Resealed
from custody.core.objects import Alone
from custody.core.tenancy import TenantId

_PARTS = "tmp"
_LONG = 1024 * 1024  # bytes
_LEASE_S = 600  # longer than any write takes: a younger file may belong to a writer at work
_FOR = 0o660  # who may read and write, but for what the process's umask takes away
_NO_LINK = errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CAUSES = {
    errno.ENOSPC: "The disk is full.",
    errno.EDQUOT: "The disk quota is used up.",
    errno.EFBIG: "The file is larger than the disk or the process's limit allows.",
    errno.EROFS: "The disk is mounted read-only.",
    errno.EACCES: "This process has no permission for it.",
    errno.EPERM: "This process has no permission for it, or the disk knows no hard links.",
    errno.EIO: "The disk reports an error.",
    errno.EMFILE: "This process has too many open files.",
    errno.ENFILE: "This machine has too many open files.",
}


class FolderObjects:
    """Keep objects in `objects/ab/cdef...` and documents in `documents/<name>` below a root folder.

    Every write goes to a new file in `tmp/`, reaches the disk, and only then gets its name; a killed process leaves at
    most a file in `tmp/`, which no reader sees and `sweep` removes. Two differences to a bucket: the name of a document
    cannot also be the folder of another one (InvalidInput), and links inside the root are refused (IntegrityBroken).
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def of(self, tenant: TenantId) -> Self:  # noqa: ARG002 - tenants share a plain store
        """Return this store."""
        return self

    def put(self, body: bytes) -> Digest:
        """Store bytes durably and return their digest; storing the same bytes again changes nothing."""
        digest = digest_of(body)
        path = object_path(digest)
        if self._stat(path) is None:
            self._write(path, body, replace=False)
        else:
            self._settle(path)
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes; NotFound if absent, IntegrityBroken if they no longer match the digest."""
        body = self._load(object_path(digest))
        if body is None:
            raise NotFound.of("object", digest[:12])
        return verified(body, digest)

    def has(self, digest: Digest) -> bool:
        """Tell whether the object is stored, without reading it."""
        return self._stat(object_path(digest)) is not None

    def digests(self) -> Iterator[Digest]:
        """Return every stored object's digest."""
        return (digest for path in self._paths(OBJECTS) if (digest := digest_at(path)))

    def discard(self, digest: Digest) -> None:
        """Remove an object, durably; nothing happens if there is none."""
        self._unlink(object_path(digest))

    def purge(self, prefix: str) -> int:
        """Remove what killed writers left in `tmp/`; a folder keeps no older versions."""
        prefix_path(prefix)
        return self.sweep(older_than_seconds=_LEASE_S, now=datetime.fromtimestamp(time.time(), UTC))

    def reseal(self, after: str, limit: int, *, dry_run: bool = False, alone: Alone = nullcontext) -> Resealed:  # noqa: ARG002 - the port's words
        """Do nothing: nothing is sealed here."""
        return Resealed("", 0, 0, 0)

    def publish(self, name: str, body: bytes) -> None:
        """Write a document, replacing an older one in one step."""
        self._write(document_path(name), body, replace=True)

    def create(self, name: str, body: bytes | memoryview) -> bool:
        """Write a document only if the name is free; False (and no change) if it is taken.

        A long one, as a batch of captures, is read once and later: it is not kept in the page cache, where the memory for one
        after the other costs more than writing them.
        """
        return self._write(document_path(name), body, replace=False, cached=len(body) < _LONG)

    def create_from(self, name: str, file: Path) -> bool:
        """As `create`, of what stands in a file that nobody writes to any more: it is not copied where it lies on the same disk."""
        return self._write(document_path(name), file, replace=False, cached=False)

    def read(self, name: str) -> bytes | None:
        """Return a document, or None."""
        return self._load(document_path(name))

    def stamp(self, name: str) -> str | None:
        """Return a text that changes whenever the document is published again; None if there is none."""
        found = self._stat(document_path(name))
        return f"{found.st_mtime_ns}-{found.st_ino}-{found.st_size}" if found else None

    def names(self, prefix: str) -> Iterator[str]:
        """Return the names of documents below a prefix, sorted."""
        names = (path.removeprefix(DOCUMENTS + "/") for path in self._paths(prefix_path(prefix)))
        return iter(sorted(filter(is_name, names)))

    def remove(self, name: str) -> None:
        """Remove a document, durably; nothing happens if there is none."""
        self._unlink(document_path(name))

    def _unlink(self, path: str) -> None:
        above, leaf = _split(path)
        with suppress(FileNotFoundError, IsADirectoryError), self._explained(), self._folder(above) as folder:
            os.unlink(leaf, dir_fd=folder)
            os.fsync(folder)

    def sweep(self, *, older_than_seconds: float, now: datetime) -> int:
        """Remove what killed writers left in `tmp/`, and return how many files that were.

        older_than_seconds: longer than any write can take, since a younger file may belong to a writer at work.
        """
        swept = 0
        with suppress(FileNotFoundError), self._explained(), self._folder(_PARTS) as folder, os.scandir(folder) as parts:
            for part in parts:
                with suppress(FileNotFoundError):
                    written = part.stat(follow_symlinks=False).st_mtime
                    if written < now.timestamp() - older_than_seconds:
                        os.unlink(part.name, dir_fd=folder)
                        swept += 1
            os.fsync(folder)
        return swept

    def _write(self, path: str, body: bytes | memoryview | Path, *, replace: bool, cached: bool = True) -> bool:
        above, leaf = _split(path)
        part = secrets.token_hex(16)
        with self._explained(), self._folder(_PARTS, make=True) as parts, self._folder(above, make=True) as folder:
            try:
                _write_through(part, body, parts, cached=cached)
                if replace:
                    os.replace(part, leaf, src_dir_fd=parts, dst_dir_fd=folder)
                else:
                    os.link(part, leaf, src_dir_fd=parts, dst_dir_fd=folder, follow_symlinks=False)
            except IsADirectoryError as error:
                raise _name_is_a_folder() from error
            except FileExistsError:
                if stat.S_ISDIR(os.stat(leaf, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise _name_is_a_folder() from None
                os.fsync(folder)
                return False
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part, dir_fd=parts)
            os.fsync(folder)
        return True

    def _settle(self, path: str) -> None:
        """Make the name of a file last: another process may have linked it a moment ago."""
        with self._explained(), self._folder(_split(path)[0]) as folder:
            os.fsync(folder)

    def _load(self, path: str) -> bytes | None:
        above, leaf = _split(path)
        with suppress(FileNotFoundError, IsADirectoryError), self._explained(), self._folder(above) as folder:
            return _read(leaf, folder)
        return None

    def _stat(self, path: str) -> os.stat_result | None:
        above, leaf = _split(path)
        with suppress(FileNotFoundError), self._explained(), self._folder(above) as folder:
            found = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                raise _link_in_the_store()
            return found if stat.S_ISREG(found.st_mode) else None
        return None

    def _paths(self, below: str) -> list[str]:
        with suppress(FileNotFoundError), self._explained(), self._folder(below) as folder:
            return list(_files(folder, below))
        return []

    @contextmanager
    def _folder(self, path: str, *, make: bool = False) -> Iterator[int]:
        """Open a folder below the root step by step, so that no link on the way is followed."""
        if make:
            self._root.mkdir(mode=0o770, parents=True, exist_ok=True)
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for segment in path.split("/"):
                inner = _enter(folder, segment, make=make)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _link_in_the_store() from error
            if error.errno not in _CAUSES:
                raise
            raise Unavailable(
                f"The object store in '{self._root}' cannot be used.",
                why=_CAUSES[error.errno],
                fix="Make room or give permission, then try again.",
                facts={"folder": str(self._root), "cause": errno.errorcode[error.errno]},
            ) from error


def _split(path: str) -> tuple[str, str]:
    above, _, leaf = path.rpartition("/")
    return above, leaf


def _enter(folder: int, segment: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(segment, 0o770, dir_fd=folder)
            os.fsync(folder)
    try:
        return os.open(segment, _OPEN_FOLDER, dir_fd=folder)
    except NotADirectoryError as error:
        if stat.S_ISLNK(os.stat(segment, dir_fd=folder, follow_symlinks=False).st_mode):
            raise _link_in_the_store() from error
        if make:
            raise _name_is_a_folder() from error
        raise FileNotFoundError(segment) from error


def _within(folder: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, _FOR, dir_fd=folder)


def _read(name: str, folder: int) -> bytes:
    with open(name, "rb", opener=_within(folder)) as file:
        return file.read()


def _write_through(name: str, body: bytes | memoryview | Path, folder: int, *, cached: bool) -> None:
    if isinstance(body, Path) and not _linked(body, name, folder):
        body = body.read_bytes()
    with open(name, "r+b" if isinstance(body, Path) else "xb", opener=_within(folder)) as file:
        if isinstance(body, Path):
            os.fchmod(file.fileno(), os.fstat(folder).st_mode & _FOR)
        else:
            file.write(body)
            file.flush()
        os.utime(file.fileno(), ns=(written := time.time_ns(), written))  # finer than the disk's own clock: see stamp
        os.fsync(file.fileno())
        if not cached and hasattr(os, "posix_fadvise"):  # macOS has none
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _linked(file: Path, name: str, folder: int) -> bool:
    """Give a file another name, in a folder; False where it must be copied: it lies on another disk, or its readers are others."""
    if file.stat().st_gid != os.fstat(folder).st_gid:
        return False
    os.utime(file)  # `sweep` goes by its age
    try:
        os.link(file, name, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _files(folder: int, below: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{below}/{entry.name}"
            if entry.is_file(follow_symlinks=False):
                yield path
            elif entry.is_dir(follow_symlinks=False):
                inner = os.open(entry.name, _OPEN_FOLDER, dir_fd=folder)
                try:
                    yield from _files(inner, path)
                finally:
                    os.close(inner)


def _link_in_the_store() -> IntegrityBroken:
    return IntegrityBroken(
        "The object store holds a symbolic link, which may lead out of it.",
        why="custody never writes links: something else put it there.",
        fix="Find it with `find <folder> -type l` and put the real file or folder in its place.",
    )


def _name_is_a_folder() -> InvalidInput:
    return InvalidInput(
        "This document name is a folder of other documents, or runs through a document.",
        why="In a local folder, a name cannot be a document and a folder at once.",
        fix="Choose a name that is not the beginning of another one.",
    )
