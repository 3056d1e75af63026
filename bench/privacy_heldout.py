"""Held-out sentences, forms and addresses of the privacy benchmark.

Written after pattern pack 2 was frozen (its digest stands in tests/unit/privacy/pack_v2.json), and not used to tune it.
A first file of this kind judged pack 1: of about 31 each it missed 10 Chinese, 9 French, 9 Norwegian and 7 South African numbers, all
in groups those rows did not expect, and 1 card. Pack 2 mended that, so the first file is spent and this one is new. Whoever changes
a pattern because of a miss here must do the same. The author of the patterns wrote it, which is a bias that no rule removes.
"""

import random
from collections.abc import Callable

Rng = random.Random

# {v}: the value, {l}: how its number is called
SENTENCES = (
    "Following our chat, I attach the form with {l} {v} on page two.",
    "{l} no. {v}",
    "Sorry for the late reply!! the {l} you asked about: {v}. Cheers",
    "| {l} | {v} | open |",
    "Before: unknown. After: {l} {v}.",
    "[12:04] agent: can you read me the {l}?\n[12:05] visitor: sure, {v}",
    '{{"{l}": ["{v}"]}}',
    "row 7,{l},{v},yes",
    "FW: FW: wrong {l}? ({v})",
    "It was {v} that I entered as the {l}, not the other one.",
    "note to self - {l}->{v}",
    "{l}\n{v}\n\nKind regards",
    "<b>{l}:</b> {v}<br/>",
    "“{l} {v}”, she repeated slowly.",
    "both {l}s are the same: {v} / {v}",
    "the scanner printed {v} next to {l} and stopped",
)
# how the digits of a long number stand: each takes the number and the generator
FORMS: tuple[Callable[[str, Rng], str], ...] = (
    lambda v, _: v,
    lambda v, _: _cut(v, " ", 4),
    lambda v, _: _cut(v, "-", 4),
    lambda v, _: _cut(v, "\u00a0", 3),
    lambda v, _: _cut(v, "\u2011", 4),
    lambda v, _: _cut(v, "\u2012", 3),
    lambda v, _: _cut(v, "\u2002", 4),
    lambda v, _: _cut(v, "\t", 4),
    lambda v, _: _cut(v, " ", 5),
    lambda v, _: _cut(v, "-", 2),
    lambda v, _: _cut(v, " \u2013 ", 4),
    lambda v, r: f"{v[: (c := r.randint(3, len(v) - 3))]}\n{v[c:]}",
    lambda v, r: f"{v[: (c := r.randint(3, len(v) - 3))]}-\n{v[c:]}",
    lambda v, r: f"{v[: (c := r.randint(3, len(v) - 3))]}\n    {v[c:]}",
    lambda v, r: f"{v[: (c := r.randint(3, len(v) - 3))]}\u00a0{v[c:]}",
    lambda v, _: f"{v[:3]} {v[3:5]} {v[5:]}",
    lambda v, _: f"{v[:5]}-{v[5:]}",
    lambda v, _: v.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")),
    lambda v, _: _cut(v, " ", 4).translate(str.maketrans("0123456789", "০১২৩৪৫৬৭৮৯")),
    lambda v, _: _cut(v, "-", 3).translate(str.maketrans("0123456789", "๐๑๒๓๔๕๖๗๘๙")),
)


def _cut(value: str, sign: str, size: int) -> str:
    return sign.join(value[i : i + size] for i in range(0, len(value), size))


