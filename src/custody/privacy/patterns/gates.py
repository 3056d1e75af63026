"""Necessary conditions that cost little: a pattern runs only on texts that pass its gate."""

import re
from collections.abc import Callable, Iterator, Sequence

from custody.privacy.patterns.pattern import Pattern
from custody.privacy.patterns.places import AFTER, SUFFIXES
from custody.privacy.patterns.shapes import BLANKS, DASHES

Test = Callable[[str], object]
_LOOSE = f"[-./(){DASHES}{BLANKS}\r\n\\\\#:extnsioEXTNSIO]"  # the letters of ext and extension


def _search(regex: str) -> Test:
    return re.compile(regex).search


def _run(count: int) -> str:
    r"""Return a regex of `count` digits with at most 8 characters of punctuation or space between two."""
    return rf"\d(?:{_LOOSE}{{0,8}}+\d){{{count - 1}}}"


_STREETS = tuple({word.casefold() for word in (*SUFFIXES, *AFTER)})
_BEFORE_NUMBER = re.compile(r"[^\W\d_]\.?(?=,? {1,2}(?:[Nn][Oo][.:]? ?)?\d)")


def _street(text: str) -> bool:
    """Tell whether a street's word ends right before a number."""
    ends = (found.end() for found in _BEFORE_NUMBER.finditer(text))
    return any(text[max(0, end - 12) : end].casefold().endswith(_STREETS) for end in ends)


# name: (gate that must pass before, or "", test)
GATES: dict[str, tuple[str, Test]] = {
    "any": ("", lambda text: True),  # noqa: ARG005 - a test of nothing
    "at": ("", lambda text: "@" in text or "[" in text or "(" in text or "{" in text or "\uff20" in text),
    "slashes": ("", lambda text: "/" in text or "\\" in text),
    "dotted": ("", _search(r"\.[^\W\d_]|\u3002")),
    "colon": ("", lambda text: ":" in text),
    "hexes": ("", _search(r"[0-9A-Fa-f]{2}[-:.][0-9A-Fa-f]{2}")),
    "assigned": ("", lambda text: ":" in text or "=" in text),
    "long": ("", _search(r"[A-Za-z0-9+/=_\-]{16}")),
    "dashes": ("", lambda text: "-----" in text),
    "digit": ("", _search(r"\d")),
    "street": ("digit", _street),
    "quad": ("digit", _search(r"\d\.\d{1,3}\.\d")),
    "three": ("digit", _search(r"\d(?:[^\n]{0,2}?\d){2}")),
    "six": ("digit", _search(_run(6))),
    "seven": ("six", _search(_run(7))),
    "nine": ("seven", _search(_run(9))),
    "eleven": ("nine", _search(_run(11))),
    "letters": ("digit", _search(rf"[A-Za-z]{_LOOSE}{{0,3}}+\d|\d{_LOOSE}{{0,3}}+[A-Za-z]")),
}


class Gates:
    """The prefilter that needs no library: it runs each gate once a text."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        order = list(GATES)
        rows: dict[str, list[int]] = {name: [] for name in order}
        for index, pattern in enumerate(patterns):
            rows[pattern.gate].append(index)
        used = {name for name, found in rows.items() if found}
        for name in reversed(order):  # a gate is asked if a pattern or a later gate needs it
            if name in used and GATES[name][0]:
                used.add(GATES[name][0])
        self._steps = [
            (GATES[name][1], order.index(GATES[name][0]) if GATES[name][0] else -1, order.index(name), rows[name])
            for name in order
            if name in used
        ]
        self._size = len(order)

    def candidates(self, texts: Sequence[str]) -> Iterator[Sequence[int]]:
        """Yield the indices of the patterns whose gate each text passes."""
        for text in texts:
            passed = [False] * self._size
            found: list[int] = []
            for test, before, number, rows in self._steps:
                if (before < 0 or passed[before]) and test(text):
                    passed[number] = True
                    found += rows
            found.sort()
            yield found
