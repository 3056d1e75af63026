"""The provenance card of a dataset version: where it came from, how it was collected, how it was treated for bias."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from custody.core.digest import Digest, Json, digest_of_json
from custody.data.retention import end_of

UNKNOWN = "unknown"
ANY = "any"  # of storage and processing: nothing limits it
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
    "clean_room",
)
CLASSES = ("public", "internal", "confidential", "restricted")  # the least guarded first
PROPRIETARY = ("none", "copyright", "patent", "trademark", "secret")
MITIGATIONS = ("none", "reweigh", "resample", "relabel", "threshold")
TRAINING = "train_ai_system"
VERSION = 2
NOT_ASSESSED = "not assessed"
NEEDED = (
    "title",
    "description",
    "owner",
    "contact",
    "sources",
    "collection_method",
    "collection_detail",
    "collection_period",
    "geography",
    "storage",
    "processing",
    "subjects",
    "classification",
    "legal_basis",
    "purposes",
    "license",
    "proprietary",
    "retention",
    "limitations",
    "bias_treatment",
)  # of version 2; `subjects` may be empty: then it is about nobody
_BARE = {"none", "n/a", "na", "-", "no", "unknown"}  # answers that say nothing about how somebody looked
_SPECIAL = (
    "user.biometric",
    "user.biometrics",
    "user.health",
    "user.health_and_medical",
    "user.criminal_history",
    "user.demographic.race_ethnicity",
    "user.demographic.religious_belief",
    "user.demographic.philosophical_belief",
    "user.demographic.political_opinion",
    "user.demographic.sexual_orientation",
    "user.demographic.union_membership",
)


@dataclass(frozen=True, slots=True)
class Card:
    """Where data came from, how it was collected, how it was treated for bias.

    sources, legal_basis and purposes may say `unknown`: such data can be stored but not trained on.
    subject_key: the column that names the person a row is about, for access and erasure.
    purposes: keys of permitted use; training needs `train_ai_system` (fideslang). license: an SPDX id or a sentence.
    categories: what columns hold, as fideslang keys; personal data that a scan finds there is expected, and stays.
    quasi_identifiers: columns that tell people apart together; a scan counts the smallest group of equal ones.
    deidentification: `k` and `l` are bounds that the scan then holds the data to; what the scan measured is added when shown.
    A card of version 1 ends with `bias_treatment`; what is below is asked since version 2.
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
    version: int = 1
    contact: str = ""
    custodian: str = ""
    collection_detail: str = ""
    missing_values: str = ""
    imputation: str = ""
    storage: tuple[str, ...] = ()
    storage_denied: tuple[str, ...] = ()
    processing: tuple[str, ...] = ()
    processing_denied: tuple[str, ...] = ()
    classification: str = ""
    categories: Mapping[str, str] = field(default_factory=dict)
    quasi_identifiers: tuple[str, ...] = ()
    special_condition: str = ""
    subject_key: str | None = None
    further_subject_keys: tuple[str, ...] = ()
    consent: Mapping[str, Json] = field(default_factory=dict)
    restrictions: tuple[str, ...] = ()
    proprietary: tuple[str, ...] = ()
    retention: str = ""
    retention_action: str = "delete"
    transform: Mapping[str, Json] = field(default_factory=dict)
    deidentification: Mapping[str, Json] = field(default_factory=dict)
    dp: Mapping[str, Json] = field(default_factory=dict)
    bias_groups: tuple[Mapping[str, Json], ...] = ()
    bias_metrics: tuple[Mapping[str, Json], ...] = ()
    bias_mitigation: tuple[Mapping[str, Json], ...] = ()
    labels: Mapping[str, Json] = field(default_factory=dict)
    known_gaps: str = ""
    social_impact: str = ""

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
        elif not any(key == TRAINING or key.startswith(f"{TRAINING}.") for key in self.purposes):
            reasons.append(f"its purposes do not include '{TRAINING}'")
        return tuple(reasons + (self._conditions() if self.version > 1 else []))

    def _conditions(self) -> list[str]:
        """Return what is missing: the fields that every card needs, and those that it needs because of what it says elsewhere."""
        said = ("subjects", "sources", "purposes")  # may be empty, or are asked above
        missing = [f"its card says nothing about '{name}'" for name in NEEDED if name not in said and not getattr(self, name)]
        if special := sorted(key for key in set(self.categories.values()) if below_any(key, _SPECIAL)):
            missing += [] if self.special_condition else [f"it holds {', '.join(special)} but says no 'special_condition'"]
        if self.legal_basis == "consent":
            missing += [] if self.consent.get("document") else ["it rests on consent but 'consent' names no document"]
            missing += [] if self.subject_key else ["it rests on consent but no 'subject_key' names the column with the person"]
        if self.collection_method == "human_label" and not self.labels.get("protocol"):
            missing.append("people labelled it but 'labels' names no protocol")
        if self.collection_method == "clean_room" and not {"epsilon", "delta", "unit"} <= self.dp.keys():
            missing.append("it comes from a clean room but 'dp' does not say epsilon, delta and unit")
        return missing

    def promotion_blocks(self, groups: Sequence[str] = ()) -> tuple[str, ...]:
        """Return why a model that learned from this data may not pass its gate: nobody looked at bias, and nobody said why.

        groups: the columns of groups that the dataset names, which the gate then measures.
        """
        if not self.subjects:
            return ()
        words = self.bias_treatment.strip().rstrip(".").lower()
        if words.startswith(NOT_ASSESSED):
            return ("its bias was not assessed",)
        if words in _BARE and not (groups or self.bias_groups or self.bias_metrics):
            return (f"its bias was not assessed: no group was looked at, and the card says '{words}' without a reason",)
        return ()

    @property
    def bounds(self) -> Mapping[str, int]:
        """Return the smallest group (k) and the fewest sensitive values in a group (l) that the card promises; empty if none."""
        given = {name: self.deidentification.get(name) for name in ("k", "l")}
        return {name: int(value) for name, value in given.items() if isinstance(value, int | float)}

    @property
    def subject_keys(self) -> tuple[str, ...]:
        """Return all columns that name a person; a row needs all of them."""
        return (*((self.subject_key,) if self.subject_key else ()), *self.further_subject_keys)

    def ended(self, issued: datetime, now: datetime) -> datetime | None:
        """Return since when this data should be gone, None while it may be kept."""
        end = end_of(self.retention, issued) if self.retention else None
        return end if end is not None and end <= now else None


def below_any(key: str, roots: tuple[str, ...]) -> bool:
    """Tell whether a dotted key is one of these or lies below one."""
    return any(key == root or key.startswith(f"{root}.") for root in roots)


def card_digest(values: Mapping[str, Json]) -> Digest:
    """Return the digest of a card's canonical JSON: its id, and what is signed."""
    return digest_of_json(dict(values))