# forms in which a type is written by convention, tried as often as the ones above
OWN: dict[str, tuple[Callable[[str], str], ...]] = {
    "US_SSN": (
        lambda v: f"{v[:3]}-{v[3:5]}-{v[5:]}",
        lambda v: f"{v[:3]} {v[3:5]} {v[5:]}",
        lambda v: f"{v[:3]}.{v[3:5]}.{v[5:]}",
    ),
    "UK_NHS": (lambda v: f"{v[:3]} {v[3:6]} {v[6:]}", lambda v: f"{v[:3]}-{v[3:6]}-{v[6:]}"),
    "BR_CPF": (lambda v: f"{v[:3]}.{v[3:6]}.{v[6:9]}-{v[9:]}", lambda v: f"{v[:9]}-{v[9:]}"),
    "NL_BSN": (lambda v: f"{v[:4]}.{v[4:6]}.{v[6:]}",),
    "FR_NIR": (lambda v: f"{v[0]} {v[1:3]} {v[3:5]} {v[5:7]} {v[7:10]} {v[10:13]} {v[13:]}",),
    "DE_TAX_ID": (lambda v: f"{v[:2]} {v[2:5]} {v[5:8]} {v[8:]}",),
    "ES_DNI": (lambda v: f"{v[:8]}-{v[8:]}", lambda v: f"{v[:2]}.{v[2:5]}.{v[5:8]}-{v[8:]}", lambda v: v.lower()),
    "ES_NIE": (lambda v: f"{v[0]}-{v[1:8]}-{v[8]}", lambda v: f"{v[0]} {v[1:8]} {v[8]}"),
    "NO_FODSELSNUMMER": (lambda v: f"{v[:6]} {v[6:]}",),
    "ZA_ID": (lambda v: f"{v[:6]} {v[6:10]} {v[10:]}",),
    "CN_ID": (lambda v: f"{v[:6]} {v[6:14]} {v[14:]}",),
    "IN_AADHAAR": (lambda v: f"{v[:4]} {v[4:8]} {v[8:]}", lambda v: f"{v[:4]}-{v[4:8]}-{v[8:]}"),
    "IBAN": (lambda v: v.lower(), lambda v: f"{v[:4]} {v[4:8]} {v[8:]}"),
    "CREDIT_CARD": (
        lambda v: f"{v[:4]} {v[4:10]} {v[10:]}",
        lambda v: f"{v} 09/28 123",
        lambda v: f"{v[:4]}.{v[4:8]}.{v[8:12]}.{v[12:]}",
    ),
}
ONLY_OWN = frozenset({"EMAIL", "IP_ADDRESS", "SE_PERSONNUMMER", "FI_HETU", "ES_DNI", "ES_NIE"})  # nobody groups these by fours

PHONE_SENTENCES = (
    "You can ring {v} until noon.",
    "Mobile: {v}",
    "we tried {v} three times, the phone was off",
    "Text me on {v} when the parcel is there",
    "Emergency contact - {v} (her sister)",
    "tel={v};",
    "Hotline {v}, free of charge",
    "or call {v}?",
)
PHONE_FORMS: tuple[Callable[[str, str], str], ...] = (  # country code and national number
    lambda c, n: f"{c} {n}",
    lambda c, n: f"{c}{n}",
    lambda c, n: f"{c} {n[:2]} {n[2:6]} {n[6:]}",
    lambda c, n: f"{c}-{n}",
    lambda c, n: f"({c}) {n}",
    lambda c, n: f"{c} ({n[:3]}) {n[3:]}",
    lambda c, n: f"00 {c[1:]} {n[:3]} {n[3:]}",
    lambda c, n: f"{c}/{n[:3]}/{n[3:]}",
    lambda _, n: f"0{n}",
    lambda _, n: f"(0{n[:3]}) {n[3:]}",
    lambda _, n: f"{n[:3]}.{n[3:6]}.{n[6:]}",
    lambda _, n: f"0{n[:2]}-{n[2:6]}-{n[6:]}",
    lambda c, n: f"{c} {n} x4",
    lambda c, n: f"{c}\u00a0{n[:3]}\u00a0{n[3:]}",
)
# about people: {name} {city} {company} {street}
PEOPLE = (
    "{name} has lived in {city} for nine years and works for {company}.",
    "Hello {name}, your order from {city} is on its way.",
    "Send the keys to {name}, {street}, {city}.",
    "{name} told the court that {company} had kept the deposit.",
    "Last week {name} rode a bicycle from {city} to the sea.",
    "Seat 14 belongs to {name}, who boards in {city}.",
    "After the merger {name} left {company} and opened a bakery.",
    "The flat at {street} was let to {name} and {name}.",
    "From: {name}\nTo: the landlord\nSubject: heating at {street}",
    "Our neighbour {name} says hello.",
    "Could {name} come to the clinic in {city} tomorrow?",
    "Thanks to {name}, the choir of {city} sang until midnight.",
)
STREETS = (
    "41 Willow Crescent", "Lindenallee 7", "22 avenue Victor Hugo", "Paseo de la Castellana 90", "ul. Marszałkowska 12", "Via Dante 31",
    "905 W Maple Ave", "Prinsengracht 88", "Sveavägen 44", "Avenida Paulista 1500", "6 Church Lane, Apt 3", "Schillerstraße 19",
    "Hämeenkatu 11", "Bağdat Caddesi 210", "P.O. Box 8080",
)  # fmt: skip
HARMLESS = (
    "The committee will look at the plan again in autumn and decide what to keep.",
    "A short walk along the river is said to help more than coffee.",
    "Chapter 4 explains why 12 of the 30 tests failed in version 2.8.1.",
    "Prices rose by 3.5 percent, from 1,204.50 to 1,246.66 dollars, over two years.",
    "Add 200 g of flour, 3 eggs and 150 ml of milk; bake for 40 minutes at 180 degrees.",
    "Invoice totals are rounded; see table 7, rows 10 to 25, and figure 3.",
)
