"""Nouns as JSON text and back, and times as texts that sort."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from sqlalchemy import Row

from custody.core.errors import Conflict
from custody.ledger.entry import time_text

FORMAT = 1
T = TypeVar("T")


def body_of(noun: object) -> dict[str, Any]:
    """Write a noun as the two columns that hold it: format and JSON text; NaN and infinities are kept."""
    return {"format": FORMAT, "body": json.dumps(msgspec.to_builtins(noun), separators=(",", ":"))}


def read(kind: type[T], row: Row[Any]) -> T:
    """Read a noun from the columns `format` and `body`."""
    return parsed(kind, row.format, row.body)


def parsed(kind: type[T], stored: int, body: str) -> T:
    """Read a noun from its JSON text; stored: the format that it was written in."""
    if stored != FORMAT:
        raise Conflict(
            f"A {kind.__name__} was stored in format {stored}, and this version of custody reads {FORMAT}.",
            fix="pip install --upgrade custody-ml",
        )
    wanted: Any = kind
    noun: T = _reader_of(wanted)(json.loads(body))
    return noun


def text_of(at: datetime | None) -> str | None:
    """Write a time as UTC with microseconds; None stays None."""
    return None if at is None else time_text(at)


def time_of(text: str) -> datetime:
    """Read a time back."""
    return datetime.fromisoformat(text)


def maybe_time_of(text: str | None) -> datetime | None:
    """Read a time back; None stays None."""
    return None if text is None else datetime.fromisoformat(text)


Reader = Callable[[Any], Any]


@cache
def _reader_of(kind: Any) -> Reader:
    """Return what turns parsed JSON into a value of a type (msgspec cannot: `Json` is recursive)."""
    if isinstance(kind, NewType):
        return _reader_of(kind.__supertype__)
    if kind is datetime:
        return datetime.fromisoformat
    if isinstance(kind, type) and is_dataclass(kind):
        readers = {name: _reader_of(hint) for name, hint in get_type_hints(kind).items()}
        return lambda value: kind(**{name: readers[name](part) for name, part in value.items()})
    if get_origin(kind) is not None:
        return _generic(get_origin(kind), get_args(kind))
    return kind if isinstance(kind, type) and issubclass(kind, Enum) else _same


def _generic(origin: Any, args: tuple[Any, ...]) -> Reader:
    if origin in (Union, UnionType):
        some = [arg for arg in args if arg is not NoneType]
        inner = _reader_of(some[0]) if len(some) == 1 else _same  # a union of several holds plain JSON
        return lambda value: None if value is None else inner(value)
    if origin is tuple and args[-1] is not Ellipsis:
        parts = [_reader_of(arg) for arg in args]
        return lambda value: tuple(part(item) for part, item in zip(parts, value, strict=True))
    if origin in (dict, Mapping):
        of_value = _reader_of(args[1])
        return lambda value: {key: of_value(item) for key, item in value.items()}
    if origin in (tuple, Sequence, list):
        of_item, build = _reader_of(args[0]), list if origin is list else tuple
        return lambda value: build(map(of_item, value))
    return _same


def _same(value: Any) -> Any:
    return value
