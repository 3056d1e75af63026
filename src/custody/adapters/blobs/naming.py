"""Which document names are safe, and where objects and documents stand; the same in a folder and in a bucket."""

import re

from custody.core.digest import Digest, parse_digest
from custody.core.errors import InvalidInput

OBJECTS, DOCUMENTS = "objects", "documents"
_LONGEST_NAME = 700  # an S3 key holds 1,024 bytes, the store's own prefix included
_SEGMENT = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]{1,200}")
_OBJECT = re.compile(OBJECTS + r"/([0-9a-f]{2})/([0-9a-f]{62})")


def is_name(text: str) -> bool:
    """Tell whether this is a safe document name: plain segments joined by `/`."""
    return len(text) <= _LONGEST_NAME and all(_SEGMENT.fullmatch(segment) for segment in text.split("/"))


def parse_name(text: str) -> str:
    """Accept a safe document name; anything that could leave the store is InvalidInput."""
    if not is_name(text):
        raise InvalidInput(
            "That is not a document name.",
            why="A name has segments of letters, digits, '.', '_' and '-' joined by '/', "
            f"no segment of dots only, 200 characters per segment and {_LONGEST_NAME} in all.",
            fix="Pass a name such as manifest/current.",
        )
    return text


def document_path(name: str) -> str:
    """Return where a document stands below the store's root."""
    return f"{DOCUMENTS}/{parse_name(name)}"


def prefix_path(prefix: str) -> str:
    """Return the folder that holds all documents below a prefix; `captures` and `captures/` are the same."""
    return document_path(prefix.removesuffix("/")) if prefix else DOCUMENTS


def object_path(digest: Digest) -> str:
    """Return where an object stands below the store's root."""
    text = parse_digest(digest)
    return f"{OBJECTS}/{text[:2]}/{text[2:]}"


def digest_at(path: str) -> Digest | None:
    """Return the digest of the object that stands at a path; None if the path holds no object."""
    match = _OBJECT.fullmatch(path)
    return Digest(match[1] + match[2]) if match else None
