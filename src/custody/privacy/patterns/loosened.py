r"""A regex of `re`, loosened into one that RE2 can run: if the regex matches in a text, this matches in `plain(text)`.

RE2 cannot look around or back, and means other things by `\d`, by blanks and by case. So nothing is left to it: a text is written as
one byte a character, the first that it has in UTF-8, and a class of characters as the bytes of those that `re` takes.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from re import _compiler, _parser  # type: ignore[attr-defined]  # private; the same in 3.11, 3.12 and 3.13
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any, NamedTuple

Bytes = frozenset[int]
Item = tuple[Any, Any]  # a code of `re`, and its value

EDGE = 0x80  # stands before a text and after it, so that what may stand beside a match is one class, which RE2 reads once for many rows
STARTS = frozenset(b"\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0")  # what a digit beyond ASCII begins with
DIGITS = frozenset(b"0123456789") | STARTS
LETTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_LATER = bytes(range(0x80, 0xC0))  # every byte of a character in UTF-8 but the first
_ASCII = "".join(map(chr, range(0x80)))
_BEYOND = frozenset(range(0xC2, 0xF5))  # what a character beyond ASCII begins with
_ANY = frozenset(range(0x80)) | _BEYOND
_LEAVES = (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY)
_REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)
_LOOKS = (op.ASSERT, op.ASSERT_NOT, op.AT)
_MOST, _LEAST = 1, 16  # a repeat with a larger upper bound has none, a larger lower bound is this: RE2 writes all of them out


class Loosened(NamedTuple):
    """What a regex, or a part of one, became.

    expression: what RE2 searches. digits: how many a match has at least. holds: of what characters matches consist.
    between: what may stand between the first digit of a match and its last.
    """

    expression: str
    digits: int
    holds: Bytes
    between: Bytes = frozenset()


def plain(text: str) -> bytes:
    """Write a text as one byte a character, between two edges."""
    written = text.encode() if text.isascii() else text.encode(errors="surrogatepass").translate(None, _LATER)
    return b"\x80" + written + b"\x80"


def loosened(regex: str) -> Loosened:
    """Loosen a regex."""
    tree = _parser.parse(regex)
    return _Reader(tree.state.flags).whole(list(tree))


def run(count: int, between: Bytes) -> str:
    """Return an expression of so many digits with nothing between two but what is given."""
    return rf"{_class(DIGITS)}(?:{_class(between - DIGITS | STARTS)}*{_class(DIGITS)}){{{count - 1}}}"


class _Reader:
    """Reads one regex; flags: those of the whole."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._groups: dict[int, tuple[Loosened, int]] = {}  # of each group what it became, and its flags

    def whole(self, items: list[Item]) -> Loosened:
        """Loosen all of it, with as much of the looks at its ends as single characters say."""
        if len(items) == 1 and items[0][0] is op.BRANCH:
            arms = [self.whole(list(arm)) for arm in items[0][1][1]]
            return _either(arms)._replace(between=_union(arm.between for arm in arms))
        before = after = _ANY
        while items and items[0][0] in _LOOKS:
            before &= self._beside(*items.pop(0), way=-1)
        while items and items[-1][0] in _LOOKS:
            after &= self._beside(*items.pop(), way=1)
        parts = self._parts(items, self._flags, last=after == _ANY)
        numbers = [place for place, part in enumerate(parts) if part.holds & DIGITS]
        between = _union(part.holds for part in parts[numbers[0] : numbers[-1] + 1]) if numbers else frozenset()
        body = _joined(parts)
        head = "" if before == _ANY else _class(before | {EDGE})
        tail = "" if after == _ANY else _class(after | {EDGE})
        return Loosened(head + body.expression + tail, body.digits, body.holds, between)

    def _beside(self, code: Any, value: Any, *, way: int) -> Bytes:
        """Return which characters a look lets stand on that side."""
        if code is not op.ASSERT_NOT or value[0] != way:
            return _ANY
        inner = list(value[1])
        arms = inner[0][1][1] if len(inner) == 1 and inner[0][0] is op.BRANCH else [inner]
        refused = _union(
            self._part(arm[0], self._flags, last=False).holds for arm in arms if len(arm) == 1 and arm[0][0] in _LEAVES
        )
        return _ANY - (refused - _BEYOND)  # of those beyond ASCII it may refuse some only

    def _parts(self, items: Iterable[Item], flags: int, *, last: bool) -> list[Loosened]:
        """Loosen items one after the other; last: nothing follows them, so what may be nothing at their end is not searched."""
        items = list(items)
        end = len(items)
        while last and end and items[end - 1][0] in _REPEATS and items[end - 1][1][0] == 0:
            end -= 1
        parts = [self._part(item, flags, last=last and place == end - 1) for place, item in enumerate(items)]
        return [*parts[:end], *(part._replace(expression="") for part in parts[end:])]

    def _part(self, item: Item, flags: int, *, last: bool) -> Loosened:
        code, value = item
        if code in _LEAVES:
            holds = _leaf(code, tuple(value) if code is op.IN else value, flags)
            return Loosened(_class(holds), int(all(_is_digit(*kind) for kind in _kinds(code, value))), holds)
        if code in _REPEATS:
            low, high, inner = value
            return self._repeat(low, high, inner, flags, last=last)
        if code is op.SUBPATTERN:
            number, add, drop, inner = value
            flags = (flags | add) & ~drop
            part = _joined(self._parts(inner, flags, last=last))
            self._groups[number] = part, flags
            return part
        if code is op.ATOMIC_GROUP:
            return _joined(self._parts(value, flags, last=last))
        if code is op.BRANCH:
            return _either([_joined(self._parts(arm, flags, last=last)) for arm in value[1]])
        if code is op.GROUPREF_EXISTS:
            return _either([_joined(self._parts(arm or (), flags, last=last)) for arm in value[1:]])
        if code is op.GROUPREF:
            part, before = self._groups.get(value, (_ANYTHING, 0))
            return part if flags & re.IGNORECASE <= before & re.IGNORECASE else _ANYTHING
        if code in _LOOKS:
            seen = (
                _joined(self._parts(value[1], flags, last=True)).expression if code is op.ASSERT and value[0] > 0 and last else ""
            )
            return Loosened(seen, 0, frozenset())
        return _ANYTHING  # whatever it is: too much is named then, never too little

    def _repeat(self, low: int, high: int, inner: Iterable[Item], flags: int, *, last: bool) -> Loosened:
        part = _joined(self._parts(inner, flags, last=False))
        least, most = min(low, _LEAST), "" if high > max(low, _MOST) or low > _LEAST else str(high)
        times = f"{{{least}}}" if last else f"{{{least},{most}}}"
        return Loosened(f"(?:{part.expression}){times}", low * part.digits, part.holds)


