"""Cards, bank accounts, days and ages."""

from custody.privacy.patterns.checks import AGE, CALENDAR, CARD, IBAN
from custody.privacy.patterns.pattern import Check, Pattern, Tier, whole
from custody.privacy.patterns.shapes import BREAK, GAP, START, digits_of

BIRTH = (
    "born", "birth", "birthday", "birthdate", "dob", "d.o.b", "date of birth", "geboren", "geburtsdatum", "geburtstag", "geb",
    "né", "née", "naissance", "nacido", "nacida", "nacimiento", "nato", "nata", "nascita", "nascido", "nascida", "nascimento",
    "geboortedatum", "född", "født", "syntynyt", "urodzony", "urodzona", "urodzenia", "narozen", "született", "născut", "doğum",
    "родился", "родилась", "рождения", "生年月日", "出生", "생년월일", "تاريخ الميلاد", "जन्म",
)  # fmt: skip
_ACCOUNT = ("account", "acct", "a/c", "bank", "konto", "kontonummer", "compte", "cuenta", "conto", "conta", "rekening")
_MONTH = (
    r"(?:jan(?:uary|uar|vier|eiro)?|feb(?:ruary|ruar|rero|braio)?|f[ée]vr(?:ier)?|mar(?:ch|s|zo|[çc]o)?|m[äa]rz|apr(?:il|ile)?|avr(?:il)?|"
    r"abr(?:il)?|may|mai|mayo|maggio|maio|jun[ei]?|juin|junio|giugno|junho|jul[yi]?|juil(?:let)?|julio|luglio|julho|aug(?:ust)?|"
    r"ao[uû]t|ago(?:sto)?|sep(?:t(?:ember|embre|iembre)?)?|settembre|setembro|oct(?:ober|obre|ubre)?|okt(?:ober)?|ott(?:obre)?|outubro|"
    r"nov(?:ember|embre|iembre|embro)?|dec(?:ember)?|dez(?:ember|embro)?|d[ée]c(?:embre)?|dic(?:iembre|embre)?|enero)\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th|er|\.|º)?"
_YEAR = r"(?:1[89]|20|21)\d\d"
_TIME = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?"
_NUMERIC = (r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}", r"\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d\d)")
_NAMED = (
    rf"{_DAY}[ \-](?:of |de |of the )?{_MONTH}(?:[ ,.\-]{{1,3}}(?:de |del )?(?:{_YEAR}|'?\d\d))?",
    rf"{_MONTH} {_DAY}(?:,? {{0,2}}{_YEAR})?",
    rf"{_MONTH}[ ,\-]{{1,2}}{_YEAR}",
)
_CJK = r"\d{4} ?[年년] ?\d{1,2} ?[月월] ?\d{1,2} ?[日일]"


def _dates() -> tuple[Pattern, ...]:
    """Return every way to write a day twice: near a word of birth, and anywhere in the strict tier."""
    rows: list[Pattern] = []
    for number, regex in enumerate(_NUMERIC):
        written = rf"(?<![\d.\-/]){regex}(?![\d]|[-/]\d){_TIME}"
        check = Check("calendar_start", _calendar_start)
        rows += (
            Pattern("DATE_OF_BIRTH", f"birth.numeric{number}", written, check, context=BIRTH),
            Pattern("DATE", f"date.numeric{number}", written, check, Tier.STRICT),
        )
    for number, regex in enumerate((*_NAMED, _CJK)):
        written = rf"(?i)(?<![^\W_]){regex}(?![^\W_])"
        rows += (
            Pattern("DATE_OF_BIRTH", f"birth.named{number}", written, context=BIRTH),
            Pattern("DATE", f"date.named{number}", written, tier=Tier.STRICT),
        )
    year = rf"(?<![\w.]){_YEAR}(?![\w]|\.\d)"
    rows.append(
        Pattern(
            "DATE_OF_BIRTH",
            "birth.year",
            year,
            context=("born", "geboren", "né", "née", "nacido", "nacida", "dob", "birth"),
            asks=True,
        )
    )
    rows.append(Pattern("DATE", "date.year", rf"(?<![\w.,/\-]){_YEAR}(?![\w/\-]|[.,]\d)", tier=Tier.STRICT))
    rows.append(
        Pattern(
            "DATE",
            "time",
            r"(?i)(?<![\w:.])(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?: ?[ap]\.?m\.?)?(?![\w:])",
            tier=Tier.STRICT,
        )
    )
    return tuple(rows)


def _calendar_start(text: str) -> tuple[tuple[int, int], ...]:
    """Test the day, whatever time of day follows it."""
    day = text[:10].replace("T", " ").split(" ", 1)[0]
    return ((0, len(text)),) if CALENDAR.cuts(day) else ()


_N = r"\d{1,3}"
NUMBERS: tuple[Pattern, ...] = (
    Pattern("CREDIT_CARD", "card", rf"(?<!\d)(?<!\d[.,])\d++(?:{BREAK}\d++|\.\d{{2,6}}(?!\d)){{0,24}}+", CARD, digits=12),
    Pattern("IBAN", "iban", rf"(?i){START}[A-Z]{{2}}{BREAK}\d{BREAK}\d(?:{BREAK}[A-Z\d]){{11,40}}+", IBAN),
    Pattern(
        "BANK_ACCOUNT",
        "bank.account",
        rf"(?<![\w.])\d(?:{GAP}?\d){{7,16}}(?![\w]|\.\d)",
        whole("several_digits", lambda text: len(set(digits_of(text))) > 1),
        context=_ACCOUNT,
        asks=True,
    ),
    *_dates(),
    Pattern("AGE", "age.years", rf"(?i)(?<![\w.\-]){_N}[ \-]?(?:years?|yrs?|yr)\.?[ \-](?:old|of age)(?!\w)", AGE),
    Pattern("AGE", "age.short", rf"(?i)(?<![\w.\-]){_N} ?(?:yo|y/o|y\.o\.|yrs?\.? old)(?!\w)", AGE),
    Pattern(
        "AGE",
        "age.aged",
        rf"(?i){START}(?:aged?|alter|edad|âge|età|idade|leeftijd|ålder)[ :=]{{1,3}}(?:of |is |was )?(?P<v>{_N})(?![\w.]|[-/]\d)",
        AGE,
    ),
    Pattern(
        "AGE",
        "age.other",
        rf"(?i)(?<![\w.\-]){_N}[ \-](?:jahre? alt|jährige[rns]?|ans(?=[ ,.;!?]|$)|años(?: de edad)?|anni(?=[ ,.;!?]|$)|anos de idade|jaar oud|år gammel|lat(?=[ ,.;!?]|$)|лет|года)(?!\w)",
        AGE,
    ),
    Pattern("AGE", "age.months", rf"(?i)(?<![\w.\-]){_N}[ \-](?:months?|weeks?|days?)[ \-]old(?!\w)"),
    Pattern(
        "AGE",
        "age.turned",
        rf"(?i){START}(?:turn(?:s|ed|ing)|i am|i'm|she is|he is|she's|he's) (?P<v>{_N})(?=[ .,;!?]|$)(?! ?(?:%|[a-z]{{2,}}ers|km|kg|miles|minutes|hours|days))",
        AGE,
        Tier.STRICT,
    ),
)
