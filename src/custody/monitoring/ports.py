"""What monitoring needs from storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from custody.core.measures.value import CostMatrix
from custody.core.page import Page
from custody.core.refs import DeploymentKey
from custody.monitoring.alert import Alert
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.policy import MonitorPolicy


@dataclass(frozen=True, slots=True)
class Look:
    """One look of a drift detector: evidence as log10 of the e-value, the level, and the sentence that explains it.

    reference: `training`, `development` or `labels`. rows: of the batches in this look. psi: of the score (or the label) against the reference, nats.
    latency_p95_us: of the requests in this look, microseconds. model: the version that answered them, `churn@7`.
    detector, batch, day: the state that holds its evidence, the digest of what it looked at, and the ISO date of most of its
    rows; with these the evidence can be computed again.
    """

    reference: str
    at: datetime
    rows: int
    log10_e: float
    level: str
    sentence: str
    psi: float
    psi_expected: float
    latency_p95_us: float = 0.0
    model: str = ""
    detector: str = ""
    batch: str = ""
    day: str = ""


class Monitors(Protocol):
    """One tenant's monitors: policy, detector state, looks, evaluations, alerts, costs."""

    def policy(self, key: DeploymentKey) -> MonitorPolicy | None:
        """Return the newest policy of a deployment."""
        ...

    def add_policy(self, key: DeploymentKey, policy: MonitorPolicy) -> None:
        """Store a new policy version."""
        ...

    def state(self, key: DeploymentKey, name: str) -> str | None:
        """Return a detector's stored state, as text."""
        ...

    def set_state(self, key: DeploymentKey, name: str, text: str) -> None:
        """Replace a detector's state."""
        ...

    def add_look(self, key: DeploymentKey, look: Look) -> None:
        """Store a look."""
        ...

    def looks(self, key: DeploymentKey, *, limit: int = 60) -> Sequence[Look]:
        """Return the newest looks, oldest first."""
        ...

    def add_evaluation(self, key: DeploymentKey, evaluation: Evaluation) -> None:
        """Store an evaluation, or a better one of the same window under its id."""
        ...

    def evaluations(self, key: DeploymentKey, *, limit: int = 60) -> Sequence[Evaluation]:
        """Return the newest evaluations, oldest first; one stored again under its id replaces the one before."""
        ...

    def save_alert(self, alert: Alert) -> None:
        """Store an alert, replacing the one with its id."""
        ...

    def alert(self, key: DeploymentKey, id: str) -> Alert:  # noqa: A002 - the field's word
        """Return one alert of a deployment; NotFound for any other id."""
        ...

    def open_alerts(self, key: DeploymentKey | None = None) -> Sequence[Alert]:
        """Return alerts that are not resolved, newest first."""
        ...

    def alerts(self, key: DeploymentKey, *, after: str | None = None, limit: int = 50) -> Page[Alert]:
        """List alerts, newest first."""
        ...

    def cost(self, key: DeploymentKey) -> CostMatrix | None:
        """Return what each outcome of a decision costs or earns."""
        ...

    def set_cost(self, key: DeploymentKey, matrix: CostMatrix) -> None:
        """Replace the costs."""
        ...
