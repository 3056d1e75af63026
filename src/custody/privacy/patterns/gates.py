"""Necessary conditions that cost little: a pattern runs only on texts that pass its gate."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from custody.privacy.patterns.network import TOP
from custody.privacy.patterns.pattern import Pattern
from custody.privacy.patterns.places import AFTER, BEFORE, BEFORE_CAPITAL, STREETS, SUFFIXES
from custody.privacy.patterns.secrets import PREFIXES
from custody.privacy.patterns.shapes import BLANKS, BREAK, CAPITAL, DASHES

Test = Callable[[str], object]
_LETTER = "[A-Za-z\u0130\u0131\u017f\u212a]"  # what `re` takes for a letter from a to z where the case does not matter
_REACH = 48  # characters from a number within which all stands that most gates behind "digit" look for
_LOOSE = rf"[-./(),\[\]{DASHES}{BLANKS}\r\n\\#:extnsioEXTNSIO\u0130\u0131\u017f+]"  # the letters of ext and extension


def _search(regex: str) -> Test:
    return re.compile(regex).search


def run(count: int) -> str:
    r"""Return a regex of `count` digits with at most 24 characters of punctuation or space between two."""
    return rf"\d(?:{_LOOSE}{{0,24}}+\d){{{count - 1}}}"


_PLAIN_WAYS = re.sub(r"\[(.)(.)\]((?:\w|\\\.)+)", r"\1\3|\2\3", BEFORE_CAPITAL)  # Strada|strada, not [Ss]trada
_NO = re.compile(r"[ ,]{0,3}no[.:]?$", re.IGNORECASE)


@lru_cache(maxsize=2)  # a text and what is near its numbers: several gates ask
def folded(text: str) -> str:
    """Write a text so that letters which `re` takes for the same, whatever their case, are the same."""
    if text.isascii():
        return text.lower()
    return text.replace("\u1e9e", "ß").upper().lower().replace("\u0307", "").replace("ς", "σ")


def _words(*words: str) -> Test:
    """Test for any of some pieces of words, whatever their case."""
    pieces = tuple(dict.fromkeys(folded(word) for word in words))
    plain = tuple(piece for piece in pieces if piece.isascii())

    def test(text: str) -> bool:
        low = folded(text)
        return any(map(low.__contains__, plain if low.isascii() else pieces))

    return test


def _folded(*regexes: str) -> Test:
    """Search a folded text for any regex; `re` skips ahead if all ways to begin one are plain letters, or one class."""
    searches = tuple(re.compile(regex).search for regex in regexes)

    def test(text: str) -> bool:
        low = folded(text)
        return any(search(low) for search in searches)

    return test


def near_numbers(text: str) -> str:
    """Return what stands near the digits of a text, apart from each other by line ends; nothing if there are no digits."""
    if not text.encode(errors="replace").translate(None, _NO_DIGITS):  # `re` takes several times as long
        return ""
    parts: list[str] = []
    start = end = 0
    for number in _NUMBER.finditer(text):
        low = number.start() - _REACH
        if low > end:
            parts.append(text[start:end])
            start = low
        end = number.end() + _REACH
    return "\n".join((*parts, text[start:end]))


_NUMBER = re.compile(r"\d+")
DIGITS = b"0123456789\xd9\xdb\xdf\xe0\xe1\xea\xef\xf0"  # what a digit of any script begins with in UTF-8
_NO_DIGITS = bytes(byte for byte in range(256) if byte not in DIGITS)


def _is_long(text: str) -> bool:
    """Tell whether 16 characters of keys and codes stand together."""
    return _SIXTEEN in text.encode(errors="replace").translate(_OF_CODES)


_SIXTEEN = b"x" * 16
_OF_CODES = bytes(ord("x" if byte < 128 and (chr(byte).isalnum() or chr(byte) in "+/=_-") else " ") for byte in range(256))


_STREETS = tuple({folded(word) for word in (*SUFFIXES, *AFTER)})


def _street(text: str) -> bool:
    """Tell whether a street's word ends right before a number."""
    for found in _SPACED.finditer(text):
        before = _NO.sub("", text[max(0, found.start() - 24) : found.start()].rstrip(" ,")).rstrip(" ,")
        if folded(before).endswith(_STREETS):
            return True
    return False


