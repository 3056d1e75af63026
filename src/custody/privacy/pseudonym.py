"""Keyed pseudonyms: the same person gives the same token under one key, and nobody links tokens of two keys.

Whoever holds the key can link a token to a person again, so what carries tokens is still personal data (GDPR, article 4(5)).
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b

from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId

VERSION = 1
_ID = re.compile(r"[a-z0-9-]{1,32}")
_TOKEN = re.compile(rf"{VERSION}\.[a-z0-9-]{{1,32}}\.[0-9a-f]{{32}}")
_DOMAIN = b"custody.token.v1"  # exactly the 16 bytes that BLAKE2b takes as `person`
_SPACED = frozenset(
    {
        "EMAIL",
        "URL",
        "URL_CREDENTIALS",
        "PERSON",
        "LOCATION",
        "ORGANIZATION",
        "NRP",
        "ADDRESS",
        "USER_PATH",
        "SECRET",
        "OTHER",
        "",
    }
)


@dataclass(frozen=True, slots=True)
class PseudonymKey:
    """One tenant's key.

    id: 1 to 32 of a-z, 0-9 and dash, written into every token. secret: 32 to 64 random bytes, kept outside the data's store.
    """

    tenant: TenantId
    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or not 32 <= len(self.secret) <= 64:
            raise InvalidInput(
                "That is not a key for pseudonyms.",
                why="Its id has 1 to 32 of a-z, 0-9 and dash, its secret 32 to 64 bytes.",
                fix="Make one with secrets.token_bytes(32) and keep it in a key store.",
                facts={"id": self.id, "secret_bytes": len(self.secret)},
            )


def canonical_value(value: str, kind: str = "") -> str:
    """Write a value so that its spellings agree: NFKC, trimmed, lower case; numbers lose their blanks and punctuation.

    kind: a type of the pack; types of words keep theirs. Dots in e-mail addresses are kept: only some providers ignore them.
    """
    text = unicodedata.normalize("NFKC", value).strip().lower()
    if kind in _SPACED:
        return " ".join(text.split())
    return "".join(c for c in text if c.isalnum()) or text


def is_token(text: str) -> bool:
    """Tell whether a text is written as a token: a pseudonym that stands in the place of a name already."""
    return _TOKEN.fullmatch(text) is not None


def tokens(key: PseudonymKey) -> Callable[[str, str], str]:
    """Return a function of (value, kind) that gives tokens under this key: version, key id and MAC, joined by dots.

    The MAC is BLAKE2b-128, keyed by a key derived for the tenant: one secret given to two tenants by mistake links nothing.
    Source: RFC 7693, keyed mode.
    """
    derived = blake2b(key.tenant.encode(), key=key.secret, digest_size=32, person=_DOMAIN).digest()
    prefix = f"{VERSION}.{key.id}."

    def token(value: str, kind: str = "") -> str:
        body = canonical_value(value, kind).encode("utf-8", "surrogatepass")
        return prefix + blake2b(body, key=derived, digest_size=16, person=_DOMAIN).hexdigest()

    return token


def pseudonym(value: str, key: PseudonymKey, kind: str = "") -> str:
    """Return the token of one value."""
    return tokens(key)(value, kind)
