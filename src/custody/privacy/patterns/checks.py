"""Checks of numbers that carry their own proof: card numbers, bank accounts, addresses of machines, wallets, dates."""

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date

from stdnum import bitcoin

from custody.privacy.patterns.pattern import REFUSED, Check, Cut, whole
from custody.privacy.patterns.shapes import ascii_digits, compact, digits_of

# ISO 13616, the registry of national formats: length of an account number by country
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26,
    "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_DIGITS = re.compile(r"\d+")


def luhn(digits: str) -> bool:
    """Tell whether 0-9 digits pass the checksum of ISO/IEC 7812, annex B."""
    even, odd = digits[-2::-2], digits[-1::-2]
    return (sum(map(int, odd)) + sum(sum(divmod(2 * int(d), 10)) for d in even)) % 10 == 0


def _is_card(text: str) -> bool:
    """Tell whether digits are a card number: luhn, not all equal, and a first digit that the length knows."""
    digits = digits_of(text)
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1 or not luhn(digits):
        return False
    first = digits[0]
    return first in "3456" or (first == "2" and len(digits) >= 15) or (first in "189" and len(digits) in {15, 16, 19})


def windows(text: str, passes: Callable[[str], bool], most: int) -> Iterable[Cut]:
    """Return where whole groups of digits side by side pass, leftmost and longest first, none overlapping.

    passes: asked about the text from a group's start to a group's end. most: digits, beyond which no longer one is tried.
    A number is often followed by other digits (`4111 1111 1111 1111 12/27`), so groups are tried and not all or nothing.
    """
    groups = [match.span() for match in _DIGITS.finditer(text)]
    at = 0
    while at < len(groups):
        best = digits = 0
        for end in range(at, len(groups)):
            digits += groups[end][1] - groups[end][0]
            if digits > most:
                break
            if passes(text[groups[at][0] : groups[end][1]]):
                best = end + 1
        if best:
            yield groups[at][0], groups[best - 1][1]
        at = best or at + 1


CARD = Check("card", lambda text: tuple(windows(text, _is_card, 19)))


def _iban(text: str) -> tuple[Cut, ...]:
    """Cut to the country's length and test the remainder by 97; what follows by accident is left alone."""
    length = IBAN_LENGTHS.get(text[:2].upper(), 99)
    seen, end = 0, 0
    for end, char in enumerate(text, 1):  # noqa: B007 - used after the loop
        seen += char.isalnum()
        if seen == length:
            break
    account = compact(text[:end]).upper()
    if seen < length or (end < len(text) and text[end].isalnum()) or not account.isascii():
        return ()
    number = "".join(str(int(char, 36)) for char in account[4:] + account[:4])
    return ((0, end),) if int(number) % 97 == 1 else ()


IBAN = Check("iban", _iban)


def _ssn(text: str) -> bool:
    digits = digits_of(text)
    area = digits[:3]
    return area not in {"000", "666"} and area[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


SSN = whole("ssn", _ssn)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(ascii_digits(text).split("/")[0].split("%")[0])
    except ValueError:
        return False
    return True


def _is_ip6(text: str) -> bool:
    """Refuse what is written like a name in code, `a::b`: a digit or three groups are asked for."""
    groups = [group for group in re.split("[:.]", text) if group]
    return (any(c.isdecimal() for c in text) or len(groups) >= 3) and bool(groups) and _is_ip(text)


IP4, IP6 = whole("ip4", _is_ip), whole("ip6", _is_ip6)


def _is_bitcoin(text: str) -> bool:
    try:
        bitcoin.validate(text)
    except REFUSED:
        return False
    return True


BITCOIN = whole("bitcoin", _is_bitcoin)


def _on_calendar(text: str) -> bool:
    """Tell whether numbers are a day in some order, in the years 1850 to 2149."""
    parts = [int(ascii_digits(part)) for part in _DIGITS.findall(text)]
    if len(parts) != 3:
        return False
    first, second, third = parts
    year, rest = (first, (second, third)) if first > 31 else (third, (first, second))
    year += (2000 if year < 50 else 1900) if year < 100 else 0
    if not 1850 <= year < 2150:
        return False
    for month, day in (rest, rest[::-1]):
        try:
            date(year, month, day)
        except ValueError:
            continue
        return True
    return False


CALENDAR = whole("calendar", _on_calendar)


def entropy(text: str) -> float:
    """Return the bits per character of a text's own distribution of characters; 0 for none."""
    counts = Counter(text).values()
    return sum(count / len(text) * math.log2(len(text) / count) for count in counts)


def _is_random(text: str) -> bool:
    kinds = sum((any(c.islower() for c in text), any(c.isupper() for c in text), any(c.isdigit() for c in text)))
    return kinds >= 2 and entropy(text) >= 3.5


RANDOM = whole("random", _is_random)
AGE = whole("age", lambda text: all(int(ascii_digits(n)) <= 125 for n in _DIGITS.findall(text)))
DEA = whole("dea", lambda text: _dea(digits_of(text)))


def _dea(d: str) -> bool:
    """Tell whether the seven digits of a United States medical licence agree with the last."""
    return (sum(map(int, d[:6:2])) + 2 * sum(map(int, d[1:6:2]))) % 10 == int(d[6])