_SPACED = re.compile(r" \d|[ ,:.][Nn][Oo][.:]?\d")
MONTHS = "jan|feb|fév|fev|mar|mär|apr|avr|abr|may|mai|mag|jun|jui|giu|jul|lug|aug|aoû|aou|ago|sep|set|oct|okt|ott|out|nov|dec|dez|déc|dic|ene"


# name: (gate that must pass before, or "", test)
GATES: dict[str, tuple[str, Test]] = {
    "any": ("", lambda text: True),  # noqa: ARG005 - a test of nothing
    "at": ("", lambda text: "@" in text or "\uff20" in text),
    "bracket": ("", lambda text: "[" in text or "(" in text or "{" in text),
    "spelled": ("bracket", _search(r"[\[({] ?(?:[aA][tT]|@)")),
    "scheme": ("", lambda text: "://" in text),
    "slashes": ("", lambda text: "/" in text or "\\" in text),
    "home": ("slashes", _words("home", "users", "documents and settings")),
    "www": ("", _words("www")),
    "dotted": ("", _search(r"\.[^\W\d_]")),
    "host": ("dotted", _search(rf"(?i)\.(?:{TOP})(?![\w\-@])")),
    "file": ("dotted", _search(r"\.[^\W\d_]{2,24}(?::\d{1,5})?/")),
    "colons": ("", _search(r":[0-9A-Fa-f]{0,4}:")),
    "hexes": ("", _search(r"[-:.](?<=[0-9A-Fa-f]{2}[-:.])[0-9A-Fa-f]{2}")),
    "secret": (
        "",
        _words(
            "pass",
            "pwd",
            "secret",
            "token",
            "key",
            "kennwort",
            "contraseña",
            "senha",
            "wachtwoord",
            "пароль",
            "密码",
            "パスワード",
        ),
    ),
    "assigned": ("secret", lambda text: ":" in text or "=" in text),
    "bearer": ("", _words("bearer", "basic")),
    "dollar": ("", lambda text: "$" in text),
    "long": ("", _is_long),
    "prefix": ("long", lambda text: any(prefix in text for prefix in PREFIXES)),
    "dashes": ("", lambda text: "-----BEGIN" in text),
    "digit": ("", near_numbers),
    "street": ("digit", _street),
    "road": ("digit", _words(*STREETS)),
    "numbered": ("digit", _search(rf"\d(?: ?[A-Za-z])?,? (?:{CAPITAL}|\d)")),
    "way": ("digit", _words(*BEFORE)),
    "way_capital": ("digit", _search(rf"{_PLAIN_WAYS} ")),
    "way_first": (
        "digit",
        _search(
            rf"\d(?: ?(?:bis|ter|quater|[A-Da-d]))?,? {{1,2}}(?:{BEFORE_CAPITAL}|avenue|av\.|boulevard|bd|place|quai|cours|route) "
        ),
    ),
    "box": ("digit", _words("box", "postfach", "postale", "b.p", "bp", "apartado", "caixa", "postbus")),
    "unit": ("digit", _words("apt", "apart", "suite", "ste", "psc", "unit", "cmr")),
    "months": (
        "digit",
        _words(
            *(
                "jan",
                "feb",
                "fév",
                "fev",
                "mar",
                "mär",
                "apr",
                "avr",
                "abr",
                "may",
                "mai",
                "mag",
                "jun",
                "jui",
                "giu",
                "jul",
                "lug",
            ),
            *("aug", "aoû", "aou", "ago", "sep", "set", "oct", "okt", "ott", "out", "nov", "dec", "dez", "déc", "dic", "ene"),
        ),
    ),
    "month": (
        "months",
        _folded(
            rf"\d(?:st|nd|rd|th|er|\.|º)?[ \-](?:of |de |of the )?(?:{MONTHS})",
            rf"(?:{MONTHS})[^\W\d_]{{0,7}}\.?[ ,\-]{{1,2}}\d",
        ),
    ),
    "age": ("digit", _search(r"\d[ \-]?(?:[yYjJañAÑåÅ\u212blLл\u041bг\u0413wWdD]|[mM][oO])")),
    "aged": (
        "digit",
        _folded(
            r"(?:age|aged|alter|edad|âge|età|idade|leeftijd|ålder|turns|turned|turning|i am|i'm|she is|he is|she's|he's)[ :=]{1,3}"
            r"(?:of |is |was )?\d"
        ),
    ),
    "cjk": ("digit", lambda text: not text.isascii()),
    "quad": ("digit", _search(r"\d\.\d{1,3}\.\d")),
    "three": ("digit", _search(r"\d(?:[^\n]{0,2}?\d){2}")),
    "five": ("three", _search(run(5))),
    "six": ("digit", _search(run(6))),
    "seven": ("six", _search(run(7))),
    "nine": ("seven", _search(run(9))),
    "eleven": ("nine", _search(run(11))),
    "four": ("three", _search(r"\d{4}")),
    "dated": ("three", _search(r"\d[-/.]\d{1,2}[-/.]\d")),
    "passport": ("three", _search(rf"\d(?:\d|{_LETTER}){{5}}")),
    "permanent": ("four", _search(rf"\d{{4}}{BREAK}{_LETTER}(?![^\W_])")),
    "dutch": ("four", _search(r"\d{4} ?[A-Z]{2}")),
    "coded": ("digit", _search(rf"(?<![^\W_]){_LETTER}{{2}}{BREAK}\d{BREAK}\d")),
    "glued": ("digit", _search(rf"\d(?:{_LETTER}|(?<={_LETTER}\d))")),
    "outcode": ("glued", _search(rf"\d(?:(?<={_LETTER}\d)\d?{_LETTER}? ?\d{_LETTER}{{2}}|(?<=0)[aA]{{2}})")),
    "canadian": ("glued", _search(rf"\d(?<={_LETTER}\d){_LETTER}[ -]?\d{_LETTER}\d")),
}
_WIDE = {"road", "way", "way_capital", "cjk"}  # of those behind "digit": what they look for may stand far from a number


