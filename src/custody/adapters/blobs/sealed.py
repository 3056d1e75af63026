"""An object store that keeps only sealed bytes: each tenant's under its own keys, and under names that tell nothing.

An object stands as the document `sealed/<tenant>/<name>`, its name being the digest under AES-SIV: who lists the store cannot
tell whether a known file is in it, and the same bytes of two tenants stand twice, so that neither hangs on the other's key.
Other documents keep their names. What was stored before sealing began is still read.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from custody.adapters.blobs.keys.envelope import DataKey, broken, is_sealed, key_id_of, seal, unseal
from custody.adapters.blobs.keys.ring import KeyRing
from custody.adapters.blobs.naming import parse_name
from custody.core.digest import Digest, digest_of, parse_digest, verified
from custody.core.errors import InvalidInput, NotFound
from custody.core.keys import Resealed
from custody.core.objects import Alone, Objects
from custody.core.tenancy import HOUSE, TenantId

FOLDER = "sealed"
_Body = TypeVar("_Body", bound=bytes | memoryview)
_OWNED = re.compile(r"(?:captures|erasures|quarantine|sealed|uploads)/([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9]))/.+")


class SealedObjects:
    """Seals on the way in and opens on the way out of another store.

    sealing: False writes plainly and still reads what was sealed. tenant: whose keys seal what is put; documents below
    `captures/<tenant>/`, `erasures/<tenant>/`, `quarantine/<tenant>/` and `uploads/<tenant>/` are sealed for that tenant, all
    others for the team.
    """

    def __init__(self, inner: Objects, ring: KeyRing, *, sealing: bool = True, tenant: TenantId = HOUSE) -> None:
        self._inner, self._ring, self._sealing, self._tenant = inner, ring, sealing, tenant

    def of(self, tenant: TenantId) -> "SealedObjects":
        """Return the same store for one tenant: what it puts is sealed with that tenant's keys."""
        return SealedObjects(self._inner, self._ring, sealing=self._sealing, tenant=tenant)

    def put(self, body: bytes) -> Digest:
        """Store bytes durably and return their digest; storing the same bytes again changes nothing."""
        if not self._sealing:
            return self._inner.of(self._tenant).put(body)
        digest = digest_of(body)
        name = self._name(self._tenant, digest)
        if self._inner.stamp(name) is None:
            self._inner.create(name, seal(body, self._ring.current(self._tenant), _place(self._tenant, name)))
        return digest

    def get(self, digest: Digest) -> bytes:
        """Return the bytes; NotFound if absent, IntegrityBroken if changed, Denied if only a destroyed key opens them."""
        parse_digest(digest)
        for tenant in self._places():
            name = self._readable_name(tenant, digest)
            if name is not None and (body := self._inner.read(name)) is not None:
                return verified(self._open(tenant, name, body), digest)
            if tenant == HOUSE and self._inner.has(digest):
                return self._inner.get(digest)
        self._ring.refuse_destroyed(self._tenant)
        raise NotFound.of("object", digest[:12])

    def has(self, digest: Digest) -> bool:
        """Tell whether the object is stored, without reading it."""
        parse_digest(digest)
        return self._inner.has(digest) or any(
            self._inner.stamp(name) is not None
            for tenant in self._places()
            if (name := self._readable_name(tenant, digest)) is not None
        )

    def digests(self) -> Iterator[Digest]:
        """Return every stored object's digest, of all tenants whose keys are there."""
        found = dict.fromkeys(self._inner.digests())
        for tenant in self._ring.tenants():
            names = list(self._inner.names(f"{FOLDER}/{tenant}/"))
            if names and self._ring.has(tenant):
                cipher = self._cipher(tenant)
                found |= dict.fromkeys(_digest(cipher, tenant, name) for name in names)
        return iter(found)

    def discard(self, digest: Digest) -> None:
        """Remove this tenant's object physically, and a plain one of that digest."""
        if (name := self._readable_name(self._tenant, parse_digest(digest))) is not None:
            self._inner.remove(name)
            self._inner.purge(name)
        self._inner.discard(digest)

    def purge(self, prefix: str) -> int:
        """Remove physically what is left of documents that were replaced or removed."""
        return self._inner.purge(prefix)

    def reseal(self, after: str, limit: int, *, dry_run: bool = False, alone: Alone = nullcontext) -> Resealed:
        """Seal up to `limit` of this tenant's documents behind the name `after` under its newest key.

        Documents that are plain are sealed as well, where the store seals; plain objects tell nobody's tenant and stay. Each is
        replaced in one step, and older versions of it are deleted. dry_run: counts only. alone: see the port.
        """
        names = [name for name in self._own() if name > after]
        some, key = names[:limit], self._ring.current(self._tenant)
        changed = sum(self._reseal_one(name, key, dry_run, alone) for name in some)
        left = len(names) - len(some)
        return Resealed(some[-1] if left else "", len(some), changed, len(names))

    def _own(self) -> list[str]:
        """Return the names of what is sealed for this tenant, sorted."""
        if self._tenant != HOUSE:
            folders = ("captures", "erasures", "quarantine", FOLDER, "uploads")
            return [name for folder in folders for name in self._inner.names(f"{folder}/{self._tenant}/")]
        return sorted(name for name in self._inner.names("") if _owner(name) == HOUSE)

    def _reseal_one(self, name: str, key: DataKey, dry_run: bool, alone: Alone) -> bool:
        stamp, body = self._inner.stamp(name), self._inner.read(name)
        if body is None or (key_id_of(body) == key.id if is_sealed(body) else not self._sealing):
            return False
        if dry_run:
            return True
        plain = self._open(self._tenant, name, body) if is_sealed(body) else body
        sealed = seal(plain, key, _place(self._tenant, name))
        replaced = not name.startswith(f"{FOLDER}/")  # sealed objects never are: a large one holds up nobody
        with alone() if replaced else nullcontext():
            if self._inner.stamp(name) != stamp:  # somebody replaced or removed it: theirs is sealed with the newest key
                return False
            self._inner.publish(name, sealed)
        self._inner.purge(name)
        return True

    def publish(self, name: str, body: bytes) -> None:
        """Write a document, replacing an older one in one step."""
        self._inner.publish(name, self._sealed(name, body))

    def create(self, name: str, body: bytes | memoryview) -> bool:
        """Write a document only if the name is free; False (and no change) if it is taken."""
        return self._inner.create(name, self._sealed(name, body))

    def create_from(self, name: str, file: Path) -> bool:
        """As `create`, of what stands in a file."""
        if self._sealing:
            return self.create(name, file.read_bytes())
        return self._inner.create_from(_plain_name(name), file)

    def read(self, name: str) -> bytes | None:
        """Return a document, or None."""
        body = self._inner.read(name)
        return body if body is None or not is_sealed(body) else self._open(_owner(name), name, body)

    def stamp(self, name: str) -> str | None:
        """Return a cheap text that changes whenever the document is published again; None if there is none."""
        return self._inner.stamp(name)

    def names(self, prefix: str) -> Iterator[str]:
        """Return the names of documents below a prefix, sorted; sealed objects are none."""
        return (name for name in self._inner.names(prefix) if not name.startswith(f"{FOLDER}/"))

    def remove(self, name: str) -> None:
        """Remove a document; nothing happens if there is none."""
        self._inner.remove(name)

    def _places(self) -> Iterator[TenantId]:
        """Return where an object may be: with this tenant, with the team, and (only if in neither) with others."""
        yield self._tenant
        if self._tenant != HOUSE:
            yield HOUSE
        yield from (tenant for tenant in self._ring.tenants() if tenant not in {self._tenant, HOUSE})

    def _name(self, tenant: TenantId, digest: Digest) -> str:
        return f"{FOLDER}/{tenant}/{self._cipher(tenant).encrypt(bytes.fromhex(digest), [tenant.encode()]).hex()}"

    def _readable_name(self, tenant: TenantId, digest: Digest) -> str | None:
        return self._name(tenant, digest) if self._ring.has(tenant) else None

    def _cipher(self, tenant: TenantId) -> AESSIV:
        return AESSIV(HKDF(SHA256(), 64, None, b"custody object names v1").derive(self._ring.index(tenant)))

    def _sealed(self, name: str, body: _Body) -> bytes | _Body:
        owner = _owner(_plain_name(name))
        if not self._sealing:
            return body
        return seal(body, self._ring.current(owner), _place(owner, name))

    def _open(self, tenant: TenantId, name: str, body: bytes) -> bytes:
        return unseal(body, lambda id_: self._ring.find(tenant, id_), _place(tenant, name))


def _plain_name(name: str) -> str:
    if parse_name(name).startswith(f"{FOLDER}/"):
        raise InvalidInput("That document name is taken by sealed objects.", fix=f"Choose one that begins not with {FOLDER}/.")
    return name


def _owner(name: str) -> TenantId:
    match = _OWNED.fullmatch(name)
    return TenantId(match[1]) if match else HOUSE


def _place(tenant: TenantId, name: str) -> bytes:
    return f"{tenant}\0{name}".encode()


def _digest(cipher: AESSIV, tenant: TenantId, name: str) -> Digest:
    try:
        return Digest(cipher.decrypt(bytes.fromhex(name.rpartition("/")[2]), [tenant.encode()]).hex())
    except (InvalidTag, ValueError) as error:
        raise broken() from error
