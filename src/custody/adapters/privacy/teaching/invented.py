"""Names that nobody bears: people, places, organizations and addresses, made of the syllables of many languages.

A model that learns from lists of names knows the names of the lists' countries. Here no name comes twice, so what is left to learn is
where a name stands and how it is written; every family of languages is drawn equally often.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Rng = random.Random


@dataclass(frozen=True, slots=True)
class Family:
    """How a family of languages builds names: what syllables begin with, their vowels, their ends, and the ends of surnames."""

    onsets: tuple[str, ...]
    vowels: tuple[str, ...]
    codas: tuple[str, ...]
    endings: tuple[str, ...] = ("",)
    most: int = 3  # syllables
    joined: tuple[str, ...] = (" ",)  # between given name and surname
    first: bool = True  # the given name usually stands first


def _family(onsets: str, vowels: str, codas: str, endings: str = "", **more: object) -> Family:
    """Make a family of words; an underscore stands for nothing."""
    split = [tuple(word.replace("_", "") for word in words.split()) for words in (onsets, vowels, codas, endings or "_")]
    return Family(split[0], split[1], split[2], split[3], **more)  # type: ignore[arg-type]  # the fields that are left


FAMILIES: tuple[Family, ...] = (
    _family(
        "b br c ch cl d f g gr h j l m n p r s st t th w",
        "a e i o u ea ee o",
        "_ n r l d ck m th",
        "ton ley ford son man er well s _",
    ),
    _family(
        "b c ch d f g h j l ll m n p r s t v",
        "a e i o u á é í ó ú",
        "_ _ n s r l z",
        "ez era ano illo ado ín ales _",
        joined=(" ", " de ", " del ", " "),
    ),
    _family(
        "b br d f g gr h k kr l m n r s sch st t w z",
        "a e i o u ä ö ü ei au ie",
        "_ n r l ch ck tz",
        "mann er stein berg hof ner ke _",
        joined=(" ", " ", " von "),
    ),
    _family(
        "b bl c ch d f g gu j l m n p qu r s t v",
        "a e i o u é è ê ou eau ai oi",
        "_ _ n r l t",
        "ier eau ot ard in et elle _",
        joined=(" ", " ", " de ", " du ", " le "),
    ),
    _family(
        "b c d f g gi l m n p r s sc t v z",
        "a e i o u",
        "_ _ n r l",
        "ini etti ello ucci one ari _",
        joined=(" ", " ", " di ", " della "),
    ),
    _family(
        "b br d dz g h k kr l m n p r s sz cz t v w z ž š",
        "a e i o u y ě ą",
        "_ n k r l v sz",
        "ski czyk ović enko ova ev ák ich _",
    ),
    _family(
        "b d f gh h j kh l m n q r s sh t w y z",
        "a i u aa ee ou a i",
        "_ n r d l m b",
        "i awi ani _",
        joined=(" ", " al-", " Al ", " ben ", " El-", " bin "),
    ),
    _family(
        "b ch d f g h j k l m n p q s sh t w x y z zh",
        "a ai an ang ao e en eng i ian ie in ing iu o ong ou u ua ui un uo",
        "_",
        most=2,
        first=False,
    ),
    _family(
        "b bh ch d dh g h j k kh l m n p r s sh sr t th v y",
        "a aa e i ee o u a",
        "_ n r sh m t l",
        "an appa war kar wal walla deep esh ha _",
    ),
    _family("ch d f g gb k kp l m n nk nw ny o r s t w y z", "a e i o u ọ ẹ", "_", "kwu ola ayo ike ma _", most=4),
    _family("b ch f g h j k m n r s sh t ts y z", "a e i o u a o", "_ _ n", "moto da ko ta hara shi _"),
    _family("b c ç d f g h k l m n p r s ş t v y z", "a e ı i o ö u ü", "_ n r l k z", "oğlu er kan türk _"),
    _family(
        "b c ch d đ g gi h kh l m n ng nh ph qu t th tr v x",
        "a ă â e ê i o ô ơ u ư ạ ả à á ã ế ễ ị ọ ồ ụ ứ",
        "_ n ng nh m t",
        most=1,
        first=False,
    ),
    _family(
        "ch d g h j k m n p r s sung b y hy",
        "a eo o u eu i ae yeo ye",
        "_ n ng k l m",
        most=2,
        first=False,
        joined=(" ", " ", "-"),
    ),
    _family("b d f g h k l m n p r s t v", "a e i o u ä ö y å aa", "_ n r s l", "nen la sson sen dal gren ström _"),
    _family("b d g h k l m n p r s t w ng", "a e i o u aa ea", "_ _", "lani kai nga _", most=4, joined=(" ", " ")),
    _family("b d g h k l m n p r s t v x z th", "a e i o u", "_ n r s", "dis pou poulos akis yan shvili dze escu ian _"),
    _family("б в г д ж з к л м н п р с т ч ш", "а е и о у я ю", "_ н р л к в", "ов ева ский енко ин _"),
    _family("α β γ δ κ λ μ ν π ρ σ τ φ χ", "α ε η ι ο ου", "_ ν ρ", "ης όπουλος ίδης ου _"),
    _family("ب ت ج ح د ر س ش ع ف ق ك ل م ن ه", "ا و ي _ _", "_ ن ر", "ي _"),
)
_STREET = ("Street", "Road", "Lane", "Avenue", "Close", "Way", "Court")
_GROWN = ("straße", "weg", "gatan", "straat", "gade", "katu", "utca", "vägen")
_BEFORE = ("rue", "calle", "via", "rua", "ul.", "avenida", "plaza", "jalan", "boulevard")
_TRADES = (
    "Bank", "Motors", "Systems", "Clinic", "Partners", "Pharma", "Airlines", "Shipping", "Construction", "Media", "Brothers", "Group",
    "University", "Hospital", "Institute", "Consulting", "Electronics", "Airport", "Hotels", "Software", "Mining", "Holding", "Foundation",
)  # fmt: skip
_LEGAL = ("Ltd", "Inc.", "GmbH", "S.A.", "AG", "LLC", "Oy", "AB", "B.V.", "plc", "& Sons", "Sdn Bhd", "Pty")
_PLACES = ("", "", "", "", "ville", "burg", "grad", "pur", "stan", "abad", "minster")


def word(rng: Rng, family: Family, *, ending: bool = False) -> str:
    """Invent a word of 1 to `most` syllables, with a capital; ending: it may end as surnames do."""
    count = rng.randint(1 if family.most < 3 else 2, family.most)
    syllables = [rng.choice(family.onsets) + rng.choice(family.vowels) + rng.choice(family.codas) for _ in range(count)]
    made = "".join(syllables) + (rng.choice(family.endings) if ending else "")
    return made[:1].upper() + made[1:]


def person(rng: Rng, family: Family) -> str:
    """Invent a person: two names mostly; sometimes one, three, an initial, or two joined by a hyphen."""
    given, surname = word(rng, family), word(rng, family, ending=True)
    if rng.random() < 0.1:
        given += rng.choice("- ") + word(rng, family)
    if rng.random() < 0.08:
        surname += rng.choice(("-", " ")) + word(rng, family, ending=True)
    chance = rng.random()
    if chance < 0.12:
        return given
    if chance < 0.18:
        return surname
    if chance < 0.23:
        return f"{given[0]}. {surname}"
    turned = rng.random() < (0.1 if family.first else 0.6)
    return f"{surname} {given}" if turned else f"{given}{rng.choice(family.joined)}{surname}"


def place(rng: Rng, family: Family) -> str:
    """Invent a town, a country or a river."""
    made = word(rng, family) + rng.choice(_PLACES)
    chance = rng.random()
    if chance < 0.08:
        return f"{rng.choice(('San', 'New', 'North', 'Port', 'Saint', 'Upper', 'Bad', 'Nova', 'Al'))} {made}"
    return f"{made} {word(rng, family)}" if chance < 0.16 else made


def organization(rng: Rng, family: Family) -> str:
    """Invent a company or an institution."""
    name = word(rng, family, ending=rng.random() < 0.4)
    chance = rng.random()
    if chance < 0.6:
        return f"{name} {rng.choice(_TRADES)}" + (f" {rng.choice(_LEGAL)}" if rng.random() < 0.2 else "")
    if chance < 0.8:
        return f"{name} {rng.choice(_LEGAL)}"
    return f"{name} & {word(rng, family)}" if chance < 0.9 else name


def address(rng: Rng, family: Family) -> str:
    """Invent a street with a house number."""
    name, number = word(rng, family), rng.randint(1, 400)
    return rng.choice(
        (
            f"{number} {name} {rng.choice(_STREET)}",
            f"{name}{rng.choice(_GROWN)} {number}",
            f"{rng.choice(_BEFORE)} {name} {number}",
            f"{number} {rng.choice(_BEFORE)} {name}",
            f"{name} {word(rng, family)} {number}",
            f"{number} {name} {word(rng, family)} {rng.choice(_STREET)}, Flat {rng.randint(1, 40)}",
        )
    )


MAKERS: Mapping[str, Callable[[Rng, Family], str]] = {
    "person": person,
    "place": place,
    "organization": organization,
    "address": address,
}
