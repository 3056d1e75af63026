"""Made-up personal data for the privacy benchmark: valid numbers by type, names by where they come from, places."""

import random
import string
from collections.abc import Callable

from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.za import idnr as zaid

from custody.privacy.patterns.checks import IBAN_LENGTHS, luhn

Rng = random.Random
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "English": (
        ("Oliver", "Amelia", "Harry", "Grace", "Edward", "Heather"),
        ("Whitfield", "Ashworth", "Barker", "Thornton", "Hughes"),
    ),
    "Spanish": (
        ("Alejandro", "Lucía", "Joaquín", "Marisol", "Ignacio"),
        ("Fernández Ruiz", "Castaño", "Villanueva", "Ibarra", "Quintero"),
    ),
    "German": (("Jürgen", "Annelise", "Matthias", "Heike", "Torsten"), ("Schönfeld", "Krause", "Lindemann", "Vogt", "Reinhardt")),
    "French": (("Thibault", "Élodie", "Gaspard", "Solène", "Bastien"), ("Lefèvre", "Marchand", "Dubois", "Roussel", "Girard")),
    "Slavic": (
        ("Zbigniew", "Katarzyna", "Dmitri", "Svetlana", "Milica"),
        ("Wojciechowski", "Petrenko", "Novák", "Jovanović", "Sokolova"),
    ),
    "Arabic": (("Khalid", "Fatima", "Yousef", "Layla", "Mustafa"), ("Al-Hashimi", "Haddad", "Benali", "Mansour", "El-Sayed")),
    "Chinese": (("Xiuying", "Haoran", "Meiling", "Zhiwei", "Jianhong"), ("Zhao", "Ouyang", "Huang", "Liang", "Deng")),
    "Indian": (
        ("Aarav", "Priyanka", "Venkatesh", "Lakshmi", "Harpreet"),
        ("Subramanian", "Banerjee", "Chaudhary", "Patil", "Gill"),
    ),
    "Yoruba and Igbo": (
        ("Oluwaseun", "Chidinma", "Babatunde", "Ngozi", "Emeka"),
        ("Adeyemi", "Okonkwo", "Balogun", "Nwosu", "Eze"),
    ),
    "Japanese": (
        ("Haruto", "Sakura", "Kenji", "Yumiko", "Takeshi"),
        ("Yamamoto", "Kobayashi", "Fujiwara", "Ishikawa", "Nakamura"),
    ),
    "Turkish": (("Emre", "Zeynep", "Mehmet", "Elif", "Serkan"), ("Y\u0131lmaz", "Öztürk", "Demirci", "Kaya", "Şahin")),
    "Vietnamese": (("Minh", "Thu Hà", "Quang", "Lan Anh", "Đức"), ("Nguyễn", "Trần", "Phạm", "Đặng", "Võ")),
}
CITIES = (
    "Leeds",
    "Valencia",
    "Leipzig",
    "Lyon",
    "Gdańsk",
    "Amman",
    "Chengdu",
    "Pune",
    "Ibadan",
    "Osaka",
    "Bursa",
    "Da Nang",
    "Omaha",
    "Perth",
)
COMPANIES = ("Northgate Logistics", "Brightwell Foods", "Halden Energy", "Kestrel Insurance", "Orion Textiles", "Pacific Rail")


def digits(rng: Rng, count: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(count))


def until(rng: Rng, draw: Callable[[Rng], str], good: Callable[[str], bool]) -> str:
    while not good(made := draw(rng)):
        pass
    return made


def birthday(rng: Rng) -> tuple[str, str, str]:
    return f"{rng.randint(1, 28):02}", f"{rng.randint(1, 12):02}", str(rng.randint(1940, 2005))


def luhn_of(body: str) -> str:
    return next(body + digit for digit in string.digits if luhn(body + digit))


def card(rng: Rng) -> str:
    first, size = rng.choice(
        (("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3528", 16), ("36", 14), ("6304", 16), ("5018", 16))
    )
    return luhn_of(first + digits(rng, size - len(first) - 1))


def iban(rng: Rng) -> str:
    country = rng.choice(sorted(IBAN_LENGTHS))
    body = digits(rng, IBAN_LENGTHS[country] - 4)
    if rng.random() < 0.5:
        body = "".join(rng.choice(string.ascii_uppercase) for _ in range(4)) + body[4:]
    figures = "".join(str(int(char, 36)) for char in body + country + "00")
    return f"{country}{98 - int(figures) % 97:02}{body}"


def ssn(rng: Rng) -> str:
    area = until(rng, lambda r: f"{r.randint(1, 899):03}", lambda a: a != "666")
    return f"{area}{rng.randint(1, 99):02}{rng.randint(1, 9999):04}"


def ip(rng: Rng) -> str:
    if rng.random() < 0.5:
        return ".".join(str(rng.randint(1, 254)) for _ in range(4))
    groups = [f"{rng.randint(1, 65535):x}" for _ in range(8)]
    return rng.choice((":".join(groups), f"2001:db8::{groups[0]}:{groups[1]}", f"fe80::{groups[2]}:{groups[3]}:{groups[4]}"))


