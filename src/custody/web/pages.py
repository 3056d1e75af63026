"""The dashboard's pages: one handler, one view and one template each; every page also answers CSV and links its JSON twin."""

import gzip
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from fastapi import APIRouter, Form, Query, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from custody.core.errors import CustodyError, Denied, InvalidInput, NotFound
from custody.core.refs import DatasetRef, DeploymentKey
from custody.data.standards.formats import STANDARDS
from custody.lifecycle.views import DeploymentView, Overview, ServiceRow
from custody.monitoring.alert import AlertState
from custody.web.callers import COOKIE
from custody.web.figures import words
from custody.web.figures.charts import sparkline
from custody.web.figures.lineage import lineage, page_of
from custody.web.figures.measurements import drift, newest, quality, windows
from custody.web.figures.tables import deployment_tables, service_table, spreadsheet
from custody.web.figures.timeline import hues, timeline
from custody.web.wire import status_of

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "X-Fragment, Cookie, Accept-Encoding",
}
HEADING = {404: "Not found", 409: "It moved on", 422: "That cannot be shown", 500: "The records do not match", 503: "Not now"}
TONE = {
    "ok": {"healthy", "pass", "resolved", "promote", "none", "cleared"},
    "warn": {"degraded", "inconclusive", "waived", "notice", "acknowledged", "rollback", "reject", "quarantined", "scanned"},
    "bad": {"failing", "fail", "open", "alarm", "rejected"},
}
METRIC = {"f1": "F1", "auc": "AUC", "roc_auc": "ROC AUC", "auroc": "AUROC", "mcc": "MCC", "tpr": "TPR", "fpr": "FPR"}
TYPES = {"custody.css": "text/css", "custody.js": "text/javascript", "custody.svg": "image/svg+xml"}


class Loader(Protocol):
    """Where the pages get their data; both calls may raise any CustodyError."""

    def overview(self, request: Request, after: str | None) -> Overview:
        """Return one page of services; after: the cursor of the page before."""
        ...

    def deployment(self, request: Request, key: DeploymentKey) -> DeploymentView:
        """Return one deployment; NotFound also for another tenant's."""
        ...

    def dataset(self, request: Request, ref: DatasetRef) -> dict[str, Any]:
        """Return a dataset version's card in plain words; NotFound also for another tenant's."""
        ...

    def may_answer(self, request: Request) -> bool:
        """Tell whether this caller may acknowledge and resolve alerts."""
        ...

    def answer(self, request: Request, key: DeploymentKey, alert: str, state: AlertState) -> None:
        """Acknowledge or resolve an alert."""
        ...


def tone(word: str) -> str:
    """Return the colour class of a state, outcome or level; an unknown word never looks green."""
    return next((name for name, those in TONE.items() if str(word).lower() in those), "unsure")


def address(row: ServiceRow) -> str:
    """Return the address of a service's page."""
    return page_of(row.deployment)


def latency(milliseconds: float | None) -> str:
    """Write a latency: `81 ms`, below ten with one decimal."""
    return (
        words.NOTHING if milliseconds is None else f"{milliseconds:,.{1 if milliseconds < 10 else 0}f}\N{NARROW NO-BREAK SPACE}ms"
    )


def drift_sentence(row: ServiceRow) -> str:
    """Say in words what the sparkline shows."""
    expected = "" if row.drift_expected is None else f", without drift about {row.drift_expected:.2f}"
    return f"drift of the score, last {len(row.drift[-30:])} looks, now {row.drift[-1]:.2f}{expected}"


_ASSETS = {name: (files("custody.web") / "static" / name).read_bytes() for name in TYPES}


def asset(name: str) -> str:
    """Return the address of a static file, with its digest, so that browsers may keep it."""
    return f"/static/{name}?v={sha256(_ASSETS[name]).hexdigest()[:12]}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("custody.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals |= {"asset": asset, "sparkline": sparkline, "drift_sentence": drift_sentence}
    made.filters |= {
        name: getattr(words, name) for name in ("moment", "clock", "iso", "count", "figure", "share", "cost", "price", "clip")
    }
    made.filters |= {
        "tone": tone,
        "address": address,
        "latency": latency,
        "metric": lambda name: METRIC.get(name, name.replace("_", " ")),
    }
    return made


