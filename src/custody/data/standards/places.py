"""A table of places: which field of a card stands where in a document, and how it is written there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from custody.core.digest import Json
from custody.data.card import Card

Step = str | int
Write = Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a dataset version beside its card: its name, digests, time, files and columns."""

    name: str
    version: int
    digest: str
    issued: str
    location: str = ""
    previous: str = ""
    files: tuple[tuple[str, int, int], ...] = ()  # digest, rows, bytes
    columns: tuple[tuple[str, str], ...] = ()  # name, type
    facts: Mapping[str, str] = field(default_factory=dict)


def _same(value: Json) -> Json:
    return value


@dataclass(frozen=True, slots=True)
class Place:
    """One field: its path in the document (numbers are places in a list), and how it is written there and read back."""

    field: str
    path: tuple[Step, ...]
    write: Write = _same
    read: Write = _same


def values_of(card: Card) -> dict[str, Json]:
    """Return a card's fields as plain JSON, empty ones left out."""
    made: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(card))
    return {name: value for name, value in made.items() if value not in (None, "", [], {}) and name != "version"}


def put(tree: dict[str, Json], path: Sequence[Step], value: Json) -> None:
    """Set a value deep in a document, making what is missing on the way."""
    here: Json = tree
    for step, following in pairwise(path):
        made: Json = [] if isinstance(following, int) else {}
        if isinstance(here, list) and isinstance(step, int):
            here.extend({} for _ in range(step + 1 - len(here)))
            here = here[step]
        elif isinstance(here, dict):
            here = here.setdefault(str(step), made)
    if isinstance(here, list) and isinstance(path[-1], int):
        here.append(value)
    elif isinstance(here, dict):
        here[str(path[-1])] = value


def get(tree: Json, path: Sequence[Step]) -> Json:
    """Return a value deep in a document, None if it is not there."""
    for step in path:
        if isinstance(tree, dict) and isinstance(step, str):
            tree = tree.get(step)
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree = tree[step]
        else:
            return None
    return tree


def written(document: dict[str, Json], places: Sequence[Place], card: Card) -> dict[str, Json]:
    """Fill a document with the fields of a card that have a place in it."""
    values = values_of(card)
    for place in places:
        if place.field in values:
            put(document, place.path, place.write(values[place.field]))
    return document


def fields_in(document: Json, places: Sequence[Place]) -> dict[str, Json]:
    """Read the fields back that have a place in a document; what it leaves out is left out."""
    found = {place.field: get(document, place.path) for place in places}
    return {place.field: place.read(found[place.field]) for place in places if found[place.field] is not None}


def each(key: str) -> tuple[Write, Write]:
    """Return how a list of words is written as a list of mappings with one key, and read back."""

    def write(value: Json) -> Json:
        return [{key: one} for one in value] if isinstance(value, list) else value

    def read(value: Json) -> Json:
        return [one.get(key) for one in value if isinstance(one, dict)] if isinstance(value, list) else value

    return write, read


def told(value: Json) -> Json:
    """Write a mapping or a list of mappings as JSON in a text, for terms that take only text."""
    return msgspec.json.encode(value).decode()


def untold(value: Json) -> Json:
    """Read such a text back; a text that is no JSON stays a text."""
    if not isinstance(value, str):
        return value
    try:
        found: Json = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
    return found


def period(value: Json) -> tuple[str, str]:
    """Split `2024-01-01/2024-12-31` or `1997 to 1999` into start and end; one word is both."""
    start, _, end = str(value).replace(" to ", "/").partition("/")
    return start, end or start
