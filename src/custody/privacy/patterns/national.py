"""Numbers that states give to people, each with the checksum of its country where there is one.

A number whose check many other numbers pass, or that has none, is looked for beside its name only; the strict tier does not ask.
Source of the checks: python-stdnum, and where noted the issuing state's own description.
"""

import re
from collections.abc import Callable

from stdnum.ar import cuit
from stdnum.at import vnr
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cnpj, cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cl import rut
from stdnum.cn import ric
from stdnum.cz import rc
from stdnum.de import idnr as steuer
from stdnum.dk import cpr
from stdnum.ee import ik
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.il import idnr as teudat
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.jp import in_ as mynumber
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.my import nric as mykad
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.nz import ird
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.si import emso
from stdnum.th import pin
from stdnum.tr import tckimlik
from stdnum.za import idnr as zaid

from custody.privacy.patterns.checks import DEA, SSN
from custody.privacy.patterns.pattern import REFUSED, Check, Pattern, Tier, whole
from custody.privacy.patterns.shapes import BREAK, DASHES, END, GAP, START, ascii_digits, compact, digits_of

_LICENCE = (
    "driver", "drivers", "driver's", "driving", "licence number", "license number", "licence no", "license no", "license #", "licence #",
    "license id", "dl", "dln", "führerschein", "permis de conduire", "patente", "carnet de conducir", "rijbewijs", "körkort",
)  # fmt: skip
_PASSPORT = ("passport", "passeport", "reisepass", "pasaporte", "passaporto", "passaporte", "paspoort", "паспорт", "護照", "护照")
_DASH = f"[-{DASHES}]"
_CLOSE = re.compile(r"\d(?:[^\n]{0,2}?\d){2}")


def _by(name: str, validate: Callable[[str], str], clean: Callable[[str], str] = compact) -> Check:
    """Make a check of a function that raises when it refuses, asked about letters and digits only unless told otherwise."""

    def passes(text: str) -> bool:
        try:
            validate(clean(text).upper())
        except REFUSED:
            return False
        return True

    return whole(name, passes)


def _plain(count: int) -> str:
    """Return a regex of that many digits, each of which may be followed by one blank, dash or dot."""
    return rf"(?<![\w.])\d(?:(?:{BREAK}|\.)\d){{{count - 1}}}(?!\w|\.\d)"


def _as_written(text: str) -> str:
    """Keep the sign that tells the century."""
    return ascii_digits(text).replace(" ", "").translate({ord(dash): "-" for dash in DASHES})


def _sized(least: int, most: int) -> Check:
    """Make a check of what has no checksum: so many letters and digits, three digits of them close together."""
    return whole(f"sized_{least}_{most}", lambda text: _CLOSE.search(text) is not None and least <= len(compact(text)) <= most)


