"""Sentences filled with invented names, and where the names stand."""

import random
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from custody.adapters.privacy.teaching.invented import FAMILIES, MAKERS, Family
from custody.adapters.privacy.teaching.sentences import sentence

Rng = random.Random
LABELS = {"person": "PERSON", "place": "GPE", "organization": "ORG", "address": "FAC"}
_SLOT = re.compile(r"\{(person|place|organization|address)\}")
_PARTS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its names: start, end, label."""

    text: str
    names: tuple[tuple[int, int, str], ...]


def example(rng: Rng, *, own: Sequence[str] = (), avoid: Collection[str] = ()) -> Example:
    """Fill one sentence, or two; now and then all of it is in small letters or in capitals.

    avoid: words in small letters that no name may have as a part, so that a test can hold names back.
    """
    whole = " ".join(sentence(rng, own) for _ in range(rng.choice((1, 1, 1, 2))))
    family = rng.choice(FAMILIES)
    text, at = "", 0
    names: list[tuple[int, int, str]] = []
    for slot in _SLOT.finditer(whole):
        text += whole[at : slot.start()]
        made = _made(rng, slot[1], family if rng.random() < 0.7 else rng.choice(FAMILIES), avoid)
        names.append((len(text), len(text) + len(made), LABELS[slot[1]]))
        text, at = text + made, slot.end()
    text += whole[at:]
    chance = rng.random()
    changed = text.lower() if chance < 0.06 else text.upper() if chance < 0.1 else text
    return Example(changed if len(changed) == len(text) else text, tuple(names))


def _made(rng: Rng, kind: str, family: Family, avoid: Collection[str]) -> str:
    """Invent until no part is to be avoided."""
    while True:
        made = MAKERS[kind](rng, family)
        if not any(part.lower() in avoid for part in _PARTS.findall(made)):
            return made
