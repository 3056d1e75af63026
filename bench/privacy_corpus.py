"""The labelled sets of the privacy benchmark, made from held-out sentences; and prose without personal data, from the standard library."""

import ast
import csv
import random
import re
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from privacy_heldout import FORMS, HARMLESS, ONLY_OWN, OWN, PEOPLE, PHONE_FORMS_3, PHONE_SENTENCES_3, SENTENCES, STREETS
from privacy_made import CITIES, COMPANIES, LABELS, NAMES, NUMBERS, person

Gold = tuple[int, int, str, str]  # start, end, type, origin of a name


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text and the stretches of it that are personal data."""

    text: str
    gold: tuple[Gold, ...]


def filled(sentence: str, values: list[tuple[str, str, str, str]]) -> Labelled:
    """Fill a sentence; values: (field, value, type, origin), the next one of a field at each place where it stands."""
    text, rest = "", sentence
    gold: list[Gold] = []
    queue = {field: [(v, kind, origin) for f, v, kind, origin in values if f == field] for field in {v[0] for v in values}}
    while True:
        places = [(rest.index("{" + field + "}"), field) for field in queue if "{" + field + "}" in rest]
        if not places:
            return Labelled((text + rest).replace("{{", "{").replace("}}", "}"), tuple(gold))
        at, field = min(places)
        value, kind, origin = queue[field][0] if len(queue[field]) == 1 else queue[field].pop(0)
        text += rest[:at].replace("{{", "{").replace("}}", "}")
        if kind:
            gold.append((len(text), len(text) + len(value), kind, origin))
        text, rest = text + value, rest[at + len(field) + 2 :]


def structured(seed: int, each: int) -> list[Labelled]:
    """Return `each` texts a type, in held-out sentences and forms."""
    rng = random.Random(seed)
    made = []
    for kind, draw in sorted(NUMBERS.items()):
        for _ in range(each):
            number = draw(rng)
            own = OWN.get(kind, ())
            if kind in ONLY_OWN:
                value = rng.choice(own)(number) if own and rng.random() < 0.75 else number
            elif own and rng.random() < 0.5:
                value = rng.choice(own)(number)
            else:
                value = rng.choice(FORMS)(number, rng)
            made.append(filled(rng.choice(SENTENCES), [("v", value, kind, ""), ("l", LABELS[kind], "", "")]))
    return made


def phones(
    seed: int,
    count: int,
    forms: Sequence[Callable[[str, str], str]] = PHONE_FORMS_3,
    sentences: Sequence[str] = PHONE_SENTENCES_3,
) -> list[Labelled]:
    """Return texts with one telephone number each, of all regions in turn, in the third set of forms unless told otherwise."""
    rng = random.Random(seed)
    with (Path(__file__).parent / "privacy_phones.csv").open(encoding="utf-8", newline="") as file:
        numbers = [(row["international"], row["national"]) for row in csv.DictReader(file)]
    rng.shuffle(numbers)
    made = []
    for place in range(count):
        value = rng.choice(forms)(*numbers[place % len(numbers)])
        made.append(filled(rng.choice(sentences), [("v", value, "PHONE", "")]))
    return made


def people(seed: int, count: int) -> list[Labelled]:
    """Return texts about people, equally many of each origin, and a harmless one after every third."""
    rng = random.Random(seed)
    origins, made = sorted(NAMES), []
    for number in range(count):
        origin = origins[number % len(origins)]
        values = [("name", person(rng, origin), "PERSON", origin) for _ in range(3)]
        values += [("city", rng.choice(CITIES), "LOCATION", ""), ("company", rng.choice(COMPANIES), "ORGANIZATION", "")]
        values += [("street", rng.choice(STREETS), "ADDRESS", "")]
        made.append(filled(rng.choice(PEOPLE), values))
        if number % 3 == 2:
            made.append(Labelled(rng.choice(HARMLESS), ()))
    return made


def parts_of(name: str) -> set[str]:
    """Return the words of a name in small letters."""
    return {part.lower() for part in re.findall(r"[^\W\d_]+", name)}


def held_out_parts() -> frozenset[str]:
    """Return the words of all people and places of the set, and the first of each organization, whose others are trades."""
    names = [name for given, surnames in NAMES.values() for name in (*given, *surnames)]
    return frozenset().union(*map(parts_of, (*names, *CITIES)), (company.split()[0].lower() for company in COMPANIES))


def prose(limit: int, modules: str = "*.py") -> list[str]:
    """Return paragraphs of the documentation strings of some modules of the standard library, up to so many characters."""
    found: list[str] = []
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob(modules))
    random.Random(7).shuffle(files)
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        nodes = (n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef, ast.Module)))
        for node in nodes:
            found += [paragraph for paragraph in (ast.get_docstring(node) or "").split("\n\n") if len(paragraph) >= 60]
        if sum(map(len, found)) > limit:
            break
    return found
