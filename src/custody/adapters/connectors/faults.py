"""What is wrong with a file, told by line and column and never by value."""

from collections.abc import Sequence
from difflib import get_close_matches

from custody.core.errors import InvalidInput

SHOWN = 20


class Faults:
    """Collect the malformed rows of one file, and report the first 20 together with their number."""

    def __init__(self, name: str) -> None:
        self._name, self._count = name, 0
        self._first: list[tuple[int, str, str]] = []

    def add(self, line: int, place: str, what: str) -> None:
        """Note a fault; line: where the row starts, from 1; place: `column 3` or `character 17`; what: never the value."""
        self.more(1)
        if len(self._first) < SHOWN or line < self._first[-1][0]:
            self._first = sorted([*self._first, (line, place, what)])[:SHOWN]

    def more(self, count: int) -> None:
        """Count faults that need not be shown, since earlier lines have enough of them."""
        self._count += count

    def report(self) -> None:
        """Raise InvalidInput if there was any fault."""
        if not self._count:
            return
        told = [f"line {line}, {place}: {what}" for line, place, what in self._first]
        rest = f"; and {self._count - len(told)} more" if self._count > len(told) else ""
        raise InvalidInput(
            f"{self._name} has {self._count} fault{'s' if self._count > 1 else ''}, so none of its rows were read.",
            why="; ".join(told) + rest + ".",
            fix="Correct these lines and read the file again.",
            facts={"count": self._count, "first": told},
        )


def empty(name: str) -> InvalidInput:
    """Return the refusal of a file that holds nothing."""
    return InvalidInput(f"{name} is empty.", fix="Give a file with column names and rows.")


def check_names(names: Sequence[str], expected: Sequence[str] | None, name: str) -> None:
    """Refuse empty, unreadable or repeated column names, and names other than the expected ones.

    Odd names are told by position only: in a file without a header they would be somebody's values.
    """
    first: dict[str, int] = {}
    for position, column in enumerate(names, 1):
        if not column.strip() or "\0" in column or any("\ud800" <= letter <= "\udfff" for letter in column):
            raise _bad_header(name, f"The name of column {position} is empty or not UTF-8 text.")
        if first.setdefault(column, position) < position:
            raise _bad_header(name, f"Columns {first[column]} and {position} have the same name.")
    if expected is not None:
        _check_expected(names, expected, name)


def _check_expected(names: Sequence[str], expected: Sequence[str], name: str) -> None:
    there, wanted = set(names), set(expected)
    missing = [column for column in expected if column not in there]
    surplus = [column for column in names if column not in wanted]
    if missing and len(missing) == len(expected):
        raise _bad_header(name, f"None of the expected columns is there: {', '.join(expected)}. Does the file lack a header?")
    told = [f"'{column}' is missing{_near(column, surplus)}" for column in missing]
    told += [f"'{column}' is not expected{_near(column, expected)}" for column in surplus]
    if told:
        raise InvalidInput(
            f"The columns of {name} are not the expected ones.",
            why="; ".join(told) + ".",
            fix=f"Give exactly these columns, in any order: {', '.join(expected)}.",
            facts={"missing": missing, "unexpected": surplus},
        )


def _near(column: str, names: Sequence[str]) -> str:
    near = get_close_matches(column, names, n=2)
    return f" (near: {', '.join(map(repr, near))})" if near else ""


def _bad_header(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"{name} has no usable column names.", why=why, fix="Give every column one name of its own.")
