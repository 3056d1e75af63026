"""Texts of people in a database, sealed under the tenant's index key; destroying the tenant's keys shreds them in every backup.

Format, version 1: `sealed:1:` and base64url of AES-SIV, which is deterministic: equal texts of one column stay equal, so that
keys, conflicts and look-ups work, and whoever reads the database sees which rows belong together but not to whom.
Source: RFC 5297; the column and the tenant are authenticated with each text, so that none can be moved.
"""

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from custody.adapters.blobs.keys.ring import KeyRing
from custody.core.errors import IntegrityBroken
from custody.core.keys import MARK
from custody.core.tenancy import TenantId


class SealedTexts:
    """Seals texts on their way into a database.

    sealing: False writes plainly and still opens what was sealed; a plain text that begins with the mark is sealed even then.
    """

    def __init__(self, ring: KeyRing, *, sealing: bool = True) -> None:
        self._ring, self.seals = ring, sealing
        self._ciphers: dict[bytes, AESSIV] = {}

    def seal(self, tenant: TenantId, place: str, text: str) -> str:
        """Return a text sealed for one place; an empty one, which tells nothing, stays empty."""
        if not text or not (self.seals or text.startswith(MARK)):
            return text
        return self._sealed(tenant, place, text)

    def open(self, tenant: TenantId, place: str, text: str) -> str:
        """Return what was sealed; IntegrityBroken if it was edited or moved, Denied once the tenant's keys are destroyed."""
        if not text.startswith(MARK):
            return text
        try:
            sealed = base64.b64decode(text.removeprefix(MARK), altchars=b"-_", validate=True)
            return self._cipher(tenant).decrypt(sealed, _bound(tenant, place)).decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise IntegrityBroken(
                f"A sealed text of {place} does not open.",
                why="It was edited or moved in the database, or the ring of keys is another one.",
                fix="Restore the database, or set the right ring: keyring in custody.toml",
            ) from error

    def spelled(self, tenant: TenantId, place: str, text: str) -> list[str]:
        """Return how a text may be stored: sealed; or, where nothing is sealed any more, plainly or from before."""
        if self.seals or not text:
            return [self.seal(tenant, place, text)]
        return [self.seal(tenant, place, text), *([self._sealed(tenant, place, text)] if self._ring.has(tenant) else [])]

    def _sealed(self, tenant: TenantId, place: str, text: str) -> str:
        sealed = self._cipher(tenant).encrypt(text.encode("utf-8", "surrogatepass"), _bound(tenant, place))
        return MARK + base64.urlsafe_b64encode(sealed).decode()

    def _cipher(self, tenant: TenantId) -> AESSIV:
        secret = self._ring.index(tenant)  # asked each time: the ring knows when it was destroyed
        cipher = self._ciphers.get(secret)
        if cipher is None:
            cipher = self._ciphers[secret] = AESSIV(HKDF(SHA256(), 64, None, b"custody database texts v1").derive(secret))
        return cipher


def _bound(tenant: TenantId, place: str) -> list[bytes]:
    return [tenant.encode(), place.encode()]
