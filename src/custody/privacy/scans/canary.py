"""Canaries: made-up personal data that is planted in a copy, to see that a scan removes it there."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from custody.privacy.patterns.checks import luhn

_SENTENCES = (
    "Please write to {} about it.",
    "It says {} on the form.",
    "{} was given, she said.",
    "For the record: {}",
    "We noted\n{}\nand closed the ticket.",
)


@dataclass(frozen=True, slots=True)
class Canary:
    """One planted value of a type."""

    type: str
    value: str


def canaries(rng: random.Random, count: int) -> tuple[Canary, ...]:
    """Make canaries of the types that are found by their form alone, in turn; nobody owns them but by accident."""
    makers = (_email, _card, _iban, _ssn, _ip, _phone)
    return tuple(makers[number % len(makers)](rng) for number in range(count))


def planted(texts: Sequence[str], made: Sequence[Canary], rng: random.Random) -> list[str]:
    """Return a copy of texts with each canary put into one of them, in a sentence of its own; without texts, the sentences."""
    copy = list(texts) or [""]
    for canary in made:
        at = rng.randrange(len(copy))
        copy[at] = f"{copy[at]}\n{rng.choice(_SENTENCES).format(canary.value)}"
    return copy


def missed(made: Sequence[Canary], scrubbed: Sequence[str]) -> tuple[Canary, ...]:
    """Return the canaries of which anything is left but a scrap: their value, or its letters and digits, still stand in a text."""
    everything = "\n".join(scrubbed)
    bare = "".join(char for char in everything if char.isalnum())
    return tuple(one for one in made if one.value in everything or "".join(c for c in one.value if c.isalnum()) in bare)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _email(rng: random.Random) -> Canary:
    return Canary("EMAIL", f"c{_digits(rng, 9)}.x@{rng.choice(('example.org', 'mail.example.com', 'example.net'))}")


def _card(rng: random.Random) -> Canary:
    body = "4" + _digits(rng, 14)
    number = next(body + digit for digit in "0123456789" if luhn(body + digit))
    return Canary("CREDIT_CARD", rng.choice((number, " ".join(number[i : i + 4] for i in range(0, 16, 4)))))


def _iban(rng: random.Random) -> Canary:
    body = _digits(rng, 18)
    check = 98 - int(body + "131400") % 97  # DE00 as figures: D is 13, E is 14
    return Canary("IBAN", f"DE{check:02}{body}")


def _ssn(rng: random.Random) -> Canary:
    return Canary("US_SSN", f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}")


def _ip(rng: random.Random) -> Canary:
    return Canary("IP_ADDRESS", ".".join(str(rng.randint(11, 254)) for _ in range(4)))


def _phone(rng: random.Random) -> Canary:
    return Canary("PHONE", f"+44 20 7946 {_digits(rng, 4)}")
