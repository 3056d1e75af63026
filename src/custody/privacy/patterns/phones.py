"""Telephone numbers: told from dates, decimals, versions and rows of figures before they are believed."""

import re
from functools import partial

from custody.privacy.patterns.checks import windows
from custody.privacy.patterns.pattern import Check, Cut, Pattern, Tier, whole
from custody.privacy.patterns.shapes import BLANKS, DASHES, ascii_digits, digits_of

WORDS = (
    "phone", "phones", "telephone", "tel", "fax", "mobile", "cell", "cellphone", "call", "calling", "called", "dial", "ring", "sms",
    "text", "texted", "whatsapp", "signal", "contact", "reach", "hotline", "landline", "pager", "voicemail", "number is",
    "telefon", "telefonnummer", "handy", "mobil", "rufnummer", "anruf", "rufen", "kontakt", "contacto", "contatto", "contato",
    "téléphone", "portable", "appelez", "appeler", "joindre",
    "teléfono", "telefono", "móvil", "celular", "llamar", "llame", "llámame",
    "telefone", "telemóvel", "ligar", "cellulare", "chiamare", "chiama",
    "telefoon", "mobiel", "bellen", "telefonnumer", "komórka", "zadzwoń", "puhelin", "matkapuhelin", "telefonszám",
    "телефон", "тел", "звоните", "τηλέφωνο", "電話", "电话", "手机", "携帯", "전화", "هاتف", "फोन", "טלפון",
)  # fmt: skip
# what stands right before a number; then five digits are enough, as small countries have them
_RIGHT_BEFORE = (
    "tel|telephone|phone|fax|mobile|cell|cellphone|hotline|landline|sms|whatsapp|dial|telefon|telefonnummer|handy|rufnummer|téléphone|"
    "teléfono|telefono|telefone|móvil|celular|cellulare|telefoon|puhelin|телефон|тел|τηλέφωνο|電話|电话|手机|전화|هاتف|फोन|טלפון"
)
_GAP = rf"(?:[-./()\[\]{DASHES}{BLANKS}]|\r?\n)"
_EXTENSION = rf"(?:(?:ext|extension|x|#)[.:]?+{_GAP}?+)"
_RUN = rf"\d++(?:{_GAP}{{1,4}}+{_EXTENSION}?+\d++|,?+{_GAP}{{0,2}}+{_EXTENSION}\d++){{0,12}}+"
_DATE = re.compile(
    r"(?<!\d)(?:(?:1[89]|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./](?:1[89]|20)?\d\d)(?!\d)"
)
_YEARS = re.compile(r"(?:1[89]|20)\d\d(?:\D{1,3}(?:1[89]|20)\d\d)+")
_DECIMAL = re.compile(r"\d+\.\d+|\d{1,3}(?:\.\d{3})+")
_DOTTED = re.compile(r"[17]\.\d{10}|[2-689]\d{1,2}\.\d{7,12}")  # countries have one digit only in 1 and 7
_FRACTION = re.compile(r"\d[.,]$")
_LEAD = re.compile(r"(?i)(?:[a-z]{2,6}:(?://)?)?[+( 0\uff0b]{0,3}")
_VERSION = re.compile(r"\d{1,3}(?:\.\d{1,3}){2,}")


def _written_like_one(text: str, *, abroad: bool = False) -> bool:
    """Tell whether digits are grouped as telephone numbers are, and not as dates, amounts or rows of figures.

    abroad: a + stands before; then a dot may part the country from seven digits or more, which no amount has.
    """
    plain, digits = ascii_digits(text), digits_of(text)
    groups = re.findall(r"\d+", plain)
    if not 7 <= len(digits) <= 15 or len(set(digits)) == 1:
        return False
    amount = _DECIMAL.fullmatch(plain) and not (abroad and _DOTTED.fullmatch(plain))
    if _DATE.search(plain) or _YEARS.search(plain) or amount or _VERSION.fullmatch(plain):
        return False
    return len(groups) <= 8 and sum(len(group) == 1 for group in groups) <= 2


def _parts(text: str, *, abroad: bool = False) -> tuple[Cut, ...]:
    """Find the groups that are a telephone number; a sign before the first goes with it, and a scheme."""
    passes = partial(_written_like_one, abroad=abroad)
    found = (cut for cut in windows(text, passes, 15) if not _FRACTION.search(text[: cut[0]]))
    return tuple((0 if _LEAD.fullmatch(text[:start]) else start, end) for start, end in found)


def _sized(text: str) -> tuple[Cut, ...]:
    return ((0, len(text)),) if len(digits_of(text)) >= 7 else ()


BALANCED, SIZED = Check("phone", _parts), Check("phone_size", _sized)
SHORT = whole("phone_short", lambda text: 5 <= len(digits_of(text)) <= 6)
ABROAD = Check("phone_abroad", partial(_parts, abroad=True))
_SIGN = rf"[-./{DASHES}{BLANKS}]"
_SIX = rf"\d{{2,6}}+(?:{_SIGN}\d{{2,4}}+){{0,2}}"
_BEFORE, _AFTER = r"(?<![\w.+/-])", r"(?!\w|[-/.]\d)"

PHONES: tuple[Pattern, ...] = (
    Pattern(
        "PHONE",
        "phone.international",
        rf"(?i)(?<![\w+])(?:(?:tel|callto|sms|fax|sip):(?://)?)?[+\uff0b] ?\(?{_RUN}",
        ABROAD,
    ),
    Pattern(
        "PHONE",
        "phone.exit",
        rf"{_BEFORE}00[ -]?[1-9]\d{{0,2}}{_SIGN}\(?\d{{1,8}}\)?(?:{_SIGN}\d{{2,8}}){{0,4}}{_AFTER}",
        BALANCED,
    ),
    Pattern(
        "PHONE",
        "phone.american",
        rf"(?i){_BEFORE}(?:1{_GAP})?(?:\([2-9]\d\d\){_GAP}?|[2-9]\d\d{_GAP})[2-9]\d\d{_GAP}\d{{4}}(?:{_GAP}{{0,2}}+{_EXTENSION}\d{{1,6}})?{_AFTER}",
        BALANCED,
    ),
    Pattern("PHONE", "phone.trunk", rf"{_BEFORE}\(?0[1-9]\d{{0,4}}\)?(?:[ /-]{{1,3}}\d{{2,8}}){{1,4}}{_AFTER}", BALANCED),
    Pattern("PHONE", "phone.bare", rf"{_BEFORE}0[1-9]\d{{8,10}}{_AFTER}", BALANCED),
    Pattern("PHONE", "phone.said", rf"(?i)(?<![\w.])\(?{_RUN}", BALANCED, context=WORDS, digits=7),
    Pattern(
        "PHONE",
        "phone.short",
        rf"(?i)(?<![^\W\d_])(?:{_RIGHT_BEFORE})(?:[ -]?(?:no|nr|num|number|numéro|número))?[ .:=\"'>]{{1,4}}(?P<v>{_SIX}){_AFTER}",
        SHORT,
    ),
    Pattern(
        "PHONE",
        "phone.short_said",
        rf"(?<![\w.,$€£#\-/]){_SIX}(?![\w%\-/]|[.,:]\d)",
        SHORT,
        Tier.STRICT,
        WORDS,
        asks=True,
    ),
    Pattern("PHONE", "phone.any", rf"(?i)(?<!\d)[+(]{{0,2}}{_RUN}", SIZED, Tier.STRICT, digits=7),
)