def _is_near(name: str) -> bool:
    before = GATES[name][0]
    return name not in _WIDE and before != "" and (before == "digit" or _is_near(before))


class _Step(NamedTuple):
    """A gate, the patterns behind it, and the gates that are asked where it passes; near: it looks near numbers only."""

    test: Callable[[Any], Any]
    rows: list[int]
    near: bool
    then: list["_Step"]


class Gates:
    """The prefilter that needs no library: it runs each gate once a text, those of numbers where a number is near."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        steps = {name: _Step(test, [], _is_near(name), []) for name, (_, test) in GATES.items()}
        for index, pattern in enumerate(patterns):
            steps[pattern.gate].rows.append(index)
        self._first: list[_Step] = []
        for name, step in reversed(steps.items()):  # a gate is asked if a pattern or a later gate needs it
            if step.rows or step.then:
                (steps[before].then if (before := GATES[name][0]) else self._first).append(step)

    def candidates(self, texts: Sequence[str], *, hint: str = "") -> Iterator[Sequence[int]]:  # noqa: ARG002 - gates ask no words
        """Yield the indices of the patterns whose gate each text passes."""
        for text in texts:
            found: list[int] = []
            _ask(self._first, text, "", found)
            found.sort()
            yield found
        folded.cache_clear()  # what people wrote does not stay


def _ask(steps: Sequence[_Step], text: str, near: str, found: list[int]) -> None:
    for test, rows, is_near, then in steps:
        if passed := test(near if is_near else text):
            found += rows
            if then:
                _ask(then, text, near or passed, found)  # what "digit" finds is what is near
