"""Keys of single people, and tables whose rows are sealed under them: destroying one key shreds a person in every old copy.

`people/<tenant>/<random>` in the ring's store holds keys of many people, each wrapped under a key made from the tenant's index
key. A sealed table is `CUSTODYP`, a byte of version, and an Arrow stream of one row for each person: id of the key, numbers of
the rows, and the rows themselves as an Arrow batch under AES-SIV, so that the same rows under the same keys give the same bytes.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from custody.adapters.blobs.keys.envelope import broken
from custody.adapters.blobs.keys.ring import KeyRing
from custody.core.errors import Conflict, IntegrityBroken, InvalidInput
from custody.core.keys import PERSONAL
from custody.core.objects import Objects
from custody.core.tenancy import TenantId

VERSION = 1
_ID, _NONCE = 16, 12
_HEAD = PERSONAL + bytes([VERSION])
_PACKED = pa.schema([("key", pa.binary(_ID)), ("rows", pa.list_(pa.int64())), ("body", pa.binary())])


@dataclass(frozen=True, slots=True)
class _Key:
    id: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class _Document:
    """One file: keys by person; destroyed: ids of keys that were, so that a key that is lost can be told from them."""

    keys: Mapping[str, _Key]
    destroyed: tuple[bytes, ...]


class PersonKeys:
    """Keeps one key for each person of a tenant; many processes may make keys at once: a person may then have two.

    store: where the ring lies. What is sealed for nobody is sealed under a key of its own that is never destroyed.
    """

    def __init__(self, ring: KeyRing, store: Objects) -> None:
        self._ring, self._store = ring, store

    def seal(self, tenant: TenantId, table: pa.Table, people: Sequence[str]) -> bytes:
        """Return rows sealed each under the key of its person; people: a token for each row, empty for nobody."""
        codes, names = _coded(people)
        keys = self._made(tenant, names)
        order = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
        sorted_rows = table.take(pa.array(order)).combine_chunks()
        packed: list[dict[str, Any]] = []
        for number, name in enumerate(names):
            mine = order[ends[number] : ends[number + 1]]
            batches = sorted_rows.slice(int(ends[number]), len(mine)).to_batches()
            if len(batches) != 1:  # a column of more than 2 GB is cut, and only one piece would be sealed
                raise InvalidInput(
                    "A part of this table is too large to be sealed by person.", fix="Add it in several smaller datasets."
                )
            body = _cipher(keys[name]).encrypt(batches[0].serialize().to_pybytes(), [tenant.encode(), keys[name].id])
            packed.append({"key": keys[name].id, "rows": mine.tolist(), "body": body})
        told = {b"tenant": tenant.encode(), b"schema": table.schema.remove_metadata().serialize().to_pybytes()}
        return _HEAD + _stream(pa.Table.from_pylist(packed, _PACKED).replace_schema_metadata(told))

    def open(self, body: bytes) -> pa.Table:
        """Return the rows in their order, without those of people whose key was destroyed; IntegrityBroken if edited."""
        if not body.startswith(_HEAD):
            raise broken()
        packed = pa.ipc.open_stream(body[len(_HEAD) :]).read_all()
        told = packed.schema.metadata
        tenant, schema = TenantId(told[b"tenant"].decode()), pa.ipc.read_schema(pa.py_buffer(told[b"schema"]))
        documents = self._read(tenant).values()
        known = {key.id: key for one in documents for key in one.keys.values()}
        destroyed = {id_ for one in documents for id_ in one.destroyed}
        batches, places = [], list[int]()
        for row in packed.to_pylist():
            if (key := known.get(row["key"])) is None and row["key"] not in destroyed:
                raise _lost()  # rows may only be missing where somebody was erased
            if key is not None:
                batches.append(_opened(row["body"], key, tenant, schema))
                places += row["rows"]
        return pa.Table.from_batches(batches, schema).take(pa.array(np.argsort(np.array(places, dtype=np.int64), kind="stable")))

    def destroy(self, tenant: TenantId, person: str) -> int:
        """Destroy the keys of one person and return how many there were; one process at a time."""
        found = 0
        for name, one in self._read(tenant).items():
            if person in one.keys:
                found += 1
                left = {other: key for other, key in one.keys.items() if other != person}
                self._store.publish(name, self._document(tenant, left, (*one.destroyed, one.keys[person].id)))
        self._store.purge(f"people/{tenant}/")  # also what a killed call replaced and left in the history
        return found

    def _made(self, tenant: TenantId, people: Sequence[str]) -> dict[str, _Key]:
        """Return a key for each person; new ones are stored together before anything is sealed under them."""
        known = {one: key for held in reversed(self._read(tenant).values()) for one, key in held.keys.items()}
        fresh = {one: _Key(os.urandom(_ID), os.urandom(32)) for one in people if one not in known}
        if fresh:
            self._store.create(f"people/{tenant}/{os.urandom(16).hex()}", self._document(tenant, fresh))
        return {one: known.get(one) or fresh[one] for one in people}

    def _document(self, tenant: TenantId, keys: Mapping[str, _Key], destroyed: Sequence[bytes] = ()) -> bytes:
        wrapping = self._wrapping(tenant)
        told = {}
        for person, key in keys.items():
            nonce = os.urandom(_NONCE)
            wrapped = nonce + wrapping.encrypt(nonce, key.secret, _context(tenant, person, key.id))
            told[person] = [key.id.hex(), wrapped.hex()]
        return json.dumps({"version": VERSION, "keys": told, "destroyed": [one.hex() for one in destroyed]}).encode()

    def _read(self, tenant: TenantId) -> dict[str, _Document]:
        """Return each document, by its name."""
        found, wrapping = dict[str, _Document](), None
        for name in self._store.names(f"people/{tenant}/"):
            if (body := self._store.read(name)) is not None:
                wrapping = wrapping or self._wrapping(tenant)
                found[name] = _parsed(body, tenant, wrapping)
        return found

    def _wrapping(self, tenant: TenantId) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, None, b"custody person keys v1").derive(self._ring.index(tenant)))


def _coded(people: Sequence[str]) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[str]]:
    names = sorted(set(people))
    number = {name: code for code, name in enumerate(names)}
    return np.array([number[one] for one in people], dtype=np.int64), names


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _opened(body: bytes, key: _Key, tenant: TenantId, schema: pa.Schema) -> pa.RecordBatch:
    try:
        plain = _cipher(key).decrypt(body, [tenant.encode(), key.id])
    except (InvalidTag, ValueError) as error:
        raise broken() from error
    return pa.ipc.read_record_batch(pa.py_buffer(plain), schema)


def _cipher(key: _Key) -> AESSIV:
    return AESSIV(HKDF(SHA256(), 64, None, b"custody personal rows v1").derive(key.secret))


def _context(tenant: TenantId, person: str, id_: bytes) -> bytes:
    return b"\0".join([b"custody person key v1", tenant.encode(), person.encode(), id_])


def _parsed(body: bytes, tenant: TenantId, wrapping: AESGCM) -> _Document:
    try:
        found, told = {}, json.loads(body)
        if told["version"] != VERSION:
            raise Conflict("A file of people's keys has an unknown version.", fix="pip install --upgrade custody-ml")
        destroyed = tuple(bytes.fromhex(one) for one in told["destroyed"])
        for person, (id_hex, wrapped_hex) in told["keys"].items():
            id_, wrapped = bytes.fromhex(id_hex), bytes.fromhex(wrapped_hex)
            secret = wrapping.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _context(tenant, person, id_))
            found[person] = _Key(id_, secret)
    except (InvalidTag, ValueError, KeyError, TypeError) as error:
        raise IntegrityBroken(
            "A file of people's keys is damaged.", fix="Restore the ring from its backup: keyring in custody.toml"
        ) from error
    return _Document(found, destroyed)


def _lost() -> IntegrityBroken:
    return IntegrityBroken(
        "The key of a person is missing, and nobody destroyed it.",
        why="The ring was restored from an older backup, or lost a file below people/.",
        fix="Restore the newest backup of the ring, then erase again whom it still knows: keyring in custody.toml",
    )
