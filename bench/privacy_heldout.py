"""Held-out sentences, forms and addresses of the privacy benchmark, the fourth of their kind.

The forms were written after pattern pack 3 was frozen. The sentences were written before pack 6, which lets a word count at a greater
distance after a number: the third sentences had shown that "... is what the portal shows for ..." was too far. Pack 5 changed telephone
rows only, after two sets of their forms had been seen; they are measured on the third set, which was written before its rows.
The first file judged pack 1: of about 31 each it missed 10 Chinese, 9 French, 9 Norwegian and 7 South African numbers in groups
that those rows did not expect. The second judged pack 2, about 60 each: PESEL .86, TCKN .89, NIR .89, BSN .92, by three causes (a wrapped
line that is indented, a label in the plural, a first digit of another script). Each was mended, so each file is spent and was
written anew. Whoever changes a pattern because of a miss here must do the same. The author of the patterns wrote all of them, which
is a bias that no rule removes.
"""

import random
from collections.abc import Callable

Rng = random.Random

# {v}: the value, {l}: how its number is called
SENTENCES = (
    "I need to change the {l} on file; it should read {v}.",
    "{v}\n(this is my {l}, please delete it after use)",
    "Could you check why {v} is not accepted as a valid {l}?",
    "<td>{l}</td><td>{v}</td>",
    "{l}={v}; expires=never",
    "Two people cannot have the same {l}, yet {v} is in your system twice.",
    "{l}   : {v}",
    "- {v} [{l}]",
    "My husband's {l} ends in 7 but you printed {v}.",
    "As requested: {l} - {v}.",
    "{v} was typed where the {l} belongs",
    '{{"kind": "{l}", "number": "{v}"}}',
    "What the clerk wrote down ({v}) is not my {l}.",
    "the scan shows {l}: {v} and a signature",
)
# how the digits of a long number stand: each takes the number and the generator
FORMS: tuple[Callable[[str, Rng], str], ...] = (
    lambda v, _: v,
    lambda v, _: _cut(v, " ", 4),
    lambda v, _: _cut(v, " ", 3),
    lambda v, _: _cut(v, " ", 6),
    lambda v, _: _cut(v, "-", 5),
    lambda v, _: _cut(v, "-", 6),
    lambda v, _: _cut(v, "\u2010", 4),
    lambda v, _: _cut(v, "\u2014", 5),
    lambda v, _: _cut(v, "\u00ad", 4),
    lambda v, _: _cut(v, "\u3000", 4),
    lambda v, _: _cut(v, "\u2003", 3),
    lambda v, _: _cut(v, "- ", 4),
    lambda v, _: _cut(v, " -", 3),
    lambda v, r: f"{v[: (c := r.randint(2, len(v) - 2))]} \n{v[c:]}",
    lambda v, r: f"{v[: (c := r.randint(2, len(v) - 2))]}\r\n\t{v[c:]}",
    lambda v, r: f"{v[: (c := r.randint(2, len(v) - 2))]} {v[c:]}",
    lambda v, _: f"{v[:2]} {v[2:6]} {v[6:]}",
    lambda v, _: v.translate(str.maketrans("0123456789", "௦௧௨௩௪௫௬௭௮௯")),
    lambda v, _: _cut(v, "-", 4).translate(str.maketrans("0123456789", "០១២៣៤៥៦៧៨៩")),
    lambda v, _: _cut(v, " ", 5).translate(str.maketrans("0123456789", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗")),  # noqa: RUF001 - digits of mathematics
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
    "Best reached by mobile, {v}, at any hour.",
    "T {v} | F none",
    "somebody with the number {v} phoned again",
    "WhatsApp me: {v}",
    "Night porter: phone {v}.",
    "contact_phone,{v},primary",
    "Is {v} still your landline?",
    "dial {v} and wait",
)
PHONE_FORMS: tuple[Callable[[str, str], str], ...] = (  # country code and national number
    lambda c, n: f"{c}{n}",
    lambda c, n: f"{c} {n[:1]} {n[1:5]} {n[5:]}",
    lambda c, n: f"{c}-{n[:3]}-{n[3:]}",
    lambda c, n: f"{c} / {n[:3]} / {n[3:]}",
    lambda c, n: f"+ {c[1:]} {n}",
    lambda c, n: f"{c}.{n}",
    lambda c, n: f"00{c[1:]}{n}",
    lambda c, n: f"[{c}] {n[:4]} {n[4:]}",
    lambda _, n: f"0{n[:4]}-{n[4:]}",
    lambda _, n: f"0{n[:2]} / {n[2:]}",
    lambda _, n: f"{n[:4]} {n[4:]}",
    lambda _, n: f"{n[:3]}{n[3:]}",
    lambda c, n: f"{c} {n}, extension 208",
    lambda c, n: f"{c}\u2011{n[:3]}\u2011{n[3:]}",
)
# Written before the telephone rows of pack 4 and not looked at since; the forms above were seen while those rows were written.
PHONE_SENTENCES_2 = (
    "For deliveries, text {v}.",
    "Kontakt: {v} (werktags)",
    "Her work line is {v}, but try mail first.",
    "tel={v};lang=en",
    "Fax {v}",
    "{v} - ask for the duty nurse",
    "You can ring us ({v}) until six.",
    "Numéro de portable : {v}",
    "Between trains, only {v} works",
    "| mobile | {v} |",
)
PHONE_FORMS_2: tuple[Callable[[str, str], str], ...] = (
    lambda c, n: f"{c} {n}",
    lambda c, n: f"{c}({n[:2]}){n[2:]}",
    lambda c, n: f"({c}) {n}",
    lambda c, n: f"{c} " + " ".join(n[i : i + 2] for i in range(0, len(n), 2)),
    lambda c, n: f"{c} (0) {n[:3]} {n[3:]}",
    lambda c, n: f"00{c[1:]} {n[:3]} {n[3:]}",
    lambda c, n: f"tel:{c}{n}",
    lambda _, n: f"0{n}",
    lambda _, n: f"0{n[:3]} {n[3:6]} {n[6:]}",
    lambda c, n: f"{c}{n} x12",
    lambda c, n: f"{c} {n[:4]} {n[4:]} (ext. 12)",
    lambda c, n: f"{c}\u2013{n}",
    lambda _, n: f"{n[:5]}/{n[5:]}",
    lambda c, n: f"[{c}]{n}",
    lambda c, n: f"\uff0b{c[1:]} {n}",
    lambda c, n: f"{c} {n[:3]}.{n[3:]}",
)
# Written before the telephone rows of pack 5, after the second set had been looked at. The numbers are the example numbers of all
# regions of the phonenumbers library (privacy_phones.csv), with the groups that each country writes.
PHONE_SENTENCES_3 = (
    "My cell died, use {v} today.",
    "Reception: {v}, open all night",
    "{v} is the only line that answers.",
    '<a href="tel:{v}">write or ring</a>',
    "name=Kim;phone={v};lang=sv",
    "Teléfono {v}, pregunte por recepción.",
    "Rufen Sie {v} an.",
    "call {v}!",
    "The courier left {v} on the card.",
    "No answer under {v} since Monday.",
    '"mobile": "{v}"',
    "Fax: {v} / Mail: none",
    "Kindly SMS {v}, not e-mail.",
    "Ring me back \u2014 {v}",
)
PHONE_FORMS_3: tuple[Callable[[str, str], str], ...] = (  # the number as written abroad, with its +, and at home
    lambda i, _: i,
    lambda _, n: n,
    lambda i, _: i.replace(" ", "").replace("-", ""),
    lambda i, _: i.replace(" ", "-"),
    lambda i, _: i.replace(" ", ".").replace("-", "."),
    lambda i, _: i.replace(" ", "\u00a0"),
    lambda i, _: f"00{i[1:]}",
    lambda i, _: f"({i.split(' ', 1)[0]}) {i.split(' ', 1)[1]}",
    lambda _, n: "".join(filter(str.isdigit, n)),
    lambda _, n: n.replace(" ", ".").replace("-", "."),
    lambda i, _: f"{i} ext. 41",
    lambda i, _: f"{i}x7",
    lambda i, _: i.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")),
    lambda _, n: n.translate(str.maketrans("0123456789", "０１２３４５６７８９")),  # noqa: RUF001 - wide digits
    lambda i, _: "\n".join(i.rsplit(" ", 1)),
    lambda _, n: n.replace(" ", "/", 1),
    lambda i, _: f"{i.split(' ', 1)[0]} (0){i.split(' ', 1)[1]}",
    lambda i, _: i.replace(" ", "\u2013"),
    lambda _, n: _cut("".join(filter(str.isdigit, n)), " ", 2),
)
# about people: {name} {city} {company} {street}
PEOPLE = (
    "{name} opened a repair shop in {city} and sold it to {company}.",
    "Good morning {name}, here are the minutes of the meeting in {city}.",
    "Deliver before noon to {name}, {street}, {city}.",
    "A spokesman of {company} said that {name} had resigned.",
    "My aunt {name} grows tomatoes behind the house.",
    "The train to {city} was late, so {name} missed the ferry.",
    "{company} owes {name} two months of wages.",
    "{name} and {name} share an office at {street}.",
    "Attendees: {name}; minutes: {name}",
    "Doctor {name} will see you on the third floor.",
    "Why did {name} leave {city} so early?",
    "The prize went to {name} for a photograph of {city} in the rain.",
)
STREETS = (
    "19 Larch Avenue", "Gartenstraße 28", "5 boulevard Voltaire", "Calle Serrano 61", "ul. Nowy Świat 3", "Corso Buenos Aires 14",
    "2210 S Elm St", "Herengracht 401", "Hornsgatan 78", "Rua das Flores 230", "77 Harbour Road, Unit 9", "Goethestraße 6a",
    "Aleksanterinkatu 52", "İstiklal Caddesi 140", "PO Box 3301",
)  # fmt: skip
HARMLESS = (
    "The committee will look at the plan again in autumn and decide what to keep.",
    "A short walk along the river is said to help more than coffee.",
    "Chapter 4 explains why 12 of the 30 tests failed in version 2.8.1.",
    "Prices rose by 3.5 percent, from 1,204.50 to 1,246.66 dollars, over two years.",
    "Add 200 g of flour, 3 eggs and 150 ml of milk; bake for 40 minutes at 180 degrees.",
    "Invoice totals are rounded; see table 7, rows 10 to 25, and figure 3.",
)
