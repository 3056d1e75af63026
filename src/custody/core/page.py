"""Keyset paging: a list answers one page and the opaque cursor of the next."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from custody.core.errors import InvalidInput

T = TypeVar("T")
PAGE = 50
MOST = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items in order; `next` is None on the last page."""

    items: tuple[T, ...]
    next: str | None = None


def cursor_of(*key: str | int) -> str:
    """Write the sort key of a page's last item as an opaque cursor."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def key_of(cursor: str, length: int) -> Sequence[str | int]:
    """Read a cursor back; a garbled one is InvalidInput."""
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError, ValueError, RecursionError) as error:
        raise InvalidInput("That page cursor is garbled.", fix="Start from the first page, without a cursor.") from error
    if not isinstance(key, list) or len(key) != length or not all(isinstance(part, str | int) for part in key):
        raise InvalidInput("That page cursor belongs to another list.", fix="Start from the first page, without a cursor.")
    return key


def limit_of(limit: int) -> int:
    """Accept 1 to 1,000 items a page."""
    if not 1 <= limit <= MOST:
        raise InvalidInput(f"A page of {limit} items is not possible.", why=f"A page holds 1 to {MOST} items.")
    return limit
