"""API of what serves: deployments, retraining, trace."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel

from custody.core.errors import InvalidInput, NotFound
from custody.core.manifest import Mode
from custody.core.refs import DeploymentKey, ModelRef, name_of
from custody.core.tenancy import Role, tenant_id
from custody.lifecycle.overview import describe, overview
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.stores import Caller
from custody.lifecycle.trace import trace
from custody.lifecycle.watch import evaluate_now
from custody.web.callers import Called, Wired
from custody.web.wire import answer, page

router = APIRouter(prefix="/api/v1", tags=["what serves"])


def key_of(caller: Caller, tenant: str, environment: str, name: str) -> DeploymentKey:
    """Return a deployment's key from a path, if the caller may enter its tenant."""
    return DeploymentKey(caller.actor.enter(tenant_id(tenant)), name_of("environment", environment), name_of("deployment", name))


class DeployBody(BaseModel):
    """What to deploy where."""

    model_config = {"extra": "forbid"}
    model: str
    tenant: str
    environment: str = "prod"
    name: str | None = None
    threshold: float | None = None
    mode: Mode | None = None
    share: float = 0.0
    expected: int | None = None
    reason: str = ""
    capture_share: float | None = None
    max_batch: int | None = None
    max_wait_us: int | None = None


@router.post("/deployments")
def deploy(ports: Wired, caller: Called, body: DeployBody, dry_run: bool = False) -> Response:
    """Deploy a judged model version to a tenant; refused without a passing verdict."""
    ref = ModelRef.parse(body.model)
    key = key_of(caller, body.tenant, body.environment, body.name or ref.name)
    handling = {"capture_share": body.capture_share, "max_batch": body.max_batch, "max_wait_us": body.max_wait_us}
    plan = Plan(key, ref, body.threshold, body.mode, body.share, body.expected, body.reason, caller.tenant, **handling)  # type: ignore[arg-type]
    revision, entry = release(ports, caller, plan, dry_run=dry_run)
    return answer(revision, ledger=entry, next=f"custody deployment show {key}")


@router.get("/deployments")
def list_deployments(ports: Wired, caller: Called, after: str | None = None) -> Response:
    """List what serves, with its state and why."""
    return answer(overview(ports, caller, after=after).services)


@router.get("/overview")
def show_overview(ports: Wired, caller: Called, after: str | None = None) -> Response:
    """Show every deployment the caller may see, its health and what changed last."""
    return answer(overview(ports, caller, after=after))


@router.get("/deployments/{tenant}/{environment}/{name}")
def show_deployment(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, at: datetime | None = None
) -> Response:
    """Show a deployment, or what it served at a time (ISO 8601 with an offset)."""
    key = key_of(caller, tenant, environment, name)
    if at is None:
        return answer(describe(ports, caller, key))
    if at.tzinfo is None:
        raise InvalidInput("The time has no offset from UTC.", fix="Write it as 2026-01-31T12:00:00Z")
    found = ports.stores.of(key.tenant).deployments.at(key, at)
    if found is None:
        raise NotFound.of("deployment at that time", str(key), ls=f"custody deployment history {key}")
    return answer(found)


@router.get("/deployments/{tenant}/{environment}/{name}/history")
def show_history(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, after: str | None = None, limit: int = 50
) -> Response:
    """List a deployment's revisions, newest first."""
    key = key_of(caller, tenant, environment, name)
    return page(ports.stores.of(key.tenant).deployments.history(key, after=after, limit=limit))


class StepBody(BaseModel):
    """Why, and the revision that the caller looked at."""

    model_config = {"extra": "forbid"}
    reason: str = ""
    expected: int | None = None


@router.post("/deployments/{tenant}/{environment}/{name}/evaluate")
def evaluate(ports: Wired, caller: Called, tenant: str, environment: str, name: str) -> Response:
    """Compare live decisions with the labels that have come, now."""
    key = key_of(caller, tenant, environment, name)
    found, entry = evaluate_now(ports, caller, key)
    return answer(found, ledger=entry, next=f"custody monitor show {key}")


@router.post("/deployments/{tenant}/{environment}/{name}/retrain")
def ask_retrain(ports: Wired, caller: Called, tenant: str, environment: str, name: str, body: StepBody) -> Response:
    """Ask the worker to retrain the model of a deployment."""
    from custody.lifecycle.retrain import request_retrain  # noqa: PLC0415

    key = key_of(caller, tenant, environment, name)
    entry = request_retrain(ports, caller, key, body.reason or "asked for")
    return answer({"deployment": str(key), "state": "requested"}, ledger=entry, next=f"custody deployment show {key}")


@router.post("/deployments/{tenant}/{environment}/{name}/{action}")
def step_deployment(
    ports: Wired, caller: Called, tenant: str, environment: str, name: str, action: str, body: StepBody, dry_run: bool = False
) -> Response:
    """Promote or reject a candidate, or roll back; a lost race is a Conflict that names the winner."""
    if action not in {"promote", "reject", "rollback"}:
        raise NotFound.of("action", action, near=("promote", "reject", "rollback"))
    key = key_of(caller, tenant, environment, name)
    revision, entry = advance(ports, caller, key, action, reason=body.reason, expected=body.expected, dry_run=dry_run)
    return answer(revision, ledger=entry, next=f"custody deployment show {key}")


@router.get("/trace/{prediction}")
def show_trace(ports: Wired, caller: Called, prediction: str) -> Response:
    """Follow one prediction back to the data behind it."""
    caller.may(Role.VIEWER)
    return answer(trace(ports, caller, prediction))
