"""The proof of an erasure: everything that is stored is opened and searched for texts that must not be there any more."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from custody.core.errors import CustodyError, Denied
from custody.core.keys import PERSONAL
from custody.core.tenancy import TenantId
from custody.lifecycle.stores import Ports
from custody.privacy.erasure.spelling import spellings


@dataclass(frozen=True, slots=True)
class Residue:
    """Where a text still stands; place: a digest, a document's name or `database`. text: its number among those searched."""

    place: str
    text: int


def search(ports: Ports, tenant: TenantId, needles: Sequence[str]) -> tuple[Residue, ...]:
    """Search all objects and documents, opened and decoded, and the database with its files.

    What is sealed for another tenant is searched as well: nothing is presumed clean.
    """
    found = [Residue("database", n) for n, needle in enumerate(needles) if ports.stores.holds(needle)]
    wanted = [spellings(needle) for needle in needles]
    for place, body in _bodies(ports, tenant):
        texts = _decoded(ports, body)
        found += [Residue(place, n) for n, each in enumerate(wanted) if any(one in text for one in each for text in texts)]
    return tuple(found)


def _bodies(ports: Ports, tenant: TenantId) -> Iterator[tuple[str, bytes]]:
    objects = ports.stores.objects.of(tenant)
    for digest in objects.digests():
        yield digest[:12], objects.get(digest)
    for name in objects.names(""):
        try:
            body = objects.read(name)
        except Denied:  # its tenant's keys were destroyed: what they sealed is as good as gone
            continue
        if body is not None:
            yield name, body


def _decoded(ports: Ports, body: bytes) -> list[bytes]:
    """Return bytes as they are, and unpacked where they are gzip or Parquet: compression hides text."""
    found = [body]
    if body[:2] == b"\x1f\x8b":
        try:
            found.append(gzip.decompress(body))
        except (OSError, EOFError, zlib.error):
            return found
    if body[:4] == b"PAR1" or body.startswith(PERSONAL):
        try:
            table = ports.tables.from_parquet(body)
            texts = [column for column in table.columns if pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)]
            found += ["\0".join(str(value) for value in column.unique().to_pylist()).encode() for column in texts]
            found.append("\0".join(table.column_names).encode())
        except (CustodyError, pa.ArrowException):
            return found
    return found
