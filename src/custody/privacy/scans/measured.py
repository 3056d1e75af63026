"""Recall of exactly one pattern pack on its held-out set; `python bench/privacy.py --measure` writes the numbers."""

from custody.core.digest import Digest
from custody.privacy.patterns.pattern import Tier
from custody.privacy.scans.measurement import Recall, recalls

LABELLED_SET = "made-up numbers in held-out sentences 4"
PACK_MEASURED = Digest("c916d8c88ad6dc8420aea264de83e3bf3d1716350dbafde9adaa357a8e73e3bf")
# type: spans covered in full, of how many
COUNTS: dict[Tier, dict[str, tuple[int, int]]] = {
    Tier.DEFAULT: {
        "BR_CPF": (600, 600),
        "CN_ID": (600, 600),
        "CREDIT_CARD": (600, 600),
        "DE_TAX_ID": (600, 600),
        "EMAIL": (600, 600),
        "ES_DNI": (600, 600),
        "ES_NIE": (600, 600),
        "FI_HETU": (600, 600),
        "FR_NIR": (600, 600),
        "IBAN": (600, 600),
        "IN_AADHAAR": (600, 600),
        "IP_ADDRESS": (600, 600),
        "NL_BSN": (600, 600),
        "NO_FODSELSNUMMER": (600, 600),
        "PHONE": (696, 800),
        "PL_PESEL": (600, 600),
        "SE_PERSONNUMMER": (600, 600),
        "TR_TCKN": (600, 600),
        "UK_NHS": (600, 600),
        "US_SSN": (600, 600),
        "ZA_ID": (600, 600),
    },
    Tier.STRICT: {
        "BR_CPF": (600, 600),
        "CN_ID": (600, 600),
        "CREDIT_CARD": (600, 600),
        "DE_TAX_ID": (600, 600),
        "EMAIL": (600, 600),
        "ES_DNI": (600, 600),
        "ES_NIE": (600, 600),
        "FI_HETU": (600, 600),
        "FR_NIR": (600, 600),
        "IBAN": (600, 600),
        "IN_AADHAAR": (600, 600),
        "IP_ADDRESS": (600, 600),
        "NL_BSN": (600, 600),
        "NO_FODSELSNUMMER": (600, 600),
        "PHONE": (792, 800),
        "PL_PESEL": (600, 600),
        "SE_PERSONNUMMER": (600, 600),
        "TR_TCKN": (600, 600),
        "UK_NHS": (600, 600),
        "US_SSN": (600, 600),
        "ZA_ID": (600, 600),
    },
}


def recall_of(pack: Digest, tier: Tier) -> tuple[Recall, ...]:
    """Return what was measured of this very pack; nothing for another one, since a changed pack can recall less."""
    return recalls(LABELLED_SET, pack, COUNTS[tier]) if pack == PACK_MEASURED else ()
