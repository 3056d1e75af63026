"""Where the scan of a dataset version stands, what it found by column, and what people answered about doubtful spans."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from custody.core.digest import Digest
from custody.core.errors import InvalidInput
from custody.core.refs import DatasetRef
from custody.privacy.scans.state import ScanState

COLUMN, UNKNOWN = "COLUMN", "UNKNOWN"  # types of findings about a whole column: it identifies people; nobody knows what it holds
REVIEWED = "reviewed"
_CATEGORY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


class Standing(StrEnum):
    """What a finding means for the version.

    found: undeclared, so it blocks. unknown: nobody understands the column, so it blocks. doubtful: only the strict tier or a
    model takes it, so it waits for a person. declared: the card expects it. quasi: tells people apart together with others.
    harmless: a person looked and said that it is none.
    """

    FOUND = "found"
    UNKNOWN = "unknown"
    DOUBTFUL = "doubtful"
    DECLARED = "declared"
    QUASI = "quasi"
    HARMLESS = "harmless"


@dataclass(frozen=True, slots=True)
class Place:
    """Characters start to end (excluded) of a column's value in a row; rows count from 0."""

    row: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """Personal data of a type in a column: in how many rows, of which category (a fideslang key), and where to look; no value.

    whole: the column as such is of this type, so that its values are identifiers and not texts that hold some. marked: rows of
    them in which a person found a span personal.
    """

    column: str
    type: str
    category: str
    rows: int
    standing: Standing
    places: tuple[Place, ...] = ()
    whole: bool = False
    marked: int = 0

    @property
    def item(self) -> str:
        """Return how the review queue names it: `column/TYPE`."""
        return f"{self.column}/{self.type}"

    @property
    def sentence(self) -> str:
        """Say it in words, without any value."""
        many = f"{self.rows:,} row{'s' * (self.rows != 1)}"
        match self.type:
            case "COLUMN":
                return f"column '{self.column}' looks like {self.category} ({many})"
            case "UNKNOWN":
                return f"column '{self.column}' holds nobody knows what ({many})"
            case _:
                return f"column '{self.column}' holds {self.type} in {many}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided about a finding, or about one span of it; item `` with the answer `reviewed` signs the whole scan.

    token: of a span, keyed: the answer holds only where the same characters still stand.
    """

    item: str
    answer: str  # personal, harmless, or reviewed
    reason: str
    by: str
    at: datetime
    token: str = ""


@dataclass(frozen=True, slots=True)
class Scan:
    """The newest scan of one dataset version: state and why, under which policy, and the digest of its signed report.

    pack: digest of what looked: the pattern pack and the classifier of columns.
    """

    ref: DatasetRef
    state: ScanState
    reasons: tuple[str, ...]
    found: tuple[Found, ...]
    policy: Digest
    pack: Digest
    report: Digest
    at: datetime
    answers: tuple[Answer, ...] = ()
    version: int = 1

    @property
    def open(self) -> tuple[Found, ...]:
        """Return what waits for a person: what blocks, then what is doubtful."""
        waiting = (Standing.FOUND, Standing.UNKNOWN, Standing.DOUBTFUL)
        return tuple(sorted((one for one in self.found if one.standing in waiting), key=lambda one: waiting.index(one.standing)))

    def answered(self, answer: Answer) -> "Scan":
        """Return this scan with one more answer; the last one about an item counts.

        Raises: InvalidInput for an item that is not among the findings.
        """
        items = {one.item for one in self.found}
        known = items | {one.item for one in self.answers}
        if answer.answer != REVIEWED and not answer.token and answer.item not in known:
            raise InvalidInput(
                f"{self.ref} has no finding '{answer.item}'.",
                why=f"Its findings: {', '.join(sorted(items)) or 'none'}.",
                fix=f"Look at them: custody review ls {self.ref}",
            )
        return replace(self, answers=(*(one for one in self.answers if one.item != answer.item), answer))


def standing_of(category: str, declared: str | None, answer: str | None, otherwise: Standing) -> Standing:
    """Decide what a finding means: a person's answer counts first, then the card, then what the scan thinks."""
    if answer is not None:
        return Standing.FOUND if answer == "personal" else Standing.HARMLESS
    if declared is not None and (otherwise is Standing.UNKNOWN or covers(declared, category)):
        return Standing.DECLARED
    return otherwise


def covers(declared: str, category: str) -> bool:
    """Tell whether a declared category expects a found one: it is the same key or one above it, as `user` is above all."""
    return category == declared or category.startswith(declared + ".")


def check_categories(categories: Mapping[str, str], columns: tuple[str, ...]) -> None:
    """Raise InvalidInput for a declared column that is not there, or a category that is not written like a fideslang key."""
    if missing := sorted(set(categories) - set(columns)):
        raise InvalidInput(
            f"The card declares the column {', '.join(map(repr, missing))}, which the data does not have.",
            why=f"The data has: {', '.join(columns)}.",
            fix="Correct `categories` in the card.",
        )
    if wrong := sorted({value for value in categories.values() if not _CATEGORY.fullmatch(value)}):
        raise InvalidInput(
            f"{', '.join(map(repr, wrong))} is no category.",
            why="A category is a fideslang key such as user.contact.email or system.operations.",
            fix="Correct `categories` in the card.",
        )
