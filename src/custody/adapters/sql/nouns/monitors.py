"""What monitors keep: policies, detector states, looks, evaluations, alerts, costs."""

from collections.abc import Sequence

from custody.adapters.sql.body import body_of, read, text_of
from custody.adapters.sql.session import OfTenant, first, paged
from custody.adapters.sql.tables import alerts, costs, evaluations, looks, monitor_policies, monitor_states
from custody.core.errors import NotFound
from custody.core.measures.value import CostMatrix
from custody.core.page import Page
from custody.core.refs import DeploymentKey
from custody.monitoring.alert import Alert, AlertState
from custody.monitoring.evaluation import Evaluation
from custody.monitoring.policy import MonitorPolicy
from custody.monitoring.ports import Look


class SqlMonitors(OfTenant):
    """One tenant's monitors."""

    def policy(self, key: DeploymentKey) -> MonitorPolicy | None:
        """Return the newest policy of a deployment."""
        newest = self._tail(MonitorPolicy, monitor_policies, key, 1)
        return newest[0] if newest else None

    def add_policy(self, key: DeploymentKey, policy: MonitorPolicy) -> None:
        """Store a new policy version."""
        self._append(monitor_policies, key, policy)

    def state(self, key: DeploymentKey, name: str) -> str | None:
        """Return a detector's stored state, as text."""
        query = self._select_of(monitor_states, key, monitor_states.c.state).where(monitor_states.c.detector == name)
        row = first(self._access, query)
        return None if row is None else self._open(monitor_states.c.state, str(row.state))

    def set_state(self, key: DeploymentKey, name: str, text: str) -> None:
        """Replace a detector's state; one that is more than a digest or a number may hold a value of the data, and is sealed."""
        stored = self._seal(monitor_states.c.state, text) if is_telling(text) else text
        self._replace(monitor_states, {**self._place(key), "detector": name}, {"state": stored})

    def add_look(self, key: DeploymentKey, look: Look) -> None:
        """Store a look."""
        self._append(looks, key, look)

    def looks(self, key: DeploymentKey, *, limit: int = 60) -> Sequence[Look]:
        """Return the newest looks, oldest first."""
        return self._tail(Look, looks, key, limit)

    def add_evaluation(self, key: DeploymentKey, evaluation: Evaluation) -> None:
        """Store an evaluation."""
        self._append(evaluations, key, evaluation)

    def evaluations(self, key: DeploymentKey, *, limit: int = 60) -> Sequence[Evaluation]:
        """Return the newest evaluations, oldest first; one stored again under its id replaces the one before."""
        return list({one.id: one for one in self._tail(Evaluation, evaluations, key, limit)}.values())

    def save_alert(self, alert: Alert) -> None:
        """Store an alert, replacing the one with its id."""
        values = {"opened_at": text_of(alert.opened_at), "state": alert.state.value, **body_of(alert)}
        self._replace(alerts, {"id": alert.id}, {**self._place(alert.deployment), **values})

    def alert(self, key: DeploymentKey, id: str) -> Alert:  # noqa: A002 - the field's word
        """Return one alert of a deployment; NotFound for any other id."""
        row = first(self._access, self._select_of(alerts, key).where(alerts.c.id == id))
        if row is None:
            raise NotFound.of("alert", id[:120], ls=f"custody alert ls {key}")
        return read(Alert, row)

    def open_alerts(self, key: DeploymentKey | None = None) -> Sequence[Alert]:
        """Return alerts that are not resolved, newest first."""
        query = self._select(alerts) if key is None else self._select_of(alerts, key)
        query = query.where(alerts.c.state != AlertState.RESOLVED.value).order_by(alerts.c.opened_at.desc(), alerts.c.id.desc())
        return [read(Alert, row) for row in self._access.rows(query)]

    def alerts(self, key: DeploymentKey, *, after: str | None = None, limit: int = 50) -> Page[Alert]:
        """List alerts, newest first."""
        c = alerts.c
        query = self._select_of(alerts, key, c.opened_at, c.id, c.format, c.body)
        return paged(self._access, query, [c.opened_at, c.id], after=after, limit=limit, noun=lambda row: read(Alert, row))

    def cost(self, key: DeploymentKey) -> CostMatrix | None:
        """Return what each outcome of a decision costs or earns."""
        row = first(self._access, self._select_of(costs, key))
        return None if row is None else read(CostMatrix, row)

    def set_cost(self, key: DeploymentKey, matrix: CostMatrix) -> None:
        """Replace the costs."""
        self._replace(costs, self._place(key), body_of(matrix))


def is_telling(state: str) -> bool:
    """Tell whether a state is more than a digest or a number."""
    return state.startswith(("{", "["))
