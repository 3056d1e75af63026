"""Necessary conditions that cost little: a pattern runs only on texts that pass its gate."""

import re
from collections.abc import Callable, Iterator, Sequence

from custody.privacy.patterns.network import TOP
from custody.privacy.patterns.pattern import Pattern
from custody.privacy.patterns.places import AFTER, BEFORE, BEFORE_CAPITAL, STREETS, SUFFIXES
from custody.privacy.patterns.secrets import PREFIXES
from custody.privacy.patterns.shapes import BLANKS, CAPITAL, DASHES

Test = Callable[[str], object]
_LOOSE = rf"[-./(),\[\]{DASHES}{BLANKS}\r\n\\#:extnsioEXTNSIO]"  # the letters of ext and extension


def _search(regex: str) -> Test:
    return re.compile(regex).search


def run(count: int) -> str:
    r"""Return a regex of `count` digits with at most 24 characters of punctuation or space between two."""
    return rf"\d(?:{_LOOSE}{{0,24}}+\d){{{count - 1}}}"


_PLAIN_WAYS = re.sub(r"\[(.)(.)\]((?:\w|\\\.)+)", r"\1\3|\2\3", BEFORE_CAPITAL)  # Strada|strada, not [Ss]trada
_NO = re.compile(r"[ ,]{0,3}no[.:]?$", re.IGNORECASE)


def folded(text: str) -> str:
    """Write a text so that letters which `re` takes for the same, whatever their case, are the same."""
    if text.isascii():
        return text.lower()
    return text.upper().lower().replace("\u0307", "").replace("ς", "σ")


def _words(*words: str) -> Test:
    """Test for any of some pieces of words, whatever their case."""
    pieces = tuple({folded(word) for word in words})

    def test(text: str) -> bool:
        low = folded(text)
        return any(piece in low for piece in pieces)

    return test


def _folded(*regexes: str) -> Test:
    """Search a folded text for any regex; `re` skips ahead if all ways to begin one are plain letters, or one class."""
    searches = tuple(re.compile(regex).search for regex in regexes)

    def test(text: str) -> bool:
        low = folded(text)
        return any(search(low) for search in searches)

    return test


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
    "spelled": ("", _search(r"[\[({] ?(?:[aA][tT]|@)")),
    "scheme": ("", lambda text: "://" in text),
    "slashes": ("", lambda text: "/" in text or "\\" in text),
    "home": ("slashes", _words("home", "users", "documents and settings")),
    "www": ("", _words("www")),
    "dotted": ("", _search(r"\.[^\W\d_]")),
    "host": ("dotted", _search(rf"(?i)\.(?:{TOP})(?![\w\-@])")),
    "file": ("dotted", _search(r"\.[^\W\d_]{2,24}(?::\d{1,5})?/")),
    "colons": ("", _search(r":[0-9A-Fa-f]{0,4}:")),
    "hexes": ("", _search(r"[0-9A-Fa-f]{2}[-:.][0-9A-Fa-f]{2}")),
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
    "long": ("", _search(r"[A-Za-z0-9+/=_\-]{16}")),
    "prefix": ("long", lambda text: any(prefix in text for prefix in PREFIXES)),
    "dashes": ("", lambda text: "-----BEGIN" in text),
    "digit": ("", _search(r"\d")),
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
    "age": ("digit", _search(r"\d[ \-]?(?:[yYjJañAÑåÅlLл\u041bг\u0413wWdD]|[mM][oO])")),
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
    "six": ("digit", _search(run(6))),
    "seven": ("six", _search(run(7))),
    "nine": ("seven", _search(run(9))),
    "eleven": ("nine", _search(run(11))),
    "letters": ("digit", _search(rf"[A-Za-z]{_LOOSE}{{0,24}}\d|\d{_LOOSE}{{0,24}}[A-Za-z]")),
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

    def candidates(self, texts: Sequence[str], *, hint: str = "") -> Iterator[Sequence[int]]:  # noqa: ARG002 - gates ask no words
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