def _nino(text: str) -> bool:
    """Refuse prefixes that are never given (HMRC, National Insurance Manual NIM39110)."""
    return compact(text).upper()[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


_CODICE = _by("it.codicefiscale", codicefiscale.validate)


def _fiscal(text: str) -> bool:
    """Test an Italian fiscal code; letters may stand for some of its digits (omocodia), here never for all seven."""
    return any(char.isdecimal() for char in text) and _CODICE.cuts(text) != ()


def _nric(text: str) -> bool:
    """Test the letter of a Singapore identity number: weights 2765432, offset 4 for T and G, 3 for M."""
    number = compact(text).upper()
    total = sum(int(d) * w for d, w in zip(number[1:8], (2, 7, 6, 5, 4, 3, 2), strict=True))
    total += {"T": 4, "G": 4, "M": 3}.get(number[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK", "M": "XWUTRQPNJLK"}[number[0]]
    return number[8] == (letters[10 - total % 11] if number[0] == "M" else letters[total % 11])


def _snils(text: str) -> bool:
    """Test the last two digits of a Russian insurance number: sum of digit times place, modulo 101, modulo 100."""
    digits = digits_of(text)
    return sum(int(d) * (9 - i) for i, d in enumerate(digits[:9])) % 101 % 100 == int(digits[9:])


def _itin(text: str) -> bool:
    """Test the groups of a United States taxpayer number that is given to people without social security."""
    group = int(digits_of(text)[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99


def _rows(kind: str, name: str, check: Check | None, sure: str, weak: str, words: tuple[str, ...]) -> tuple[Pattern, ...]:
    """Return the row that is sure by its form, and the row that needs its name beside it; either may be empty."""
    rows = (
        Pattern(kind, f"{name}.sure", sure, check) if sure else None,
        Pattern(kind, f"{name}.said", weak, check, context=words) if weak else None,
    )
    return tuple(row for row in rows if row is not None)


NATIONAL: tuple[Pattern, ...] = (
    *_rows("US_SSN", "us.ssn", SSN, rf"(?<![\w.\-])\d{{3}}({_DASH}|[ \u00a0.]|{_DASH}?\r?\n)\d\d\1\d{{4}}(?![\w\-]|\.\d)", _plain(9), ("ssn", "ssns", "social", "social security", "taxpayer")),
    *_rows("US_ITIN", "us.itin", whole("itin", _itin), rf"(?<![\w.\-])9\d\d({_DASH}|[ \u00a0])\d\d\1\d{{4}}(?![\w\-])", r"(?<!\w)9\d{8}(?!\w)", ("itin", "taxpayer", "tax id", "tin")),
    *_rows("UK_NHS", "uk.nhs", _by("gb.nhs", nhs.validate), "", _plain(10), ("nhs", "health service", "patient")),
    *_rows("UK_NINO", "uk.nino", whole("nino", _nino), rf"(?i){START}[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]{BREAK}\d\d{BREAK}\d\d{BREAK}\d\d{BREAK}[A-D]{END}", "", ()),
    *_rows("ES_DNI", "es.dni", _by("es.dni", dni.validate), rf"(?i)(?<![\w.\-])\d{{8}}{BREAK}[A-Z]{END}", rf"(?i)(?<![\w\-])\d\d?\.\d{{3}}\.\d{{3}}{BREAK}[A-Z]{END}", ("dni", "nif", "documento", "identidad")),
    *_rows("ES_NIE", "es.nie", _by("es.nie", nie.validate), rf"(?i){START}[XYZ]{BREAK}\d{{7}}{BREAK}[A-Z]{END}", "", ()),
    *_rows("NL_BSN", "nl.bsn", _by("nl.bsn", bsn.validate), "", _plain(9), ("bsn", "burgerservicenummer", "sofinummer")),
    *_rows("BR_CPF", "br.cpf", _by("br.cpf", cpf.validate), _plain(11), "", ("cpf",)),
    *_rows("BR_CNPJ", "br.cnpj", _by("br.cnpj", cnpj.validate), rf"(?<![\w.])\d\d\.?\d{{3}}\.?\d{{3}}/?\d{{4}}{_DASH}?\d\d(?!\w)", "", ()),
    *_rows("IN_AADHAAR", "in.aadhaar", _by("in.aadhaar", aadhaar.validate), rf"(?<![\w.])[2-9]\d{{3}}([ \u00a0]|{_DASH})\d{{4}}\1\d{{4}}(?!\w|[ \-]?\d)", _plain(12), ("aadhaar", "aadhar", "uidai", "uid", "आधार")),
    *_rows("IN_PAN", "in.pan", _by("in.pan", pan.validate), rf"(?i){START}[A-Z]{{3}}[ABCFGHLJPTK][A-Z]{BREAK}\d{{4}}{BREAK}[A-Z]{END}", "", ()),
    *_rows("IT_FISCAL_CODE", "it.cf", whole("it.codicefiscale", _fiscal), rf"(?i){START}[A-Z]{{6}}{BREAK}[0-9LMNP-V]{{2}}[A-EHLMPRST][0-9LMNP-V]{{2}}{BREAK}[A-Z][0-9LMNP-V]{{3}}{BREAK}[A-Z]{END}", "", ()),
    *_rows("FR_NIR", "fr.nir", _by("fr.nir", nir.validate), rf"(?i)(?<![\w.])\d(?:(?:{BREAK}|\.)\d){{5}}(?:{BREAK}|\.)[\dAB](?:(?:{BREAK}|\.)\d){{8}}(?!\w|\.\d)", "", ()),
    *_rows("DE_TAX_ID", "de.idnr", _by("de.idnr", steuer.validate), "", _plain(11), ("steuer", "steuer-id", "steueridentifikationsnummer", "identifikationsnummer", "idnr", "idnr.", "tax id", "tin")),
    *_rows("PL_PESEL", "pl.pesel", _by("pl.pesel", pesel.validate), "", _plain(11), ("pesel",)),
    *_rows("BE_NN", "be.nn", _by("be.nn", nn.validate), _plain(11), "", ()),
    *_rows("SE_PERSONNUMMER", "se.pnr", _by("se.personnummer", personnummer.validate, _as_written), rf"(?<![\w.])(?:19|20)?\d{{6}}(?:{_DASH}|\+)\d{{4}}(?!\w)", r"(?<![\w.])(?:19|20)?\d{6} ?\d{4}(?!\w)", ("personnummer", "personnr", "samordningsnummer")),
    *_rows("NO_FODSELSNUMMER", "no.fnr", _by("no.fodselsnummer", fodselsnummer.validate), _plain(11), "", ()),
    *_rows("FI_HETU", "fi.hetu", _by("fi.hetu", hetu.validate, _as_written), rf"(?i)(?<![\w.])\d{{6}}(?:{_DASH}|[+A-FU-Y])\d{{3}}[0-9A-Y]{END}", "", ()),
    *_rows("DK_CPR", "dk.cpr", _by("dk.cpr", cpr.validate), rf"(?<![\w.])\d{{6}}{_DASH}\d{{4}}(?!\w)", _plain(10), ("cpr", "personnummer", "cpr-nr")),
    *_rows("PT_NIF", "pt.nif", _by("pt.nif", nif.validate), "", _plain(9), ("nif", "contribuinte", "nipc")),
    *_rows("CH_AHV", "ch.ahv", _by("ch.ssn", ahv.validate), rf"(?<![\w.])756(?:{BREAK}|\.)\d{{4}}(?:{BREAK}|\.)\d{{4}}(?:{BREAK}|\.)\d\d(?!\w)", "", ()),
    *_rows("AT_SVNR", "at.vnr", _by("at.vnr", vnr.validate), "", _plain(10), ("svnr", "sozialversicherungsnummer", "versicherungsnummer", "sv-nummer")),
    *_rows("CA_SIN", "ca.sin", _by("ca.sin", sin.validate), rf"(?<![\w.\-])\d{{3}}({_DASH}|[ \u00a0])\d{{3}}\1\d{{3}}(?!\w|[ \-]\d)", _plain(9), ("sin", "social insurance", "nas")),
    *_rows("AU_TFN", "au.tfn", _by("au.tfn", tfn.validate), "", rf"(?<![\w.])\d(?:{BREAK}\d){{7,8}}(?!\w|\.\d)", ("tfn", "tax file")),
    *_rows("NZ_IRD", "nz.ird", _by("nz.ird", ird.validate), "", rf"(?<![\w.])\d(?:{BREAK}\d){{7,8}}(?!\w|\.\d)", ("ird", "inland revenue")),
    *_rows("ZA_ID", "za.id", _by("za.idnr", zaid.validate), _plain(13), "", ()),
    *_rows("KR_RRN", "kr.rrn", _by("kr.rrn", rrn.validate), rf"(?<![\w.])\d{{6}}{_DASH}[0-9]\d{{6}}(?!\w)", _plain(13), ("주민등록번호", "주민번호", "rrn", "resident registration")),
    *_rows("CN_ID", "cn.ric", _by("cn.ric", ric.validate), rf"(?i)(?<![\w.])\d(?:(?:{BREAK}|\.)\d){{16}}(?:{BREAK}|\.)[0-9X\d](?!\w|\.\d)", "", ()),
    *_rows("JP_MY_NUMBER", "jp.my", _by("jp.in", mynumber.validate), "", _plain(12), ("マイナンバー", "個人番号", "my number", "mynumber", "individual number")),
    *_rows("TH_PIN", "th.pin", _by("th.pin", pin.validate), rf"(?<![\w.])\d{_DASH}\d{{4}}{_DASH}\d{{5}}{_DASH}\d\d{_DASH}\d(?!\w)", _plain(13), ("เลขประจำตัวประชาชน", "บัตรประชาชน", "thai id", "national id")),
    *_rows("MY_NRIC", "my.nric", _by("my.nric", mykad.validate), rf"(?<![\w.])\d{{6}}{_DASH}\d\d{_DASH}\d{{4}}(?!\w)", _plain(12), ("mykad", "nric", "ic number", "kad pengenalan")),
    *_rows("SG_NRIC", "sg.nric", whole("sg.nric", _nric), rf"(?i){START}[STFGM]\d{{7}}[A-Z]{END}", "", ()),
    *_rows("MX_CURP", "mx.curp", _by("mx.curp", curp.validate), rf"(?i){START}[A-Z]{{4}}\d{{6}}[HMX][A-Z]{{5}}[A-Z0-9]\d{END}", "", ()),
    *_rows("AR_CUIT", "ar.cuit", _by("ar.cuit", cuit.validate), rf"(?<![\w.])(?:2[0347]|3[034]){_DASH}\d{{8}}{_DASH}\d(?!\w)", _plain(11), ("cuit", "cuil")),
    *_rows("CL_RUT", "cl.rut", _by("cl.rut", rut.validate), rf"(?i)(?<![\w.])\d\d?\.?\d{{3}}\.?\d{{3}}{_DASH}[0-9K]{END}", "", ()),
    *_rows("TR_TCKN", "tr.tckn", _by("tr.tckimlik", tckimlik.validate), _plain(11), "", ()),
    *_rows("IL_ID", "il.id", _by("il.idnr", teudat.validate), "", rf"(?<![\w.])\d(?:{GAP}?\d){{7,8}}(?!\w|\.\d)", ("teudat", "zehut", "תעודת זהות", "ת.ז", "israeli id")),
    *_rows("IE_PPS", "ie.pps", _by("ie.pps", pps.validate), rf"(?i)(?<![\w.\-])\d{{7}}{BREAK}[A-W][A-IW]?{END}", "", ()),
    *_rows("RO_CNP", "ro.cnp", _by("ro.cnp", cnp.validate), _plain(13), "", ()),
    *_rows("SI_EMSO", "si.emso", _by("si.emso", emso.validate), _plain(13), "", ()),
    *_rows("BG_EGN", "bg.egn", _by("bg.egn", egn.validate), "", _plain(10), ("егн", "egn")),
    *_rows("CZ_SK_RC", "cz.rc", _by("cz.rc", rc.validate), r"(?<![\w.])\d{6}/\d{3,4}(?!\w)", r"(?<!\w)\d{9,10}(?!\w)", ("rodné číslo", "rodne cislo", "rč", "r.č")),
    *_rows("EE_LT_ID", "ee.ik", _by("ee.ik", ik.validate), "", _plain(11), ("isikukood", "asmens kodas", "asmens")),
    *_rows("GR_AMKA", "gr.amka", _by("gr.amka", amka.validate), "", _plain(11), ("amka", "αμκα", "α.μ.κ.α")),
    *_rows("HR_OIB", "hr.oib", _by("hr.oib", oib.validate), "", _plain(11), ("oib",)),
    *_rows("RU_SNILS", "ru.snils", whole("ru.snils", _snils), rf"(?<![\w.])\d{{3}}{_DASH}\d{{3}}{_DASH}\d{{3}}(?: |{_DASH})\d\d(?!\w)", _plain(11), ("снилс", "snils")),
    Pattern("PASSPORT", "passport", rf"(?i){START}[A-Z]{{0,3}}\d[A-Z0-9]{{5,10}}{END}", _sized(6, 12), context=_PASSPORT, asks=True),
    Pattern("MEDICAL_LICENCE", "us.dea", rf"(?i){START}[ABFGMPR][A-Z9]\d{{7}}{END}", DEA),
    Pattern("DRIVER_LICENCE", "licence.said", rf"(?i){START}(?:[A-Z]{{1,5}}[ \-]?)?\d[A-Z0-9]{{2,19}}(?:[ \-]\d[A-Z0-9]{{0,7}}){{0,4}}{END}", _sized(5, 20), context=_LICENCE, asks=True),
    Pattern("DRIVER_LICENCE", "licence.any", rf"(?i){START}(?:[A-Z]{{1,2}}\d{{5,8}}|[A-Z]\d{{3}}[ \-]?\d{{3,4}}[ \-]?\d{{3,6}}|[A-Z]\d{{12,14}}|\d{{7,9}}[A-Z]{{0,2}})(?:{END})", tier=Tier.STRICT),
    Pattern("NATIONAL_ID", "id.said", rf"(?i){START}(?:[A-Z]{{1,4}}[\-.]?)?\d[A-Z0-9]{{0,17}}(?:[\-.][A-Z0-9]{{1,8}}){{0,5}}{END}", _sized(6, 18), context=("national id", "identity card", "id card", "id number", "identity number", "personal number", "personalausweis", "carte d'identité", "carta d'identità", "documento de identidad", "social security number"), asks=True),
)  # fmt: skip