def _joined(parts: Sequence[Loosened]) -> Loosened:
    return Loosened(
        "".join(part.expression for part in parts), sum(part.digits for part in parts), _union(part.holds for part in parts)
    )


def _either(arms: Sequence[Loosened]) -> Loosened:
    expression = f"(?:{'|'.join(arm.expression for arm in arms)})"
    return Loosened(expression, min(arm.digits for arm in arms), _union(arm.holds for arm in arms))


def _union(some: Iterable[Bytes]) -> Bytes:
    return frozenset[int]().union(*some)


@lru_cache(maxsize=1024)
def _leaf(code: Any, value: Any, flags: int) -> Bytes:
    """Return the bytes of the characters that one item of a regex takes; of those of ASCII, and of case, `re` is asked about each."""
    item = _compiler.compile(_parser.SubPattern(_parser.State(), [(code, list(value) if code is op.IN else value)]), flags)
    asked = _ASCII + _cased() if flags & re.IGNORECASE else _ASCII
    return _union((frozenset(plain("".join(item.findall(asked)))) - {EDGE}, *(_beyond(*kind) for kind in _kinds(code, value))))


def _kinds(code: Any, value: Any) -> Sequence[Item]:
    """Return the parts of a class."""
    kinds: Sequence[Item] = value if code is op.IN else ((code, value),)
    return kinds


def _is_digit(kind: Any, value: Any) -> bool:
    """Tell whether all that a part of a class takes are digits."""
    low, high = value if kind is op.RANGE else (value, value)
    return (
        value is op.CATEGORY_DIGIT
        if kind is op.CATEGORY
        else kind in (op.LITERAL, op.RANGE) and ord("0") <= low <= high <= ord("9")
    )


def _beyond(kind: Any, value: Any) -> Bytes:
    """Return the bytes of the characters beyond ASCII that a part of a class may take, where the case matters."""
    if kind is op.CATEGORY and value is op.CATEGORY_DIGIT:
        return STARTS
    if kind not in (op.LITERAL, op.RANGE):
        return _BEYOND
    low, high = (value, value) if kind is op.LITERAL else value
    return frozenset(range(_first(max(low, 0x80)), _first(high) + 1)) if high >= 0x80 else frozenset()


def _first(code: int) -> int:
    """Return the first byte of a character in UTF-8; it grows with the character."""
    return chr(code).encode(errors="surrogatepass")[0]


@cache
def _cased() -> str:
    """Return all characters beyond ASCII that another one is the same as where the case does not matter."""
    every = map(
        chr,
        chain(
            range(0x80, 0x2E00),
            range(0xA600, 0xAC00),
            range(0xFB00, 0xFF80),
            range(0x10400, 0x10E00),
            range(0x11800, 0x11900),
            range(0x16E00, 0x16F00),
            range(0x1E900, 0x1EA00),
        ),
    )
    return "".join(char for char in every if char.lower() != char or char.upper() != char)


@lru_cache(maxsize=1024)
def _class(some: Bytes) -> str:
    """Write a class of bytes."""
    ranges: list[list[int]] = []
    for byte in sorted(some):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    written = "".join(rf"\x{low:02x}-\x{high:02x}" for low, high in ranges)
    return f"[{written}]" if some else r"[^\x00-\xff]"


_ANYTHING = Loosened(f"{_class(_ANY)}*", 0, _ANY)
