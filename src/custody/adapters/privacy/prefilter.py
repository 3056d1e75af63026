"""Hyperscan as the prefilter: one pass over a text tells which patterns may be in it."""

import re
from collections.abc import Callable, Iterator, Sequence

from custody.core.errors import InvalidInput
from custody.privacy.patterns.gates import Gates, root_of
from custody.privacy.patterns.pattern import Pattern
from custody.privacy.patterns.shapes import BREAK

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_BOUNDED = re.compile(r"\{(\d+),(\d+)\}")
WORTH = 8  # patterns that a gate must have before a database of them is quicker than `re`
_DIGIT = re.compile("[0-9]")
_CONTROLS = re.compile(r"[\x1c-\x1f]")  # blanks to `re`, none to Hyperscan


class Hyperscan:
    """Patterns compiled into databases; they must be the rows of a tier, in order.

    One database holds what may be found without a digit; each gate of digits with enough patterns has one of its own, and a text
    goes through it if it passes the gate. Only ASCII text goes through any: there both engines mean the same by a digit, a letter
    and a case. What few patterns share a gate of digits, and all other text, is left to the gates alone.
    Raises: InvalidInput with the install line if the library is missing.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        try:
            import hyperscan
        except ImportError as error:
            raise InvalidInput("This prefilter needs hyperscan.", fix="pip install 'custody-ml[privacy]'") from error
        self._flags = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH
        self._new, self._patterns = hyperscan.Database, patterns
        self._gates = Gates(patterns)
        self._digits = Gates(patterns, only=lambda gate: root_of(gate) == "digit")
        free = [index for index, pattern in enumerate(patterns) if root_of(pattern.gate) != "digit"]
        self._free = self._scan(free)
        self._scans = {rows[0]: self._scan(rows) for rows in self._digits.rows if len(rows) >= WORTH}

    def _scan(self, indices: Sequence[int]) -> Callable[..., None]:
        """Compile some of the patterns; return how their database scans."""
        database = self._new()
        expressions = [_plain(self._patterns[index].regex) for index in indices]
        flags = [self._flags] * len(indices)
        database.compile(expressions=expressions, ids=list(indices), elements=len(indices), flags=flags)
        scan: Callable[..., None] = database.scan
        return scan

    def candidates(self, texts: Sequence[str]) -> Iterator[Sequence[int]]:
        """Yield the indices of the patterns that may be in each text."""
        fired: list[int] = []
        add, scans = fired.append, self._scans

        def heard(index: int, _start: int, _end: int, _flags: int, _context: object) -> None:
            add(index)

        for text in texts:
            if not text.isascii() or _CONTROLS.search(text):
                yield from self._gates.candidates([text])
                continue
            fired.clear()
            plain = text.encode()
            self._free(plain, match_event_handler=heard)
            if _DIGIT.search(text):
                for rows in next(self._digits.groups([text])):
                    if scan := scans.get(rows[0]):
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