_TEMPLATES = _environment()


def rendered(request: Request, template: str, status: int = 200, **values: object) -> Response:
    """Answer a page, or only its main part if the browser asks for a fragment."""
    html = _TEMPLATES.get_template(template).render(
        fragment="x-fragment" in request.headers, signed_in=COOKIE in request.cookies, **values
    )
    return _sent(request, html.encode(), "text/html; charset=utf-8", status)


def _sent(request: Request, body: bytes, kind: str, status: int = 200) -> Response:
    headers = dict(HEADERS)
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["Content-Encoding"] = gzip.compress(body, 6, mtime=0), "gzip"
    return Response(body, status, headers, kind)


def refused(request: Request, error: CustodyError) -> Response:
    """Answer a failure as a page: the sign-in form where a key is missing, else what, why and how to fix it."""
    status = status_of(error)
    if isinstance(error, Denied):
        page = rendered(request, "signin.html", status, problem=error.what, fix=error.fix, to=_local(request.url.path))
        page.headers.update({"WWW-Authenticate": "Bearer"} if status == 401 else {})
        return page
    return rendered(request, "refused.html", status, heading=HEADING[status], what=error.what, why=error.why, fix=error.fix)


def _local(path: str) -> str:
    """Keep a redirect on this site: a path with one leading slash, else the overview."""
    parts = urlsplit(path)
    good = path.startswith("/") and path[1:2] not in {"/", "\\"} and not parts.netloc and path.isprintable()
    return path if good else "/"


