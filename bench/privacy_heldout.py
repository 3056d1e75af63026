"""Held-out sentences, forms and addresses of the privacy benchmark.

Written after pattern pack 1 was frozen (its digest stands in tests/unit/privacy/pack_v1.json), and never used to tune it.
Whoever changes a pattern because of a miss here must write a new file like this one, or the recall it gives is optimistic.
"""

import random
from collections.abc import Callable

Rng = random.Random

# {v}: the value, {l}: how its number is called
SENTENCES = (
    "As agreed on the phone this morning, the {l} to use is {v}.",
    "{l}: {v}",
    "Could you double-check my {l}? I think it is {v}, thanks",
    "* {l} = {v}\n* remarks: none",
    "Hi team, customer supplied {l} ({v}) with the complaint.",
    "She wrote '{v}' under {l} and signed the sheet.",
    '{{"field": "{l}", "value": "{v}"}}',
    "{l};{v};confirmed",
    "Re: ticket 8841 / {l} {v} / please close",
    "The caller gave {v} as {l}.",
    "update set {l} -> {v} where row is the third",
    "Your {l}\n\t{v}\nwas changed yesterday evening.",
    "<td>{l}</td><td>{v}</td>",
    "«{v}» ({l})",
    "no idea why but {l} {v}, {v} again and again",
)
# how the digits of a long number stand: each takes the number and the generator
FORMS: tuple[Callable[[str, Rng], str], ...] = (
    lambda v, _: v,
    lambda v, _: " ".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, _: "-".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, _: "\u00a0".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, _: "\u202f".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, _: "  ".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, _: "\u2013".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, _: " - ".join(v[i : i + 4] for i in range(0, len(v), 4)),
    lambda v, r: (c := r.randint(4, len(v) - 4)) and f"{v[:c]}\n{v[c:]}",
    lambda v, r: (c := r.randint(4, len(v) - 4)) and f"{v[:c]} {v[c:]}",
    lambda v, r: (c := r.randint(4, len(v) - 4)) and f"{v[:c]}\r\n{v[c:]}",
    lambda v, _: " ".join(v[i : i + 3] for i in range(0, len(v), 3)),
    lambda v, _: " ".join(v[i : i + 2] for i in range(0, len(v), 2)),
    lambda v, _: "-".join(v[i : i + 3] for i in range(0, len(v), 3)),
    lambda v, _: f"{v[:6]} {v[6:]}",
    lambda v, _: f"{v[: len(v) // 2]}-{v[len(v) // 2 :]}",
    lambda v, _: v.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
    lambda v, _: v.translate(str.maketrans("0123456789", "０１２３４５６７８９")),  # noqa: RUF001 - full-width digits are the point
    lambda v, _: v.translate(str.maketrans("0123456789", "०१२३४५६७८९")),
    lambda v, _: "\u2009".join(v[i : i + 5] for i in range(0, len(v), 5)),
)
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
    "Please call {v} after six.",
    "Reach the workshop at {v}, ask for Sam.",
    "Tel. {v}",
    "my number is {v} if anything goes wrong",
    "Fax {v} / office hours 9-17",
    "phone={v}&lang=en",
    "She texted from {v} twice.",
    "Contact: {v} (mornings only)",
)
PHONE_FORMS: tuple[Callable[[str, str], str], ...] = (  # country code and national number
    lambda c, n: f"{c} {n}",
    lambda c, n: f"{c}{n}",
    lambda c, n: f"{c} {n[:3]} {n[3:]}",
    lambda c, n: f"{c}-{n[:2]}-{n[2:5]}-{n[5:]}",
    lambda c, n: f"({c}) {n[:3]} {n[3:6]} {n[6:]}",
    lambda c, n: f"{c} (0) {n[:3]} {n[3:]}",
    lambda c, n: f"00{c[1:]} {n[:4]} {n[4:]}",
    lambda c, n: f"{c}.{n[:3]}.{n[3:6]}.{n[6:]}",
    lambda _, n: f"0{n[:3]} {n[3:6]} {n[6:]}",
    lambda _, n: f"{n[:3]} {n[3:6]} {n[6:]}",
    lambda _, n: f"{n[:3]}-{n[3:6]}-{n[6:]}",
    lambda c, n: f"{c} {n} ext. 31",
    lambda _, n: f"{n}",
    lambda c, n: f"{c} {' '.join(n[i : i + 2] for i in range(0, len(n), 2))}",
)
# about people: {name} {city} {company} {street}
PEOPLE = (
    "{name} moved to {city} last spring and joined {company}.",
    "Dear {name}, thank you for visiting our store in {city}.",
    "The delivery for {name} goes to {street}, {city}.",
    "According to {name}, the contract with {company} was never signed.",
    "I met {name} at the station; we talked about the weather in {city} for an hour.",
    "Passenger {name} asked for a seat by the window.",
    "{company} has named {name} as head of its office in {city}.",
    "Both {name} and {name} live at {street}.",
    "Signed: {name}\nPlace: {city}",
    "My colleague {name} said that {company} will pay the rent for {street}.",
    "Is {name} still waiting? The nurse from {city} can see them now.",
    "We thank {name} for the long letter about trains, gardens and old clocks.",
)
STREETS = (
    "88 Juniper Lane", "Rosenweg 14", "3 rue des Lilas", "Calle de Alcalá 112", "ul. Piotrkowska 41", "Via Garibaldi 9", "1204 N Cedar St",
    "Keizersgracht 230", "Drottninggatan 5", "Rua Augusta 77", "17 Station Road, Flat 2", "Bahnhofstraße 3b", "Mannerheimintie 20",
    "Atatürk Caddesi 15", "PO Box 771",
)  # fmt: skip
HARMLESS = (
    "The committee will look at the plan again in autumn and decide what to keep.",
    "A short walk along the river is said to help more than coffee.",
    "Chapter 4 explains why 12 of the 30 tests failed in version 2.8.1.",
    "Prices rose by 3.5 percent, from 1,204.50 to 1,246.66 dollars, over two years.",
    "Add 200 g of flour, 3 eggs and 150 ml of milk; bake for 40 minutes at 180 degrees.",
    "Invoice totals are rounded; see table 7, rows 10 to 25, and figure 3.",
)
