"""What a scan found, how far it reached, and the one sentence that may be claimed about it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum

import msgspec

from custody.core.digest import Digest, Json, digest_of_json
from custody.core.errors import InvalidInput
from custody.privacy.policy import ScrubPolicy
from custody.privacy.scans.measurement import Recall

VERSION = 1
SMALLEST = "The smallest group has"  # begins the sentence about a group with too few rows


class Fault(StrEnum):
    """Why a scan did not come to its end."""

    DETECTOR = "detector"
    TIMEOUT = "timeout"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class Residual:
    """A second scan of the scrubbed data by other detectors: who looked, and how often each type was still there."""

    detectors: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Return how many findings are left."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Grouping:
    """What k-anonymity of the declared quasi-identifiers came to."""

    quasi_identifiers: tuple[str, ...]
    k: int
    small_rows: int
    diversity: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """A scan in numbers; it holds no value of the data and no name of a person in it.

    counts: removed, by type. text_bytes and scanned_bytes: of text, all and read. unread: columns nobody could read as text.
    unclassified: columns nobody understood. canaries and canaries_found: planted in a copy, and removed from it.
    recall: quoted from a stored measurement of exactly this pack. reviewer: who looked at the report, None if nobody did.
    dataset and data: the version that was scanned, and its digest. declared: rows by category that the card expects and that
    stay. doubtful: rows by type that only the strict tier or a model takes, and about which nobody decided.
    """

    policy_name: str
    policy_digest: Digest
    pack_version: int
    pack_digest: Digest
    detectors: tuple[str, ...]
    rows: int
    counts: Mapping[str, int]
    text_bytes: int
    scanned_bytes: int
    unread: tuple[str, ...] = ()
    unclassified: tuple[str, ...] = ()
    named_columns: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    residual: Residual | None = None
    canaries: int = 0
    canaries_found: int = 0
    recall: tuple[Recall, ...] = ()
    grouping: Grouping | None = None
    reviewer: str | None = None
    dataset: str = ""
    data: str = ""
    declared: Mapping[str, int] = field(default_factory=dict)
    doubtful: Mapping[str, int] = field(default_factory=dict)
    version: int = VERSION

    def __post_init__(self) -> None:
        if others := {one.pack for one in self.recall} - {self.pack_digest}:
            raise InvalidInput(
                "The measured recall belongs to another pattern pack.",
                why=f"It was measured on {len(others)} other pack{'s' * (len(others) > 1)}; a changed pack can recall less.",
                fix="Measure this pack: make bench-privacy",
            )

    @property
    def coverage(self) -> float:
        """Return the share of text bytes that were read, 0..1; data without text is read in full."""
        return self.scanned_bytes / self.text_bytes if self.text_bytes else 1.0

    @property
    def gaps(self) -> tuple[str, ...]:
        """Return why the scan is not complete, a sentence each; empty if it is."""
        gaps = [f"The scan met a fault: {fault.value}." for fault in self.faults]
        if self.scanned_bytes != self.text_bytes:
            gaps.append(f"It read {self.scanned_bytes:,} of {self.text_bytes:,} bytes of text.")
        gaps += [f"Nobody can read column '{name}' as text." for name in self.unread]
        gaps += [f"Nobody knows what column '{name}' holds." for name in self.unclassified]
        if self.residual is None:
            gaps.append("No second scan with other detectors was made.")
        elif not set(self.residual.detectors) - set(self.detectors):
            gaps.append("The second scan used no other detector than the first.")
        if self.canaries == 0:
            gaps.append("No canaries were planted.")
        return tuple(gaps)

    def refusals(self, policy: ScrubPolicy) -> tuple[str, ...]:
        """Return which bounds of the policy a complete scan breaks, a sentence each."""
        refused = []
        if self.residual and self.residual.total > policy.max_residual:
            refused.append(f"The second scan found {self.residual.total}, and {policy.max_residual} are allowed.")
        if self.canaries_found < self.canaries:
            refused.append(f"{self.canaries - self.canaries_found} of {self.canaries} canaries were missed.")
        if self.named_columns:
            refused.append(f"{len(self.named_columns)} column names hold personal data.")
        if self.grouping and self.grouping.k < policy.min_k:
            refused.append(f"{SMALLEST} {self.grouping.k} rows, and {policy.min_k} are asked for.")
        if policy.needs_reviewer and not self.reviewer:
            refused.append("Nobody reviewed it.")
        return tuple(refused)

    @property
    def claim(self) -> str:
        """Return exactly what may be said about this data; never that it is anonymous, or that all personal data is gone."""
        recall = ", ".join(str(one) for one in self.recall)
        sets = " and ".join(dict.fromkeys(one.labelled_set for one in self.recall))
        group, doubtful = self.grouping, sum(self.doubtful.values())
        kept = [f"Declared on the card and kept: {', '.join(sorted(self.declared))}."] if self.declared else []
        return " ".join(
            (
                f"Scanned under policy {self.policy_name} version {self.policy_digest[:12]}.",
                f"On labelled set {sets} strict recall was {recall}." if self.recall else "No recall was measured.",
                f"The residual scan found {self.residual.total}." if self.residual else "No residual scan was made.",
                *([f"{doubtful:,} doubtful findings wait for a person."] if doubtful else []),
                *kept,
                f"k >= {group.k} on the declared quasi-identifiers." if group else "No quasi-identifiers were declared.",
                f"Reviewed by {self.reviewer}." if self.reviewer else "Reviewed by nobody.",
            )
        )

    @property
    def digest(self) -> Digest:
        """Return the digest of the report, which is what gets signed."""
        return digest_of_json(report_json(self))


def report_json(report: ScanReport) -> Json:
    """Return a report as JSON values; `report_of` reads it back."""
    values: Json = _plain(asdict(report))
    return values


def report_of(values: Mapping[str, Json]) -> ScanReport:
    """Read a report from parsed JSON; another version, or a missing or unknown field, is InvalidInput."""
    if values.get("version") != VERSION:
        raise InvalidInput("This scan report has another version.", why=f"This program reads version {VERSION}.")
    known = {one.name for one in fields(ScanReport)}
    try:
        if set(values) != known:
            raise InvalidInput(
                "That is not a scan report.", why=f"These fields differ: {', '.join(sorted(set(values) ^ known))}."
            )
        return msgspec.convert(values, ScanReport)
    except msgspec.ValidationError as error:
        raise InvalidInput("That is not a scan report.", why=f"{error}.") from error


def _plain(value: object) -> Json:
    """Write tuples as lists, mappings with sorted keys, and enums as their values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, StrEnum):
        return value.value
    return value  # type: ignore[return-value]  # numbers, texts, booleans and None
