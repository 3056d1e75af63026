"""Counts the steps that a backtracking search takes: what `re` does, slowly and with a counter, so that no clock is needed."""

import random
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from re import _constants as op  # type: ignore[attr-defined]  # the parse tree that `re` itself compiles
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Go = Callable[[int], int]  # where a match may go on: returns its end, or -1
sys.setrecursionlimit(20_000)


class TooMany(Exception):
    """The search took more steps than it was given."""


@lru_cache(maxsize=512)
def _parse(regex: str) -> Any:
    return parser.parse(regex)


class Search:
    """One regex over one text; `steps` grows by one for each character test and each choice."""

    def __init__(self, regex: str, text: str, most: int) -> None:
        self.tree, self.text, self.most, self.steps = _parse(regex), text, most, 0
        self.flags = self.tree.state.flags
        self.groups: dict[int, tuple[int, int]] = {}

    def run(self) -> list[tuple[int, int]]:
        """Return the matches as `finditer` does."""
        found, at = [], 0
        while at <= len(self.text):
            end = self._seq(list(self.tree), 0, at, self.flags, lambda pos: pos)
            if end >= 0:
                found.append((at, end))
            at = end if end > at else at + 1
        return found

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self.most:
            raise TooMany

    def _seq(self, items: list[Any], index: int, pos: int, flags: int, go: Go) -> int:
        if index == len(items):
            return go(pos)
        return self._one(items[index], pos, flags, lambda after: self._seq(items, index + 1, after, flags, go))

    def _one(self, item: Any, pos: int, flags: int, go: Go) -> int:
        self._step()
        code, value = item
        if code in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY):
            return go(pos + 1) if pos < len(self.text) and self._char(code, value, self.text[pos], flags) else -1
        if code is op.SUBPATTERN:
            number, add, drop, inner = value

            def close(after: int) -> int:
                if number is not None:
                    self.groups[number] = (pos, after)
                return go(after)

            return self._seq(list(inner), 0, pos, (flags | add) & ~drop, close)
        if code is op.BRANCH:
            return next((end for arm in value[1] if (end := self._seq(list(arm), 0, pos, flags, go)) >= 0), -1)
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            return self._repeat(value, pos, flags, go, greedy=code is op.MAX_REPEAT)
        if code is op.POSSESSIVE_REPEAT:
            low, high, inner = value
            count = 0
            while count < high:
                end = self._seq(list(inner), 0, pos, flags, lambda after: after)
                if end < 0 or end == pos:
                    break
                pos, count = end, count + 1
            return go(pos) if count >= low else -1
        if code is op.ATOMIC_GROUP:
            end = self._seq(list(value), 0, pos, flags, lambda after: after)
            return go(end) if end >= 0 else -1
        if code in (op.ASSERT, op.ASSERT_NOT):
            return self._look(value, pos, flags, go, wanted=code is op.ASSERT)
        if code is op.GROUPREF:
            low, high = self.groups.get(value, (0, -1))
            said = self.text[low:high] if high >= low else None
            return go(pos + len(said)) if said is not None and self.text.startswith(said, pos) else -1
        if code is op.AT:
            assert value in (op.AT_END, op.AT_BEGINNING), value
            return go(pos) if pos == (len(self.text) if value is op.AT_END else 0) else -1
        raise AssertionError(item)

    def _look(self, value: Any, pos: int, flags: int, go: Go, *, wanted: bool) -> int:
        way, inner = value
        start = pos if way > 0 else pos - inner.getwidth()[0]
        end = self._seq(list(inner), 0, start, flags, lambda after: after) if start >= 0 else -1
        return go(pos) if (end >= 0) is wanted else -1

    def _repeat(self, value: Any, pos: int, flags: int, go: Go, *, greedy: bool) -> int:
        low, high, inner = value
        items = list(inner)
        if len(items) == 1 and items[0][0] in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY):  # counted, as `re` does
            count = 0
            while count < high and pos + count < len(self.text):
                self._step()
                if not self._char(items[0][0], items[0][1], self.text[pos + count], flags):
                    break
                count += 1
            counts = range(count, low - 1, -1) if greedy else range(low, count + 1)
            for number in counts:
                self._step()
                if (end := go(pos + number)) >= 0:
                    return end
            return -1

        def more(count: int, here: int) -> int:
            def again(after: int) -> int:
                return -1 if after == here and count >= low else more(count + 1, after)

            if count < low:
                return self._seq(items, 0, here, flags, again)
            for on in (True, False) if greedy else (False, True):
                end = go(here) if not on else self._seq(items, 0, here, flags, again) if count < high else -1
                if end >= 0:
                    return end
            return -1

        return more(0, pos)

    def _char(self, code: Any, value: Any, char: str, flags: int) -> bool:
        fold = bool(flags & re.IGNORECASE)
        if code is op.ANY:
            return char != "\n"
        if code in (op.LITERAL, op.NOT_LITERAL):
            return _same(char, chr(value), fold=fold) is (code is op.LITERAL)
        negate = bool(value) and value[0][0] is op.NEGATE
        hit = any(_member(one, char, fold=fold) for one in value[negate:])
        return hit is not negate


