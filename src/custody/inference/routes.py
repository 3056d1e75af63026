"""Every path that a state answers, as one dict from raw path to bound handler."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version

import orjson

from custody.core.errors import Unavailable
from custody.core.refs import DeploymentKey
from custody.core.tenancy import HOUSE, TenantId
from custody.inference.by_hand import load, said, unload
from custody.inference.exchange import Answer, Exchange, Refused
from custody.inference.metrics import Meter, Metrics
from custody.inference.models.library import Arm, Served, State
from custody.inference.models.memory import Memory
from custody.inference.predict import Desk, Predictor
from custody.inference.protocols.describe import answering, config, indexed, metadata, statistic
from custody.inference.protocols.mlflow import Invocations
from custody.inference.protocols.v2 import Infer

Handler = Callable[[Exchange], Awaitable[Answer]]
PRODUCTION = "prod"
_VERSION = version("custody-ml")
LIVE, READY = Answer(200, b'{"live":true}'), Answer(200, b'{"ready":true}')
PONG, VERSION = Answer(200, b"\n"), Answer(200, _VERSION.encode())  # as an MLflow model server answers


@dataclass(frozen=True, slots=True)
class Route:
    """Who may call it, how, and what answers; meter: of the deployment that it counts for.

    key: of the deployment that is asked about, whose tenant's key is needed; its name is empty for what belongs to none of them.
    None means that it needs no key and takes any method.
    predictor: behind an infer call of a deployment that is served.
    """

    key: DeploymentKey | None
    method: str
    handler: Handler
    meter: Meter | None = None
    predictor: Predictor | None = None


def routes_of(state: State, desk: Desk) -> dict[bytes, Route]:
    """Return the routes of a state: each tenant's environments, `prod` and the default tenant under short paths too."""
    tenants = {HOUSE, *(tenant for grant in state.grants.values() for tenant in grant if tenant)}
    places = {(tenant, PRODUCTION): _Place() for tenant in tenants}
    for key, served in state.served.items():
        places.setdefault((key.tenant, key.environment), _Place()).served[key.name] = served
    for key, why in state.failures.items():
        places.setdefault((key.tenant, key.environment), _Place()).failures[key.name] = why
    for tenant in {tenant for tenant, _ in places}:
        places.setdefault((tenant, PRODUCTION), _Place())
    routes: dict[bytes, Route] = {}
    for (tenant, environment), place in places.items():
        below = _below(place, DeploymentKey(tenant, environment, ""), state, desk)
        for prefix in _prefixes(tenant, environment):
            routes.update({f"{prefix}{path}".encode(): route for path, route in below.items()})
    return routes


@dataclass(frozen=True, slots=True)
class _Place:
    """What one tenant has in one environment, by deployment name."""

    served: dict[str, Served] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def _prefixes(tenant: TenantId, environment: str) -> Iterator[str]:
    yield f"/tenants/{tenant}/environments/{environment}"
    if environment == PRODUCTION:
        yield f"/tenants/{tenant}"
        if tenant == HOUSE:
            yield ""


def _below(place: _Place, here: DeploymentKey, state: State, desk: Desk) -> dict[str, Route]:
    """Return the routes below one prefix."""
    served, failures = place.served, place.failures
    routes = {
        "/v2": Route(here, "GET", _server(state, failures, desk)),
        "/v2/repository/index": Route(here, "POST", _index(place)),
        "/v2/models/stats": Route(here, "GET", _statistics(*(arm for one in served.values() for arm in answering(one)))),
    }
    for name, one in served.items():
        routes |= _model(name, one, desk)
    for name in failures.keys() - served.keys():
        routes |= _unloaded(replace(here, name=name), failures[name], desk.metrics)
    for name in {*served, *failures}:
        key = replace(here, name=name)
        if name in served:
            by_hand = {"load": load(served[name], desk.memory), "unload": unload(served[name], state, desk.memory)}
        else:
            by_hand = dict.fromkeys(("load", "unload"), _broken(name, failures[name]))
        for verb, handler in by_hand.items():
            routes[f"/v2/repository/models/{name}/{verb}"] = Route(key, "POST", handler)
        routes[f"/deployments/{name}/version"] = Route(key, "GET", same(VERSION))
    return routes


