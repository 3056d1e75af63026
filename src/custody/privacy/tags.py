"""What stands in a text where personal data stood: `[EMAIL]`, or `[EMAIL:token]` where joins must keep working."""

import re

from custody.privacy.patterns.pack import PACK

NAMED = ("PERSON", "LOCATION", "ORGANIZATION", "NRP", "OTHER")  # what models find; OTHER is whatever they call otherwise
TYPES = (*PACK.types, *NAMED)
_TYPES = "|".join(sorted(TYPES, key=len, reverse=True))
TAG = re.compile(rf"\[(?:{_TYPES})(?::[0-9]+\.[a-z0-9-]{{1,32}}\.[0-9a-f]{{32}})?\]")


def tag(kind: str, token: str | None = None) -> str:
    """Write the tag of a type, with its token if there is one."""
    return f"[{kind}:{token}]" if token else f"[{kind}]"


def known(kind: str) -> str:
    """Return the type as it is if tags may carry it, else OTHER."""
    return kind if kind in _KNOWN else "OTHER"


_KNOWN = frozenset(TYPES)


def blanked(text: str) -> str:
    """Replace tags by as many blanks: their words are nobody's context."""
    return TAG.sub(lambda found: " " * len(found.group()), text) if "[" in text else text
