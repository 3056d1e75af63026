"""Hyperscan as the prefilter: one pass over a text tells which patterns may be in it."""

import re
from collections.abc import Callable, Iterator, Sequence

from custody.core.errors import InvalidInput
from custody.privacy.patterns.gates import Gates
from custody.privacy.patterns.pattern import Pattern
from custody.privacy.patterns.shapes import BREAK

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_BOUNDED = re.compile(r"\{(\d+),(\d+)\}")
WORTH = 8  # patterns that a gate must have before a database of them is quicker than `re`
_CONTROLS = re.compile(r"[\x1c-\x1f]")  # blanks to `re`, none to Hyperscan


class Hyperscan:
    """Patterns compiled into one database per gate; they must be the rows of a tier, in order.

    A text goes through the databases of the gates it passes. Only ASCII text does: there both engines mean the same by a digit,
    a letter and a case. What a gate with few patterns lets through, and all other text, is left to the gates alone.
    Raises: InvalidInput with the install line if the library is missing.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        try:
            import hyperscan
        except ImportError as error:
            raise InvalidInput("This prefilter needs hyperscan.", fix="pip install 'custody-ml[privacy]'") from error
        self._gates = Gates(patterns)
        rows: dict[str, list[int]] = {}
        for index, pattern in enumerate(patterns):
            rows.setdefault(pattern.gate, []).append(index)
        self._scans: dict[int, Callable[..., None]] = {}
        for found in rows.values():
            if len(found) >= WORTH:
                database = hyperscan.Database()
                flags = [hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH] * len(found)
                expressions = [_plain(patterns[index].regex) for index in found]
                database.compile(expressions=expressions, ids=found, elements=len(found), flags=flags)
                self._scans[found[0]] = database.scan

    def candidates(self, texts: Sequence[str]) -> Iterator[Sequence[int]]:
        """Yield the indices of the patterns that may be in each text."""
        fired: list[int] = []
        add, scans = fired.append, self._scans

        def heard(index: int, _start: int, _end: int, _flags: int, _context: object) -> None:
            add(index)

        for text, passed in zip(texts, self._gates.groups(texts), strict=True):
            fired.clear()
            plain = text.encode() if text.isascii() and not _CONTROLS.search(text) else None
            for rows in passed:
                scan = scans.get(rows[0]) if plain is not None else None
                if scan:
                    scan(plain, match_event_handler=heard)
                else:
                    fired.extend(rows)
            yield sorted(fired)


def _plain(regex: str) -> bytes:
    """Write a regex that matches in at least the same ASCII texts and compiles fast.

    Characters beyond ASCII become the byte 255, which no ASCII text has. Long bounded repeats lose their upper bound.
    """
    loose = regex.replace(BREAK, r"[- \t\r\n]*")
    ascii_only = re.sub(r"[^\x00-\x7f]", "\xff", _ESCAPED.sub("\xff", loose))
    return _BOUNDED.sub(lambda m: m.group() if int(m[2]) <= 4 else f"{{{m[1]},}}", ascii_only).encode("latin-1")
