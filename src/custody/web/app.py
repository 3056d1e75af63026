"""The control plane's ASGI app: API, pages and errors, wired with ports from outside."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from custody import __version__
from custody.core.errors import CustodyError, InvalidInput, NotFound
from custody.core.refs import DeploymentKey
from custody.core.tenancy import Actor, Role
from custody.lifecycle.admit import end_session, open_session
from custody.lifecycle.alerts import answer_alert
from custody.lifecycle.claims import claimed
from custody.lifecycle.overview import describe, overview
from custody.lifecycle.stores import Ports
from custody.lifecycle.views import DeploymentView, Overview
from custody.monitoring.alert import AlertState
from custody.web import api_data, api_house, api_live, api_models, api_privacy, api_watch, pages, reports
from custody.web.callers import Clock, caller
from custody.web.guard import Guard
from custody.web.wire import problem


def create_app(ports: Ports, clock: Clock, *, local: Actor | None = None) -> FastAPI:
    """Make the app; local: an actor that every request acts as, for a folder that only its owner can open."""
    app = FastAPI(title="custody", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.ports, app.state.clock, app.state.local = ports, clock, local
    app.add_exception_handler(CustodyError, problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    for router in (api_privacy.router, api_data.router, api_models.router, api_live.router, api_watch.router, api_house.router):
        app.include_router(router)
    if local is None:
        app.include_router(
            pages.router(
                _Load(ports), lambda key: open_session(ports, key, clock()), lambda key: end_session(ports, key, clock())
            )
        )
        app.include_router(reports.router(lambda request, ref: claimed(ports, caller(request), ref)))
        app.add_middleware(Guard, ports=ports, clock=clock)
    return app


class _Load:
    """Gives the pages what the API answers."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def overview(self, request: Request, after: str | None) -> Overview:
        return overview(self._ports, caller(request), after=after)

    def deployment(self, request: Request, key: DeploymentKey) -> DeploymentView:
        return describe(self._ports, caller(request), key)

    def may_answer(self, request: Request) -> bool:
        return caller(request).actor.holds(Role.CONTRIBUTOR)

    def answer(self, request: Request, key: DeploymentKey, alert: str, state: AlertState) -> None:
        answer_alert(self._ports, caller(request), key, alert, state, reason="from the dashboard")


def _invalid(request: Request, error: Exception) -> Response:
    """Say which fields of a request are wrong, in the shape of every other error."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    return problem(
        request, InvalidInput("The request has wrong fields.", why="; ".join(faults[:20]), facts={"faults": faults[:20]})
    )


def _unrouted(request: Request, error: Exception) -> Response:
    """Answer a path or method that no route takes in the shape of every other error."""
    assert isinstance(error, HTTPException)
    found = problem(
        request,
        NotFound(
            f"Nothing answers {request.method} {request.url.path[:120]}.",
            why="The path or the method is not one of the API's.",
            fix="All are listed in /api/v1/openapi.json",
        ),
    )
    found.headers.update(error.headers or {})
    return found
