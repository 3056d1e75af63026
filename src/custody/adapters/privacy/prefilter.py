"""Hyperscan as the prefilter: one pass over many texts at once tells which patterns may be in each."""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from threading import Lock
from typing import Any

from custody.adapters.privacy.batches import batches
from custody.core.errors import InvalidInput
from custody.privacy.context import near
from custody.privacy.patterns.gates import Gates, run
from custody.privacy.patterns.pack import PACK, Pack
from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.patterns.shapes import BREAK

BATCH, TEXTS = 65_536, 512  # characters and texts of one pass
PER_HIT, SOME = 4, 1_000  # a pass is given up at more than a hit for so many characters, and some
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_BOUNDED = re.compile(r"\{(\d+),(\d+)\}")
_CONTROLS = re.compile(r"[\x1c-\x1f]")  # blanks to `re`, none to Hyperscan
_ANY_RUN = {"card": 11, "phone.said": 7, "phone.any": 7}  # shapes that each digit has; their checks ask for so many digits
_BOOKS = {
    **dict.fromkeys(("three", "four", "five", "dated", "passport", "six", "seven", "nine", "eleven", "quad"), "digits"),
    **dict.fromkeys(("permanent", "dutch", "coded", "glued", "outcode", "canadian"), "letters"),
}
Hits = list[tuple[int, int]]  # number of an expression, where a match ends


class Hyperscan:
    """A tier's patterns, compiled into databases; finds which rows of `pack.of(tier)` may be in a text.

    Texts are scanned many at a time, since a call costs more than a text: they are joined by line ends, and where a match ends tells
    whose it is. Rows that need a word near are named only if it is in the text or in the hint. Only ASCII text goes this way: there
    both engines mean the same by a digit, a letter and a case. All other text, and a pass with very many hits, is left to the gates.
    Raises: InvalidInput with the install line if the library is missing.
    """

    def __init__(self, tier: Tier = Tier.DEFAULT, *, pack: Pack = PACK) -> None:
        try:
            import hyperscan
        except ImportError as error:
            raise InvalidInput("This prefilter needs hyperscan.", fix="pip install 'custody-ml[privacy]'") from error
        patterns = pack.of(tier)
        self._stopped, self._lock = hyperscan.ScanTerminated, Lock()
        self._gates = Gates(patterns)
        asked = [row.context if row.asked(tier) else () for row in patterns]
        self._words: dict[tuple[str, ...], int] = {}  # context words: the number of their expression
        self._rows: list[
            list[tuple[int, int]]
        ] = []  # of each expression: rows, and the number of the words that each needs, or -1
        books: dict[str, dict[bytes, int]] = {}
        for words in dict.fromkeys(filter(None, asked)):
            self._words[words] = self._add(books, "words", _spoken(words))
        for index, (row, words) in enumerate(zip(patterns, asked, strict=True)):
            number = self._add(books, _book(row), _expression(row))
            self._rows[number].append((index, self._words.get(words, -1)))
        flags = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_MULTILINE
        self._scans = [_compiled(hyperscan.Database(), book, flags) for book in books.values()]

    def _add(self, books: dict[str, dict[bytes, int]], name: str, expression: bytes) -> int:
        """Return the number of an expression; equal ones of a book share it."""
        book = books.setdefault(name, {})
        if expression not in book:
            book[expression] = len(self._rows)
            self._rows.append([])
        return book[expression]

    def candidates(self, texts: Sequence[str], *, hint: str = "") -> Iterator[Sequence[int]]:
        """Yield the indices of the patterns that may be in each text."""
        said = {number for words, number in self._words.items() if hint and near(words).search(hint)} | {-1}
        for batch in batches(texts, BATCH, TEXTS):
            yield from self._of(batch, said)

    def _of(self, batch: Sequence[str], said: set[int]) -> Sequence[Sequence[int]]:
        """Return the candidates of some texts: quickly of those in plain ASCII, with the gates of the others."""
        plain = [place for place, text in enumerate(batch) if text.isascii() and not _CONTROLS.search(text)]
        heard = self._heard([batch[place] for place in plain])
        if heard is None:
            return [*self._gates.candidates(batch)]
        fired: list[Sequence[int]] = [()] * len(batch)
        for number, found in heard.items():
            fired[plain[number]] = self._named(found, said)
        if len(plain) < len(batch):
            others = sorted(set(range(len(batch))) - set(plain))
            for place, rows in zip(others, self._gates.candidates([batch[place] for place in others]), strict=True):
                fired[place] = rows
        return fired

    def _named(self, found: set[int], said: set[int]) -> Sequence[int]:
        """Return the rows of some expressions whose words, if they need any, were seen too or are in the hint."""
        return sorted(row for number in found for row, words in self._rows[number] if words in said or words in found)

    def _heard(self, texts: Sequence[str]) -> Mapping[int, set[int]] | None:
        """Return the expressions that match in each text that has any, by its place; None if there are too many hits."""
        whole = "\n".join(texts).encode()
        hits: Hits = []
        if not self._scan(whole, hits, len(whole) // PER_HIT + SOME):
            return None
        ends = list(accumulate((len(text) + 1 for text in texts), initial=-1))[1:]
        heard: dict[int, set[int]] = {}
        for number, end in hits:
            place = bisect_left(ends, end)
            if place < len(ends):
                heard.setdefault(place, set()).add(number)
        return heard

    def _scan(self, whole: bytes, hits: Hits, most: int) -> bool:
        """Collect what all databases match in a text; tell whether there were at most so many."""
        add = hits.append

        def heard(number: int, _start: int, end: int, _flags: int, _context: object) -> bool:
            add((number, end))
            return len(hits) > most

        with self._lock:  # a database has one memory to work in
            try:
                for scan in self._scans:
                    scan(whole, match_event_handler=heard)
            except self._stopped:
                return False
        return True


def _compiled(database: Any, book: Mapping[bytes, int], flags: int) -> Callable[..., None]:
    """Compile expressions under their numbers; return how their database scans."""
    database.compile(expressions=list(book), ids=list(book.values()), elements=len(book), flags=[flags] * len(book))
    scan: Callable[..., None] = database.scan
    return scan


def _book(row: Pattern) -> str:
    """Return the database of a row: several small ones compile four times as fast as one, and scan as fast."""
    if row.type == "ADDRESS":
        return "places"
    return _BOOKS.get(row.gate, "free")


def _expression(row: Pattern) -> bytes:
    """Write a row's regex so that it matches in at least the same ASCII texts and compiles fast.

    Characters beyond ASCII become the byte 255, which no ASCII text has. Long bounded repeats lose their upper bound.
    """
    regex = run(_ANY_RUN[row.name]) if row.name in _ANY_RUN else row.regex
    loose = regex.replace(BREAK, r"[- \t\r\n]*")
    ascii_only = re.sub(r"[^\x00-\x7f]", "\xff", _ESCAPED.sub("\xff", loose))
    return _BOUNDED.sub(lambda m: m.group() if int(m[2]) <= 4 else f"{{{m[1]},}}", ascii_only).encode("latin-1")


def _spoken(words: tuple[str, ...]) -> bytes:
    """Write context words as one regex, with no letter on either side."""
    plain = "|".join(re.escape(word) for word in words if word.isascii()) or "\xff"
    return rf"(?i)(?:^|[^a-zA-Z])(?:{plain})s?(?:$|[^a-zA-Z])".encode("latin-1")
