"""What a person looks at: the overview of all services, and one deployment with its timeline."""

from dataclasses import dataclass
from datetime import datetime

from custody.core.evidence import Check, Estimate
from custody.core.manifest import Handling
from custody.core.measures.value import CostMatrix
from custody.core.tenancy import TenantId
from custody.lifecycle.beside import Beside
from custody.lifecycle.explain import Explained
from custody.monitoring.alert import Alert
from custody.monitoring.evaluation import Evaluation, Slice
from custody.monitoring.ports import Look


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One deployment on the overview.

    deployment: `acme/prod/churn`. state: healthy, degraded, failing or unknown; reason: one sentence with the number behind it.
    metric: newest measured on labels; registered: what the model promised. coverage: share of predictions with a label.
    drift: psi of the score per look against `drift_reference`, nats, oldest first; drift_expected: what it reads with no drift.
    cost: of wrong and right decisions in the newest evaluation, in `currency`, negative = earned.
    """

    deployment: str
    tenant: TenantId
    environment: str
    name: str
    revision: int
    model: str
    threshold: float
    candidate: str | None
    handling: Handling
    state: str
    reason: str
    metric: Estimate | None
    registered: Estimate | None
    coverage: float | None
    drift: tuple[float, ...]
    drift_expected: float | None
    drift_level: str
    latency_p95_ms: float | None
    predictions: int
    cost: float | None
    currency: str | None
    last_prediction_at: datetime | None
    deployed_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One recent ledger entry in words: `gate.refused` of `release@1`: "refused: bias, selection_rate by colour"."""

    seq: int
    at: datetime
    tenant: TenantId
    actor: str
    kind: str
    subject: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The one screen: services ordered by state (worst first) then cost, and what changed last."""

    as_of: datetime
    services: tuple[ServiceRow, ...]
    healthy: int
    degraded: int
    failing: int
    unknown: int
    open_alerts: int
    labelled: int
    predictions: int
    cost: tuple[tuple[str, float], ...]
    changes: tuple[ChangeRow, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """One step of the deployment timeline; in force from `at`."""

    number: int
    at: datetime
    action: str
    actor: str
    reason: str
    model: str
    threshold: float
    candidate: str | None


@dataclass(frozen=True, slots=True)
class LineageNode:
    """A node of the focused lineage; kind: dataset, run, model or deployment; column counts from 0 on the left."""

    id: str
    kind: str
    title: str
    detail: str
    column: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One deployment: its row, timeline, measurements, drift, alerts, the checks its model passed, its lineage."""

    as_of: datetime
    row: ServiceRow
    timeline: tuple[RevisionRow, ...]
    evaluations: tuple[Evaluation, ...]
    looks: tuple[Look, ...]
    drifting: tuple[str, ...]
    alerts: tuple[Alert, ...]
    checks: tuple[Check, ...]
    verdict_at: datetime | None
    verdict_expires_at: datetime | None
    costs: CostMatrix | None
    lineage: tuple[LineageNode, ...]
    edges: tuple[tuple[str, str], ...]
    changes: tuple[ChangeRow, ...]
    slices: tuple[Slice, ...] = ()
    explained: Explained | None = None
    beside: Beside | None = None