def _model(name: str, served: Served, desk: Desk) -> dict[str, Route]:
    key, meter = served.service.key, desk.metrics.meter(served.service.key)
    routes: dict[str, Route] = {}
    for pinned in (None, *reversed(answering(served))):
        path = f"/v2/models/{name}" + (f"/versions/{pinned.target.model.version}" if pinned else "")
        arm = pinned or served.live
        predictor = Predictor(served, pinned, desk)
        routes |= {
            path: Route(key, "GET", _fixed(metadata(served, arm))),
            f"{path}/ready": Route(key, "GET", _ready(arm, desk.memory)),
            f"{path}/config": Route(key, "GET", _fixed(config(arm))),
            f"{path}/stats": Route(key, "GET", _statistics(*((pinned,) if pinned else answering(served)))),
            f"{path}/infer": Route(key, "POST", Infer(predictor), meter, predictor=predictor),
        }
    predictor = Predictor(served, None, desk)
    below = f"/deployments/{name}"
    routes |= {f"{below}/{path}": Route(key, "GET", same(PONG)) for path in ("ping", "health")}
    routes[f"{below}/invocations"] = Route(key, "POST", Invocations(predictor), meter, predictor)
    return routes


def _index(place: _Place) -> Handler:
    async def handler(exchange: Exchange) -> Answer:
        only_ready = await said(exchange, "ready", bool, otherwise=False)
        failures = place.failures
        index = [indexed(name, arm, failures.get(name, "")) for name, one in place.served.items() for arm in answering(one)]
        missing = [(name, why) for name, why in failures.items() if name not in place.served]
        index += [{"name": name, "version": "", "state": "UNAVAILABLE", "reason": why} for name, why in missing]
        return Answer(200, orjson.dumps([one for one in index if one["state"] == "READY" or not only_ready]))

    return handler


def _ready(arm: Arm, memory: Memory) -> Handler:
    """Return what tells whether a model passed its check and answered once in this process, whether it is in memory or not.

    One that found no room when it was deployed is loaded for that now: nobody waits for ever for a model that nobody asks.
    """
    answer, slot = Answer(200, orjson.dumps({"name": arm.key.name, "ready": True})), arm.slot

    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        if slot.problem or not slot.checked:
            try:
                await memory.ready(slot, arm.key.tenant)
            except Unavailable as error:
                raise Refused(503, f"Model '{arm.key.name}' is not loaded: {error}") from error
        return answer

    return handler


def _unloaded(key: DeploymentKey, why: str, metrics: Metrics) -> dict[str, Route]:
    """Return the routes of a deployment that is not served at all."""
    handler, meter = _broken(key.name, why), metrics.meter(key)
    routes = {
        f"/v2/models/{key.name}{path}": Route(key, method, handler, meter)
        for path, method in {"": "GET", "/ready": "GET", "/config": "GET", "/stats": "GET", "/infer": "POST"}.items()
    }
    for path, method in {"ping": "GET", "health": "GET", "invocations": "POST"}.items():
        routes[f"/deployments/{key.name}/{path}"] = Route(key, method, handler, meter)
    return routes


def _fixed(document: object) -> Handler:
    return same(Answer(200, orjson.dumps(document)))


def same(answer: Answer) -> Handler:
    """Return a handler that always gives this answer."""

    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        return answer

    return handler


def _broken(name: str, why: str) -> Handler:
    """Return what answers whatever is asked of a model that is not served at all."""

    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        raise Refused(503, f"Model '{name}' is not loaded: {why}")

    return handler


def _server(state: State, failures: dict[str, str], desk: Desk) -> Handler:
    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        behind = bool(desk.problem())
        manifest = {"sequence": state.sequence, "current": not behind, "failures": failures}
        extensions = ["binary_tensor_data", "model_repository", "statistics", "model_configuration"]
        return Answer(200, orjson.dumps({"name": "custody", "version": _VERSION, "extensions": extensions, "manifest": manifest}))

    return handler


def _statistics(*arms: Arm) -> Handler:
    async def handler(exchange: Exchange) -> Answer:  # noqa: ARG001 - one shape for all handlers
        return Answer(200, orjson.dumps({"model_stats": [statistic(arm) for arm in arms]}))

    return handler