def _same(one: str, other: str, *, fold: bool) -> bool:
    return one == other or (fold and one.lower() == other.lower())


def _member(item: Any, char: str, *, fold: bool) -> bool:
    code, value = item
    chars = {char, char.lower(), char.upper()} if fold else {char}
    if code is op.LITERAL:
        return chr(value) in chars
    if code is op.RANGE:
        return any(len(one) == 1 and value[0] <= ord(one) <= value[1] for one in chars)
    kinds = {
        op.CATEGORY_DIGIT: char.isdecimal(),
        op.CATEGORY_NOT_DIGIT: not char.isdecimal(),
        op.CATEGORY_WORD: char.isalnum() or char == "_",
        op.CATEGORY_NOT_WORD: not (char.isalnum() or char == "_"),
    }
    return kinds[value]


def sample(regex: str, rng: random.Random) -> str:
    """Draw a text that a regex matches, unless what it looks around for forbids it."""
    return _drawn(list(_parse(regex)), rng, {})


def _drawn(items: list[Any], rng: random.Random, groups: dict[int, str]) -> str:
    parts = []
    for code, value in items:
        if code is op.LITERAL:
            parts.append(chr(value))
        elif code in (op.IN, op.NOT_LITERAL, op.ANY):
            chosen = rng.choice(value) if code is op.IN else None
            if chosen is None or chosen[0] is op.NEGATE or value[0][0] is op.NEGATE:
                chars = [c for c in "aZ5k9-_.é٣" if code is op.IN and _negated(value, c)]
                parts.append(rng.choice(chars or ["a"]))
            elif chosen[0] is op.LITERAL:
                parts.append(chr(chosen[1]))
            elif chosen[0] is op.RANGE:
                parts.append(chr(rng.randint(*chosen[1])))
            else:
                parts.append(rng.choice("0123456789٣" if chosen[1] is op.CATEGORY_DIGIT else "aZ5k9é"))
        elif code is op.SUBPATTERN:
            drawn = _drawn(list(value[3]), rng, groups)
            if value[0] is not None:
                groups[value[0]] = drawn
            parts.append(drawn)
        elif code is op.BRANCH:
            parts.append(_drawn(list(rng.choice(value[1])), rng, groups))
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            low, high, inner = value
            count = rng.randint(low, min(int(high), low + rng.choice((0, 1, 3, 12))))
            parts += [_drawn(list(inner), rng, groups) for _ in range(count)]
        elif code is op.ATOMIC_GROUP:
            parts.append(_drawn(list(value), rng, groups))
        elif code is op.GROUPREF:
            parts.append(groups.get(value, ""))
    return "".join(parts)


def _negated(value: list[Any], char: str) -> bool:
    return not any(_member(one, char, fold=True) for one in value[1:])
