"""The provenance card of a dataset version."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from custody.core.digest import Json
from custody.core.errors import InvalidInput
from custody.core.refs import near

UNKNOWN = "unknown"
LEGAL_BASES = (
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
    "public_data",
    UNKNOWN,
)
METHODS = (
    "survey",
    "sensor",
    "transaction",
    "scrape",
    "purchase",
    "synthetic",
    "human_label",
    "administrative_record",
    "live_traffic",
)
TRAINING = "train_ai_system"


@dataclass(frozen=True, slots=True)
class Card:
    """Where data came from, how it was collected, how it was treated for bias.

    sources, legal_basis and purposes may say `unknown`: such data can be stored but not trained on.
    purposes: keys of permitted use; training needs `train_ai_system` (fideslang). license: an SPDX id or a sentence.
    categories: what columns hold, as fideslang keys; personal data that a scan finds there is expected, and stays.
    quasi_identifiers: columns that tell people apart together; a scan counts the smallest group of equal ones.
    Source of the fields: Data & Trust Alliance, Data Provenance Standards 1.0.0; Gebru et al. 2021, Datasheets for Datasets.
    """

    title: str
    description: str
    owner: str
    sources: tuple[str, ...]
    collection_method: str
    collection_period: str
    geography: tuple[str, ...]
    subjects: tuple[str, ...]
    legal_basis: str
    purposes: tuple[str, ...]
    license: str
    limitations: str
    bias_treatment: str
    supersedes: str | None = None
    categories: Mapping[str, str] = field(default_factory=dict)
    quasi_identifiers: tuple[str, ...] = ()
    version: int = 1

    @property
    def blocks(self) -> tuple[str, ...]:
        """Return why this data may not train a model; empty when it may."""
        reasons = []
        if not self.sources or UNKNOWN in self.sources:
            reasons.append("its source is unknown")
        if self.legal_basis == UNKNOWN:
            reasons.append("its legal basis is unknown")
        if not self.purposes or UNKNOWN in self.purposes:
            reasons.append("its purpose is unknown")
        elif TRAINING not in self.purposes:
            reasons.append(f"its purposes do not include '{TRAINING}'")
        return tuple(reasons)


_LISTS = ("sources", "geography", "subjects", "purposes", "quasi_identifiers")
_OPTIONAL = ("supersedes", "categories", "quasi_identifiers", "version")


def card_of(values: Mapping[str, Json]) -> Card:
    """Build a card from parsed YAML or JSON; all faults are reported at once."""
    known = [f.name for f in fields(Card)]
    faults = [
        f"unknown field '{key}'" + (f" (did you mean '{close[0]}'?)" if (close := near(key, known)) else "")
        for key in values
        if key not in known
    ]
    clean: dict[str, Json] = {}
    for name in known:
        value = values.get(name)
        if name in _LISTS and isinstance(value, str):
            value = [value]
        if name in _OPTIONAL and value is None:
            continue
        faults += _faults(name, value)
        clean[name] = value
    if faults:
        raise InvalidInput(
            "The provenance card cannot be used: " + "; ".join(faults) + ".",
            why="A card must answer where the data comes from, how it was collected and how it was treated for bias.",
            fix="Write 'unknown' for a source, legal basis or purpose nobody can name; see docs/reference/card.md",
            facts={"faults": faults},
        )
    made = {k: tuple(str(i) for i in v) if isinstance(v, list) else v for k, v in clean.items()}
    return Card(**made)  # type: ignore[arg-type]  # every field was checked by _faults


def _faults(name: str, value: Json) -> list[str]:
    if name == "version":
        return [] if value == 1 else ["version is not 1"]
    if name == "categories":
        good = isinstance(value, dict) and all(isinstance(one, str) and one.strip() for one in value.values())
        return [] if good else ["'categories' must be a mapping of column: category"]
    if name in _LISTS:
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            return [f"'{name}' must be a list of texts"]
        return [] if value or name in {"subjects", "quasi_identifiers"} else [f"'{name}' is empty"]
    if not isinstance(value, str) or not value.strip():
        return [f"'{name}' is missing"]
    choices = {"legal_basis": LEGAL_BASES, "collection_method": METHODS}.get(name)
    if choices and value not in choices:
        return [f"'{name}' must be one of {', '.join(choices)}"]
    return []
