"""What checks look at and what they answer; the same `Check` serves gates (a candidate) and alerts (a window)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from custody.core.digest import Digest, Json
from custody.core.refs import ModelRef


class Outcome(StrEnum):
    """A check's answer; `inconclusive` blocks like `fail` but asks for more data, not for a better model.

    waived: it was inconclusive, and a named approver answers for it.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    WAIVED = "waived"


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer: a name, an outcome, a sentence with the numbers, the numbers themselves."""

    name: str
    outcome: Outcome
    sentence: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its interval: value, low and high in the metric's unit, n rows, confidence (two-sided)."""

    metric: str
    value: float
    low: float
    high: float
    n: int
    confidence: float = 0.95

    def __str__(self) -> str:
        return f"{self.metric} {self.value:.3f} [{self.low:.3f}, {self.high:.3f}] on {self.n}"


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """One group's confusion table on one data set: true/false negatives and positives, as row counts."""

    column: str
    group: str
    tn: int
    fp: int
    fn: int
    tp: int

    @property
    def n(self) -> int:
        """Return the number of rows of the group."""
        return self.tn + self.fp + self.fn + self.tp


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model does at one threshold on one set of rows: metrics with intervals, and the counts per group."""

    threshold: float
    metrics: tuple[Estimate, ...]
    groups: tuple[GroupCounts, ...] = ()

    def metric(self, name: str) -> Estimate | None:
        """Return one metric, or None if it could not be measured."""
        return next((estimate for estimate in self.metrics if estimate.metric == name), None)


@dataclass(frozen=True, slots=True)
class Parity:
    """How a converted model differs from its original on the same rows.

    largest_difference: of the positive class's score, 0..1. flips: rows whose decision changes at `threshold`.
    nearest: smallest distance of any original score to the threshold, so that flips can be judged.
    """

    rows: int
    largest_difference: float
    mean_difference: float
    threshold: float
    flips: int
    nearest: float


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """One golden case: its id, whether the candidate passed, the earlier versions that passed it."""

    case: str
    passed: bool
    passed_before: Sequence[int] = ()
    severity: str = "normal"
    expected: str = ""
    got: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a gate may look at about one candidate; immutable, stored by digest, so a verdict can be replayed.

    measured, parity: one for each threshold of the policy. holdout: the dataset versions whose holdout rows were used.
    """

    candidate: ModelRef
    artifact: Digest
    holdout: tuple[str, ...]
    measured: tuple[Measured, ...]
    parity: tuple[Parity, ...]
    golden: tuple[GoldenResult, ...]
    golden_digest: Digest | None
    run_started_at: datetime | None = None
    baseline: ModelRef | None = None
    baseline_artifact: Digest | None = None
    baseline_measured: tuple[Measured, ...] = ()
    dataset_blocks: tuple[str, ...] = ()
    version: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's answer about exactly these digests; it expires, because the world moves on."""

    id: str
    model: ModelRef
    artifact: Digest
    policy: Digest
    golden: Digest | None
    evidence: Digest
    thresholds: tuple[float, ...]
    passed: bool
    checks: tuple[Check, ...]
    at: datetime
    expires_at: datetime

    def covers(self, artifact: Digest, policy: Digest, golden: Digest | None, now: datetime) -> bool:
        """Tell whether this verdict lets exactly these digests be deployed now."""
        return self.passed and (self.artifact, self.policy, self.golden) == (artifact, policy, golden) and now < self.expires_at
