"""The port of the object store: immutable bytes by digest, and a few named documents."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from custody.core.digest import Digest
from custody.core.keys import Resealed
from custody.core.tenancy import TenantId

Alone = Callable[[], AbstractContextManager[object]]


class Objects(Protocol):
    """Stores bytes in a folder or an S3 bucket.

    Objects are named by their sha-256 and never change. Documents have a name (`manifest/current`,
    `captures/acme/<batch>.ndjson.gz`): segments of letters, digits, `.`, `_`, `-` joined by `/`; a name that could
    leave the store (`..`, a leading `/`, a backslash, an empty segment, NUL) is InvalidInput.
    """

    def of(self, tenant: TenantId) -> "Objects":
        """Return the same store for one tenant: where objects are sealed, what it puts is sealed with that tenant's keys."""
        ...

    def put(self, body: bytes) -> Digest:
        """Store bytes durably and return their digest; storing the same bytes again changes nothing."""
        ...

    def get(self, digest: Digest) -> bytes:
        """Return the bytes; NotFound if absent, IntegrityBroken if they no longer match the digest."""
        ...

    def has(self, digest: Digest) -> bool:
        """Tell whether the object is stored, without reading it."""
        ...

    def digests(self) -> Iterator[Digest]:
        """Return every stored object's digest."""
        ...

    def discard(self, digest: Digest) -> None:
        """Remove an object physically, with every older version that the server keeps; nothing happens if there is none."""
        ...

    def purge(self, prefix: str) -> int:
        """Remove physically what is left of documents at or below a name that were replaced or removed; return how many.

        That is: older versions and delete markers of a bucket, uploads that never ended, a folder's temporary files. What
        was written in the last ten minutes is spared where it may belong to a writer at work.
        """
        ...

    def reseal(self, after: str, limit: int, *, dry_run: bool = False, alone: Alone = nullcontext) -> Resealed:
        """Seal up to `limit` of this tenant's documents behind the name `after` under its newest key; nothing where none seals.

        alone: holds off who replaces documents meanwhile, while one is.
        """
        ...

    def publish(self, name: str, body: bytes) -> None:
        """Write a document, replacing an older one in one step: readers see the old or the new, never a part."""
        ...

    def create(self, name: str, body: bytes | memoryview) -> bool:
        """Write a document only if the name is free; False (and no change) if it is taken.

        Memory that it stood in may be used again afterwards, unless this raised: a part of it may then still be on its way.
        """
        ...

    def create_from(self, name: str, file: Path) -> bool:
        """As `create`, of what stands in a file that nobody writes to any more; it is moved there, if that is cheaper, and not copied.

        The file stays, and may be removed.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """Return a document, or None."""
        ...

    def stamp(self, name: str) -> str | None:
        """Return a cheap text that changes whenever the document is published again; None if there is none."""
        ...

    def names(self, prefix: str) -> Iterator[str]:
        """Return the names of documents below a prefix such as `captures/`, sorted; never temporary files."""
        ...

    def remove(self, name: str) -> None:
        """Remove a document; nothing happens if there is none."""
        ...
