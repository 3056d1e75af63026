"""Every path that a state answers, as one dict from raw path to bound handler."""

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from importlib.metadata import version

import orjson

from custody.core.refs import DeploymentKey
from custody.core.tenancy import HOUSE, TenantId
from custody.inference.captures.record import Recorder
from custody.inference.captures.shadow import Shadow
from custody.inference.exchange import Answer, Exchange, Refused, error_answer
from custody.inference.metrics import Metrics
from custody.inference.models.loading import Served, State
from custody.inference.predict import Predictor
from custody.inference.protocols.describe import answering, config, indexed, metadata, statistic
from custody.inference.protocols.v2 import Infer

Handler = Callable[[Exchange], Awaitable[Answer]]
PRODUCTION = "prod"
_VERSION = version("custody-ml")


@dataclass(frozen=True, slots=True)
class Route:
    """Who may call it (a key of this tenant), how, and what answers; key names the deployment it counts for."""

    tenant: TenantId
    method: str
    handler: Handler
    key: DeploymentKey | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """What handlers need besides a state; problem tells why the newest manifest is not (fully) served."""

    recorder: Recorder
    shadow: Shadow
    pool: Executor
    metrics: Metrics
    problem: Callable[[], str]


def routes_of(state: State, desk: Desk) -> dict[bytes, Route]:
    """Return the routes of a state: each tenant's environments, `prod` and the default tenant under short paths too."""
    known = [*state.served, *(key for key in state.failures if key not in state.served)]
    tenants = {HOUSE, *(tenant for grant in state.grants.values() for tenant in grant if tenant), *(key.tenant for key in known)}
    places = {(tenant, PRODUCTION) for tenant in tenants} | {(key.tenant, key.environment) for key in known}
    routes: dict[bytes, Route] = {}
    for tenant, environment in places:
        place = _place(state, desk, tenant, environment)
        for prefix in _prefixes(tenant, environment):
            routes.update({f"{prefix}{path}".encode(): route for path, route in place.items()})
    return routes


def _prefixes(tenant: TenantId, environment: str) -> Iterator[str]:
    yield f"/tenants/{tenant}/environments/{environment}/v2"
    if environment == PRODUCTION:
        yield f"/tenants/{tenant}/v2"
        if tenant == HOUSE:
            yield "/v2"


def _place(state: State, desk: Desk, tenant: TenantId, environment: str) -> dict[str, Route]:
    """Return the routes below one prefix."""
    served = {key.name: one for key, one in state.served.items() if (key.tenant, key.environment) == (tenant, environment)}
    failures = {key.name: why for key, why in state.failures.items() if (key.tenant, key.environment) == (tenant, environment)}
    index = [indexed(name, arm, failures.get(name, "")) for name, one in served.items() for arm in answering(one)]
    index += [
        {"name": name, "version": "", "state": "UNAVAILABLE", "reason": why}
        for name, why in failures.items()
        if name not in served
    ]
    routes = {
        "": Route(tenant, "GET", _server(state, failures, desk)),
        "/repository/index": Route(tenant, "POST", _fixed(index)),
        "/models/stats": Route(tenant, "GET", _statistics(tuple(served.values()), desk.metrics)),
    }
    for name, one in served.items():
        routes |= {f"/models/{name}{path}": route for path, route in _model(one, desk).items()}
    for name in failures.keys() - served.keys():
        key = DeploymentKey(tenant, environment, name)
        for path, method in {"": "GET", "/ready": "GET", "/config": "GET", "/stats": "GET", "/infer": "POST"}.items():
            routes[f"/models/{name}{path}"] = Route(tenant, method, _unloaded(name, failures[name]), key)
    for name in {*served, *failures}:
        for verb in ("load", "unload"):
            routes[f"/repository/models/{name}/{verb}"] = Route(tenant, "POST", _manifest_rules)
    return routes


def _model(served: Served, desk: Desk) -> dict[str, Route]:
    key = served.service.key
    routes: dict[str, Route] = {}
    for pinned in (None, *reversed(answering(served))):
        path = f"/versions/{pinned.target.model.version}" if pinned else ""
        arm = pinned or served.live
        predictor = Predictor(served, pinned, desk.recorder, desk.shadow, desk.pool)
        routes |= {
            path: Route(key.tenant, "GET", _fixed(metadata(served, arm))),
            f"{path}/ready": Route(key.tenant, "GET", _fixed({"name": key.name, "ready": True})),
            f"{path}/config": Route(key.tenant, "GET", _fixed(config(arm))),
            f"{path}/stats": Route(key.tenant, "GET", _statistics((served,), desk.metrics)),
            f"{path}/infer": Route(key.tenant, "POST", Infer(predictor), key),
        }
    return routes


def _fixed(document: object) -> Handler:
    answer = Answer(200, orjson.dumps(document))

    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        return answer

    return handler


def _unloaded(name: str, why: str) -> Handler:
    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        return error_answer(503, f"Model '{name}' is not loaded: {why}")

    return handler


async def _manifest_rules(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
    raise Refused(
        400, "Models are not loaded or unloaded by hand: this server serves what its signed manifest says. Use: custody deploy"
    )


def _server(state: State, failures: dict[str, str], desk: Desk) -> Handler:
    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        behind = bool(desk.problem())
        manifest = {"sequence": state.sequence, "current": not behind, "failures": failures}
        extensions = ["binary_tensor_data", "model_repository", "statistics", "model_configuration"]
        return Answer(200, orjson.dumps({"name": "custody", "version": _VERSION, "extensions": extensions, "manifest": manifest}))

    return handler


def _statistics(served: tuple[Served, ...], metrics: Metrics) -> Handler:
    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        return Answer(200, orjson.dumps({"model_stats": [statistic(one, metrics) for one in served]}))

    return handler
