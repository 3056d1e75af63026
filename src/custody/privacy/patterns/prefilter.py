"""The quick look that comes first: which rows may find something in a text. RE2 searches for many rows in one pass.

What it searches is derived from the rows' own regexes. The rows stand in several sets, since one pass keeps a state for every
combination of rows that it may be in the middle of, and each set is asked only if what came before lets it find something.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from custody.privacy.context import near
from custody.privacy.patterns.loosened import DIGITS, LETTERS, Loosened, loosened, plain, run
from custody.privacy.patterns.pattern import Pattern, Tier

MEMORY = 2 << 20  # bytes of a set's states; beyond that they are forgotten and made again
LONG = 6  # digits with no letter between; few texts have them
_TOGETHER, _SHORT = 16, 64 * 1024  # texts that are looked at in one search first, if they have not more characters
_IS_LONG, _HAS_DIGIT = -1, -2  # stand among rows for "there is such a number", and "there is a digit"
_NUMERALS = bytes(DIGITS)
_BESIDE = (r"[^\W_]", r"[^\W\d_]")  # a number may stand right beside its word


class RowSet:
    """Expressions that RE2 searches in one pass, each with the names of those that need it."""

    def __init__(self, named: Iterable[tuple[str, int]], memory: int = MEMORY) -> None:
        import re2  # noqa: PLC0415 - a process that scans no text does without

        names: dict[str, list[int]] = {r"\A": []}  # matches always: no match at all means that RE2 ran out of memory
        for expression, name in named:
            names.setdefault(expression, []).append(name)
        options = re2.Options()
        options.encoding, options.max_mem, options.log_errors = re2.Options.Encoding.LATIN1, memory, False
        searched = re2.Set.SearchSet(options)
        for expression in names:
            searched.Add(expression)
        searched.Compile()
        self._match, self._names = searched.Match, list(names.values())

    def __call__(self, text: bytes) -> list[int]:
        """Return the names of what is in a text; all of them if RE2 ran out of memory."""
        numbers = self._match(text)
        if numbers == [0]:
            return []
        return [name for number in numbers or range(len(self._names)) for name in self._names[number]]


class Prefilter:
    """Names the rows of a tier that may find something in a text: maybe too many, never too few.

    A row that needs a word near is named only if one of its words is in the text or in the hint.
    """

    def __init__(self, patterns: Sequence[Pattern], tier: Tier, *, memory: int = MEMORY) -> None:
        self._patterns, self._tier, self._memory = patterns, tier, memory
        asked = dict.fromkeys(row.context for row in patterns if row.asked(tier))
        self._words = {words: number for number, words in enumerate(asked)}

    def candidates(self, texts: Sequence[str], *, hint: str = "") -> Iterator[Sequence[int]]:
        """Yield, for each text, the ascending indices of the rows to run; words of the hint count as context of all."""
        hinted = {number for words, number in self._words.items() if hint and near(words).search(hint)}
        for start in range(0, len(texts), _TOGETHER):
            some = texts[start : start + _TOGETHER]
            if len(some) > 1 and sum(map(len, some)) < _SHORT:
                yield from self._named_in([*map(plain, some)], hinted)
            else:
                yield from (self._named(plain(text), hinted) for text in some)

    def _named_in(self, some: Sequence[bytes], hinted: set[int]) -> Iterable[Sequence[int]]:
        """Look at texts one by one only if something is in them together: to call RE2 costs as much as it takes to search one."""
        found = self._sets["any"](b"".join(some))
        if not found:
            return [()] * len(some)
        if found == [_HAS_DIGIT]:
            return [self._named(text, hinted) if len(text.translate(None, _NUMERALS)) < len(text) else () for text in some]
        return [self._named(text, hinted) for text in some]

    def _named(self, text: bytes, hinted: set[int]) -> Sequence[int]:
        ask = self._sets
        found = ask["any"](text)
        if _HAS_DIGIT not in found:
            return sorted(found) if found else found
        found.remove(_HAS_DIGIT)
        found += ask["prose"](text)
        found += ask["short"](text)
        heard = hinted.union(ask["words"](text))
        said = ask["said"](text) if heard else []
        if _IS_LONG in found:
            found.remove(_IS_LONG)
            found += ask["long"](text)
            said += ask["said_long"](text) if heard else []
        return sorted(found + [row for row in said if self._words[self._patterns[row].context] in heard])

    @cached_property
    def _sets(self) -> dict[str, RowSet]:
        """Compile all sets; a tenth of a second."""
        sets: dict[str, list[tuple[str, int]]] = {
            name: [] for name in ("any", "prose", "short", "long", "said", "said_long", "words")
        }
        between: frozenset[int] = frozenset()
        for index, row in enumerate(self._patterns):
            read = loosened(row.regex)
            name = self._set_of(row, read)
            sets[name].append((run(row.digits, read.between) if row.digits else read.expression, index))
            between |= read.between if name in {"long", "said_long"} else frozenset()
        sets["any"].append((run(1, frozenset()), _HAS_DIGIT))
        sets["short"].append((run(LONG, between), _IS_LONG))
        for words, number in self._words.items():
            sets["words"].append((loosened(f"(?i){near(words).pattern.replace(*_BESIDE)}").expression, number))
        return {name: RowSet(named, self._memory) for name, named in sets.items()}

    def _set_of(self, row: Pattern, read: Loosened) -> str:
        """Return the set of a row by what its matches have: no digit, a long number, whole words, or a short number."""
        if not (digits := max(read.digits, row.digits)):
            return "any"
        long = digits >= LONG and not read.between & LETTERS
        if row.asked(self._tier):
            return "said_long" if long else "said"
        return "long" if long else "prose" if read.holds >= LETTERS | {ord(" ")} else "short"
