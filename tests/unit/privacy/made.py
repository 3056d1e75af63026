"""Made-up identifiers with valid checks, drawn by hypothesis."""

import string

from hypothesis import strategies as st
from stdnum.br import cpf
from stdnum.no import fodselsnummer
from stdnum.tr import tckimlik

from custody.privacy.patterns.checks import IBAN_LENGTHS, luhn

DIGITS = string.digits
SEPARATORS = st.sampled_from(["", " ", "-", "\u00a0", "\u2009", "\u2011", "\n", " -"])


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text(DIGITS, min_size=size, max_size=size)


def _luhn(body: str) -> str:
    return next(body + digit for digit in DIGITS if luhn(body + digit))


def _grouped(number: str, separator: str, *sizes: int) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return separator.join([*parts, *([number[at:]] if at < len(number) else [])])


def _iban(country: str, body: str) -> str:
    body = body[: IBAN_LENGTHS[country] - 4]
    figures = "".join(str(int(char, 36)) for char in body + country + "00")
    return f"{country}{98 - int(figures) % 97:02}{body}"


CARDS = st.builds(
    lambda first, body, separator: _grouped(_luhn(first + body), separator, 4, 4, 4),
    st.sampled_from(["4", "51", "55", "6011"]).map(lambda first: first),
    digits(14),
    SEPARATORS,
).filter(lambda card: 13 <= sum(c.isdigit() for c in card) <= 19)
IBANS = st.builds(
    lambda country, body, separator: _grouped(_iban(country, body), separator, 4, 4, 4, 4, 4, 4, 4),
    st.sampled_from(sorted(IBAN_LENGTHS)),
    digits(29),
    SEPARATORS,
)
EMAILS = st.builds(
    lambda local, host, top: f"{local}@{host}.{top}",
    st.from_regex(r"[a-z0-9][a-z0-9.+%'_-]{0,20}", fullmatch=True),
    st.from_regex(r"([a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\.){0,2}[a-z0-9]{1,10}", fullmatch=True),
    st.sampled_from(["com", "org", "de", "museum", "xn--p1ai", "испытание"]),
)
SSNS = st.builds(
    lambda area, group, serial, sep: f"{area:03}{sep}{group:02}{sep}{serial:04}",
    st.integers(1, 899).filter(lambda area: area != 666),
    st.integers(1, 99),
    st.integers(1, 9999),
    st.sampled_from(["-", " ", "\u2011"]),
)
IPS = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str).filter(lambda ip: any(c.isdigit() for c in ip))
CPFS = (
    digits(9)
    .map(lambda body: body + cpf._calc_check_digits(body))
    .filter(cpf.is_valid)
    .map(lambda n: f"{n[:3]}.{n[3:6]}.{n[6:9]}-{n[9:]}")
)
TCKNS = (
    st.builds(lambda a, b: a + b, st.sampled_from("123456789"), digits(8))
    .map(lambda body: body + tckimlik.calc_check_digits(body))
    .filter(tckimlik.is_valid)
)


def _born(day: int, month: int, year: int, number: str) -> str | None:
    body = f"{day:02}{month:02}{year:02}{number}"
    first, second = fodselsnummer.calc_check_digit1(body), ""
    if first in "0123456789" and len(first) == 1:
        second = fodselsnummer.calc_check_digit2(body + first)
    made = body + first + second
    return made if fodselsnummer.is_valid(made) else None


FODSELSNUMMER = st.builds(_born, st.integers(1, 28), st.integers(1, 12), st.integers(0, 99), digits(3)).filter(bool).map(str)
UUIDS = st.uuids().map(str)
MACS = st.lists(st.sampled_from([f"{i:02x}" for i in range(256)]), min_size=6, max_size=6).map(":".join)
PHONES = st.builds(
    lambda code, body: f"+{code} {body[:3]} {body[3:6]} {body[6:]}", st.sampled_from(["1", "44", "49", "91"]), digits(10)
).filter(lambda phone: len(set(phone)) > 4)
KEYS = st.text(string.ascii_letters + DIGITS, min_size=36, max_size=36).map("ghp_".__add__)
ETHER = st.text("0123456789abcdef", min_size=40, max_size=40).map("0x".__add__)

# what is found by its form alone, by type
SURE: dict[str, st.SearchStrategy[str]] = {
    "CREDIT_CARD": CARDS,
    "IBAN": IBANS,
    "EMAIL": EMAILS,
    "US_SSN": SSNS,
    "IP_ADDRESS": IPS,
    "BR_CPF": CPFS,
    "TR_TCKN": TCKNS,
    "NO_FODSELSNUMMER": FODSELSNUMMER,
    "UUID": UUIDS,
    "MAC_ADDRESS": MACS,
    "PHONE": PHONES,
    "SECRET": KEYS,
    "CRYPTO": ETHER,
}
SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "０１２３４５６７８９")  # noqa: RUF001 - digits of other scripts


def in_script(text: str, script: str) -> str:
    return text.translate(dict(zip(map(ord, DIGITS), script, strict=True)))
