"""What a restart needs while the object store is away: the signed manifests still in use, and their objects."""

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from custody.core.digest import Digest, verified
from custody.core.errors import CustodyError
from custody.core.objects import Objects


class Cache:
    """A folder of one process; safe to read from several threads."""

    def __init__(self, folder: Path) -> None:
        self._manifests, self._objects = folder / "manifests", folder / "objects"
        self._manifests.mkdir(parents=True, exist_ok=True)
        self._objects.mkdir(exist_ok=True)

    def object(self, digest: Digest, objects: Objects) -> bytes:
        """Return an object from here, or fetch and keep it; always verified."""
        path = self._objects / digest
        try:
            return verified(path.read_bytes(), digest)
        except (OSError, CustodyError):
            body = verified(objects.get(digest), digest)
            with suppress(OSError):  # a full disk must not keep a new revision, or a rollback, from being served
                _write(path, body)
            return body

    def manifests(self) -> list[bytes]:
        """Return the kept signed manifests, oldest first."""
        return [path.read_bytes() for path in sorted(self._manifests.glob("*.json"))]

    def add(self, body: bytes, sequence: int) -> None:
        """Keep one more manifest, of which a part is served; a disk that is full keeps none."""
        with suppress(OSError):
            _write(self._manifests / _name(sequence), body)

    def keep(self, body: bytes, newest: int, serving: Iterable[int], used: AbstractSet[str | None]) -> None:
        """Keep the newest manifest and the older ones that still serve something; drop the rest, and unused objects.

        newest, serving: their sequences. used: digests.
        """
        _write(self._manifests / _name(newest), body)
        names = {_name(newest), *map(_name, serving)}
        for path in self._manifests.iterdir():
            if path.name not in names:
                path.unlink()
        for path in self._objects.iterdir():
            if path.name not in used:
                path.unlink(missing_ok=True)


def _name(sequence: int) -> str:
    return f"{sequence:020d}.json"


def _write(path: Path, body: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