def email(rng: Rng) -> str:
    origin = rng.choice(sorted(NAMES))
    first, last = (rng.choice(part).lower().replace(" ", "").replace("'", "") for part in NAMES[origin])
    local = rng.choice(
        (
            f"{first}.{last}",
            f"{first}_{last}{digits(rng, 2)}",
            f"{first[0]}{last}",
            f"{last}+news",
            f"{first}%{last}",
            f"o'{last}",
        )
    )
    return f"{local}@{rng.choice(('mail', 'web', 'kontor', 'müller', 'a-b'))}{rng.choice(('', '.co', '.corp'))}.{rng.choice(('com', 'org', 'uk', 'de', 'travel', 'io'))}"


def dated(rng: Rng, shape: Callable[[Rng, str, str, str], str], good: Callable[[str], bool]) -> str:
    return until(rng, lambda r: shape(r, *birthday(r)), good)


# what each type's number is, without any form
NUMBERS: dict[str, Callable[[Rng], str]] = {
    "EMAIL": email,
    "CREDIT_CARD": card,
    "IBAN": iban,
    "US_SSN": ssn,
    "IP_ADDRESS": ip,
    "UK_NHS": lambda rng: until(rng, lambda r: digits(r, 10), nhs.is_valid),
    "ES_DNI": lambda rng: until(rng, lambda r: digits(r, 8) + r.choice("TRWAGMYFPDXBNJZSQVHLCKE"), dni.is_valid),
    "ES_NIE": lambda rng: until(rng, lambda r: r.choice("XYZ") + digits(r, 7) + r.choice("TRWAGMYFPDXBNJZSQVHLCKE"), nie.is_valid),
    "NL_BSN": lambda rng: until(rng, lambda r: digits(r, 9), bsn.is_valid),
    "BR_CPF": lambda rng: until(rng, lambda r: digits(r, 11), cpf.is_valid),
    "IN_AADHAAR": lambda rng: until(rng, lambda r: r.choice("23456789") + digits(r, 11), aadhaar.is_valid),
    "FR_NIR": lambda rng: dated(rng, lambda r, _, m, y: (b := f"{r.choice('12')}{y[2:]}{m}{r.randint(1, 95):02}{digits(r, 6)}") + f"{97 - int(b) % 97:02}", nir.is_valid),
    "DE_TAX_ID": lambda rng: until(rng, _tax, idnr.is_valid),
    "PL_PESEL": lambda rng: dated(rng, lambda r, d, m, y: f"{y[2:]}{int(m) + (20 if y >= '2000' else 0):02}{d}{digits(r, 5)}", pesel.is_valid),
    "SE_PERSONNUMMER": lambda rng: dated(rng, lambda r, d, m, y: f"{y[2:]}{m}{d}-{digits(r, 4)}", personnummer.is_valid),
    "NO_FODSELSNUMMER": lambda rng: dated(rng, lambda r, d, m, y: f"{d}{m}{y[2:]}{digits(r, 5)}", fodselsnummer.is_valid),
    "FI_HETU": lambda rng: dated(rng, lambda r, d, m, y: f"{d}{m}{y[2:]}{'A' if y >= '2000' else '-'}{digits(r, 3)}{r.choice('0123456789ABCDEFHJKLMNPRSTUVWXY')}", hetu.is_valid),
    "TR_TCKN": lambda rng: (b := rng.choice("123456789") + digits(rng, 8)) + tckimlik.calc_check_digits(b),
    "CN_ID": lambda rng: dated(rng, lambda r, d, m, y: (b := f"{r.choice(('110101', '310104', '440305', '510107'))}{y}{m}{d}{digits(r, 3)}") + ric.calc_check_digit(b), ric.is_valid),
    "ZA_ID": lambda rng: dated(rng, lambda r, d, m, y: luhn_of(f"{y[2:]}{m}{d}{digits(r, 4)}08"), zaid.is_valid),
}  # fmt: skip
LABELS = {
    "UK_NHS": "NHS number", "NL_BSN": "BSN", "DE_TAX_ID": "Steuer-ID", "PL_PESEL": "PESEL", "BR_CPF": "CPF", "IN_AADHAAR": "Aadhaar",
    "US_SSN": "SSN", "ES_DNI": "DNI", "ES_NIE": "NIE", "FR_NIR": "NIR", "SE_PERSONNUMMER": "personnummer", "NO_FODSELSNUMMER": "fødselsnummer",
    "FI_HETU": "hetu", "TR_TCKN": "TC kimlik", "CN_ID": "ID", "ZA_ID": "ID number", "CREDIT_CARD": "card", "IBAN": "IBAN",
    "EMAIL": "e-mail", "IP_ADDRESS": "IP",
}  # fmt: skip


def _tax(rng: Rng) -> str:
    chosen = rng.sample(string.digits, 9)
    body = [*chosen, rng.choice(chosen)]
    rng.shuffle(body)
    return "".join(body) + rng.choice(string.digits)


def person(rng: Rng, origin: str) -> str:
    first, last = (rng.choice(part) for part in NAMES[origin])
    return f"{last} {first}" if origin in {"Chinese", "Vietnamese"} and rng.random() < 0.5 else f"{first} {last}"