def same_origin(request: Request) -> None:
    """Refuse a form that another site sent: browsers say where a POST comes from."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site not in {"same-origin", "none"} if site else bool(origin) and urlsplit(str(origin)).netloc != request.url.netloc
    if foreign:
        raise Denied("That form came from another site.", fix="Open the dashboard itself and try again.")


def overview_page(request: Request, view: Overview, after: str | None = None) -> Response:
    """Render the overview."""
    worst = sorted((row for row in view.services if row.cost is not None), key=lambda row: -(row.cost or 0.0))
    how = [(currency, next((row for row in worst if row.currency == currency), None)) for currency, _ in view.cost[:3]]
    here = f"?{urlencode({'after': after})}" if after else ""
    return rendered(
        request,
        "overview.html",
        view=view,
        how=[(currency, row) for currency, row in how if row],
        twin=f"/api/v1/overview{here}",
        csv="/?format=csv",
        next_page=f"/?{urlencode({'after': view.next})}" if view.next else "",
    )


def deployment_page(request: Request, view: DeploymentView, *, may_answer: bool = False) -> Response:
    """Render one deployment."""
    here = quote(view.row.deployment)
    judged = view.row.metric or view.row.registered
    found = windows(view.evaluations, judged.metric if judged else None)
    return rendered(
        request,
        "deployment.html",
        view=view,
        may_answer=may_answer,
        row=view.row,
        metric=judged.metric if judged else "",
        windows=found,
        quality=quality(found, view.row.registered, view.timeline),
        drift=drift(view.looks, view.timeline),
        newest=newest(view.looks),
        timeline=timeline(view.timeline, view.as_of),
        hues=hues(sorted(view.timeline, key=lambda one: one.number)),
        drawing=lineage(view.lineage, view.edges, view.row.deployment),
        twin=f"/api/v1/deployments/{here}",
        csv=f"/deployments/{here}?format=csv",
    )


def dataset_page(request: Request, view: dict[str, Any]) -> Response:
    """Render one dataset version: its card, in sentences."""
    twin = "/api/v1/datasets/" + quote(view["dataset"].replace("@", "/")) + "/card"
    return rendered(request, "dataset.html", view=view, twin=twin, forms=list(STANDARDS))


def _dataset(load: Loader, request: Request, path: str) -> Response:
    try:
        ref = DatasetRef.parse(path)
    except InvalidInput as error:
        raise NotFound.of("dataset", path[:120], ls="custody dataset ls") from error
    return dataset_page(request, load.dataset(request, ref))


def _all_services(load: Loader, request: Request) -> list[ServiceRow]:
    view = load.overview(request, None)
    rows = list(view.services)
    while view.next:
        view = load.overview(request, view.next)
        rows += view.services
    return rows


def shielded(request: Request, answer: Callable[[], Response]) -> Response:
    """Answer, or say in a page of the same design why not."""
    try:
        return answer()
    except CustodyError as error:
        return refused(request, error)


def _overview(load: Loader, request: Request, after: str | None, form: str) -> Response:
    if form == "csv":
        return _sent(request, spreadsheet(service_table(_all_services(load, request))), "text/csv; charset=utf-8")
    return overview_page(request, load.overview(request, after), after)


def _deployment(load: Loader, request: Request, path: str, form: str, table: str) -> Response:
    try:
        key = DeploymentKey.parse(path)
    except InvalidInput as error:
        raise NotFound.of("deployment", path[:120], ls="custody deployment ls") from error
    view = load.deployment(request, key)
    if form != "csv":
        return deployment_page(request, view, may_answer=load.may_answer(request))
    tables = deployment_tables(view)
    if table not in tables:
        raise NotFound.of("table", table[:40], near=list(tables))
    return _sent(request, spreadsheet(tables[table]), "text/csv; charset=utf-8")


def _answer(load: Loader, request: Request, path: str, alert: str, state: str) -> Response:
    same_origin(request)
    try:
        key, wanted = DeploymentKey.parse(path), AlertState(state)
    except (InvalidInput, ValueError) as error:
        raise NotFound.of("alert", alert[:120]) from error
    load.answer(request, key, alert, wanted)
    return Response(status_code=303, headers={**HEADERS, "Location": f"{page_of(str(key))}#alerts"})


def _login(request: Request, sign_in: Callable[[str], str | None], key: str, to: str) -> Response:
    same_origin(request)
    session = sign_in(key)
    if session is None:
        return rendered(request, "signin.html", 403, problem="That key is not known, expired or revoked.", fix="", to=_local(to))
    answer = Response(status_code=303, headers={**HEADERS, "Location": _local(to)})
    answer.set_cookie(COOKIE, session, httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return answer


def _logout(request: Request, sign_out: Callable[[str], None]) -> Response:
    same_origin(request)
    sign_out(request.cookies.get(COOKIE, ""))
    answer = Response(status_code=303, headers={**HEADERS, "Location": "/login"})
    answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
    return answer


def router(load: Loader, sign_in: Callable[[str], str | None], sign_out: Callable[[str], None]) -> APIRouter:
    """Return the routes of the pages, their forms and static files.

    sign_in: turns an API key into the value of the session cookie, or None if the key is not good. sign_out: ends a session.
    """
    pages = APIRouter(include_in_schema=False)

    @pages.get("/")
    def overview(request: Request, after: str | None = None, form: Annotated[str, Query(alias="format")] = "html") -> Response:
        return shielded(request, lambda: _overview(load, request, after, form))

    @pages.get("/deployments/{path:path}")
    def deployment(
        request: Request, path: str, form: Annotated[str, Query(alias="format")] = "html", table: str = "evaluations"
    ) -> Response:
        return shielded(request, lambda: _deployment(load, request, path, form, table))

    @pages.get("/datasets/{path}")
    def dataset(request: Request, path: str) -> Response:
        return shielded(request, lambda: _dataset(load, request, path))

    @pages.post("/deployments/{path:path}/alerts/{alert}/{state}")
    def answer(request: Request, path: str, alert: str, state: str) -> Response:
        return shielded(request, lambda: _answer(load, request, path, alert, state))

    @pages.get("/login")
    def login_form(request: Request, to: str = "/") -> Response:
        return rendered(request, "signin.html", problem="", fix="", to=_local(to))

    @pages.post("/login")
    def login(request: Request, key: Annotated[str, Form()] = "", to: Annotated[str, Form()] = "/") -> Response:
        return shielded(request, lambda: _login(request, sign_in, key, to))

    @pages.post("/logout")
    def logout(request: Request) -> Response:
        return shielded(request, lambda: _logout(request, sign_out))

    @pages.get("/static/{name}")
    def static(request: Request, name: str) -> Response:
        return shielded(request, lambda: _static(name))

    return pages


def _static(name: str) -> Response:
    if name not in _ASSETS:
        raise NotFound.of("file", name[:80])
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(_ASSETS[name], 200, headers, TYPES[name])
