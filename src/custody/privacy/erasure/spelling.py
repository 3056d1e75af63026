"""The ways in which a text may stand in bytes: what a search for leftovers has to look for."""

import base64
import json


def spellings(text: str) -> tuple[bytes, ...]:
    """Return a text as UTF-8, as JSON escapes it, as UTF-16 and as hex in both cases, and in base64 at each of its three offsets."""
    plain = text.encode("utf-8", "surrogatepass")
    escaped = json.dumps(text)[1:-1].encode()
    wide = [text.encode(name, "surrogatepass") for name in ("utf-16-le", "utf-16-be")]
    hexed = [plain.hex().encode(), plain.hex().upper().encode()]
    return tuple(dict.fromkeys([plain, escaped, *wide, *hexed, *_base64(plain)]))


def stands_in(body: bytes, text: str) -> bool:
    """Tell whether a text stands in bytes in any of its spellings."""
    return any(one in body for one in spellings(text))


def _base64(plain: bytes) -> list[bytes]:
    """Return the characters that do not depend on what stands before and after: shorter by up to two at each end."""
    found = []
    for offset in range(3):
        coded = base64.b64encode(bytes(offset) + plain)
        inner = coded[-(-offset * 8 // 6) : (offset + len(plain)) * 8 // 6]
        found += [inner, inner.translate(bytes.maketrans(b"+/", b"-_"))] if len(inner) >= _LEAST else []
    return found


_LEAST = 8  # characters of base64 that do not stand somewhere by chance
