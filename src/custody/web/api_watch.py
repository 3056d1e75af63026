"""API of what is known about what serves: labels, monitors, alerts, values."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel

from custody.lifecycle.alerts import answer_alert, explain_alert
from custody.lifecycle.ask import ask, questions
from custody.lifecycle.bets import last_bet
from custody.lifecycle.explain import explain
from custody.lifecycle.monitor import set_cost, set_monitor
from custody.lifecycle.overview import describe
from custody.lifecycle.preview import preview
from custody.lifecycle.record import record
from custody.monitoring.alert import AlertState
from custody.web.api_live import key_of
from custody.web.callers import Called, Wired
from custody.web.wire import answer, page

router = APIRouter(prefix="/api/v1", tags=["what is known"])


class LabelsBody(BaseModel):
    """Labels: pairs of a prediction id or own key, and the class that turned out to be true."""

    model_config = {"extra": "forbid"}
    rows: list[tuple[str, str]]
    source: str = "outcome"


@router.post("/labels/{tenant}/{environment}/{name}")
def add_labels(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, body: LabelsBody, dry_run: bool = False
) -> Response:
    """Record ground truth."""
    key = key_of(caller, tenant, environment, name)
    added, entry = record(ports, caller, key, body.rows, source=body.source, dry_run=dry_run)
    result = {"received": len(body.rows), "new": added}
    return answer(result, ledger=entry, next=f"custody deployment evaluate {key}")


@router.get("/labels/{tenant}/{environment}/{name}")
def count_labels(ports: Wired, caller: Called, tenant: str, environment: str, name: str) -> Response:
    """Tell how many predictions have a label."""
    key = key_of(caller, tenant, environment, name)
    return answer({"deployment": str(key), "labels": ports.stores.of(key.tenant).labels.count(key)})


class AskBody(BaseModel):
    """How many labels people are asked for."""

    model_config = {"extra": "forbid"}
    n: int


@router.post("/labels/{tenant}/{environment}/{name}/draws")
def draw_labels(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, body: AskBody, dry_run: bool = False
) -> Response:
    """Draw answers for people to label, with known chances."""
    key = key_of(caller, tenant, environment, name)
    made, entry = ask(ports, caller, key, body.n, dry_run=dry_run)
    return answer(made, ledger=entry, next=f"custody label tasks {key} --format csv > tasks.csv")


@router.get("/labels/{tenant}/{environment}/{name}/tasks")
def list_tasks(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
) -> Response:
    """List drawn answers that no person has labelled yet."""
    key = key_of(caller, tenant, environment, name)
    return answer(questions(ports, caller, key, limit=limit))


@router.put("/monitors/{tenant}/{environment}/{name}")
def put_monitor(
    ports: Wired,
    caller: Called,
    tenant: str,
    environment: str,
    name: str,
    policy: Annotated[dict[str, Any], Body()],
    dry_run: bool = False,
) -> Response:
    """Set what is watched on a deployment and what follows from an alarm."""
    key = key_of(caller, tenant, environment, name)
    kept, entry = set_monitor(ports, caller, key, policy, dry_run=dry_run)
    return answer(kept, ledger=entry, next=f"custody monitor show {key}")


@router.get("/monitors/{tenant}/{environment}/{name}")
def show_monitor(ports: Wired, caller: Called, tenant: str, environment: str, name: str) -> Response:
    """Show a deployment's monitor: policy, evaluations, drift, alerts."""
    key = key_of(caller, tenant, environment, name)
    shelf = ports.stores.of(key.tenant)
    monitors, head = shelf.monitors, shelf.deployments.head(key)
    body = {
        "policy": monitors.policy(key),
        "evaluations": monitors.evaluations(key),
        "looks": monitors.looks(key),
        "alerts": monitors.alerts(key).items,
        "bet": last_bet(monitors, head) if head else None,
    }
    return answer(body)


@router.post("/monitors/{tenant}/{environment}/{name}/preview")
def preview_monitor(
    ports: Wired,
    caller: Called,
    tenant: str,
    environment: str,
    name: str,
    policy: Annotated[dict[str, Any], Body()],
    days: Annotated[int, Query(ge=1, le=3660)] = 90,
) -> Response:
    """Say what a monitor policy would have done in the last days."""
    key = key_of(caller, tenant, environment, name)
    found = preview(ports, caller, key, policy, days=days)
    body = {"sentence": found.sentence, **msgspec.to_builtins(found)}
    return answer(body, next=f"custody monitor set {key} FILE")


@router.post("/monitors/{tenant}/{environment}/{name}/explain")
def explain_monitor(ports: Wired, caller: Called, tenant: str, environment: str, name: str) -> Response:
    """Compare training data with live traffic, and take a difference of the metric apart."""
    key = key_of(caller, tenant, environment, name)
    found, entry = explain(ports, caller, key)
    return answer(found, ledger=entry, next=f"custody deployment show {key}")


@router.get("/alerts/{tenant}/{environment}/{name}")
def list_alerts(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, after: str | None = None, limit: int = 50
) -> Response:
    """List the alerts of a deployment, newest first."""
    key = key_of(caller, tenant, environment, name)
    return page(ports.stores.of(key.tenant).monitors.alerts(key, after=after, limit=limit))


@router.get("/alerts/{tenant}/{environment}/{name}/{id}")
def recompute_alert(ports: Wired, caller: Called, tenant: str, environment: str, name: str, id: str) -> Response:  # noqa: A002
    """Compute an alarm again from the evidence that its ledger entry names."""
    return answer(explain_alert(ports, caller, key_of(caller, tenant, environment, name), id))


class AnswerBody(BaseModel):
    """Why an alert is acknowledged or resolved."""

    model_config = {"extra": "forbid"}
    reason: str = ""


@router.post("/alerts/{tenant}/{environment}/{name}/{id}/{state}")
def move_alert(
    ports: Wired,
    caller: Called,
    tenant: str,
    environment: str,
    name: str,
    id: str,  # noqa: A002 - the field's word
    state: Literal["acknowledged", "resolved"],
    body: AnswerBody,
    dry_run: bool = False,
) -> Response:
    """Acknowledge or resolve an alert."""
    key = key_of(caller, tenant, environment, name)
    alert, entry = answer_alert(ports, caller, key, id, AlertState(state), reason=body.reason, dry_run=dry_run)
    return answer(alert, ledger=entry, next=f"custody alert ls {key}")


@router.put("/values/{tenant}/{environment}/{name}")
def put_value(
    ports: Wired,
    caller: Called,
    tenant: str,
    environment: str,
    name: str,
    costs: Annotated[dict[str, Any], Body()],
    dry_run: bool = False,
) -> Response:
    """Set what each outcome of a decision costs."""
    key = key_of(caller, tenant, environment, name)
    kept, entry = set_cost(ports, caller, key, costs, dry_run=dry_run)
    return answer(kept, ledger=entry, next=f"custody value show {key}")


@router.get("/values/{tenant}/{environment}/{name}")
def show_value(ports: Wired, caller: Called, tenant: str, environment: str, name: str) -> Response:
    """Show what each outcome costs, and what the newest evaluation comes to."""
    key = key_of(caller, tenant, environment, name)
    view = describe(ports, caller, key)
    return answer({"costs": view.costs, "total": view.row.cost, "currency": view.row.currency})
