"""The page about a dataset version's removal report, for people who answer for the data."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from custody.core.refs import DatasetRef, name_of
from custody.lifecycle.claims import Claimed
from custody.privacy.scans.measurement import Recall, clopper_pearson
from custody.privacy.scans.scan import Standing
from custody.web.callers import Version
from custody.web.pages import rendered, shielded


def row_of(one: Recall) -> dict[str, object]:
    """Return a measured recall as a row: share, interval and n, all in one place since none says much alone."""
    low, high = clopper_pearson(one.hits, one.n)
    return {"type": one.type, "hits": one.hits, "n": one.n, "share": one.hits / one.n if one.n else 0.0, "low": low, "high": high}


def report_page(request: Request, seen: Claimed) -> Response:
    """Render a version's report."""
    found = {standing: [one for one in seen.scan.found if one.standing is standing] for standing in Standing}
    return rendered(
        request,
        "report.html",
        seen=seen,
        report=seen.report,
        blocking=[*found[Standing.FOUND], *found[Standing.UNKNOWN]],
        doubtful=found[Standing.DOUBTFUL],
        declared=found[Standing.DECLARED],
        quasi=found[Standing.QUASI],
        harmless=found[Standing.HARMLESS],
        recall=[row_of(one) for one in seen.report.recall],
        twin=f"/api/v1/datasets/{seen.ref.name}/{seen.ref.version}/scan",
    )


def router(load: Callable[[Request, DatasetRef], Claimed]) -> APIRouter:
    """Return the route of the page."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/datasets/{name}/{version}/report")
    def report(request: Request, name: str, version: Version) -> Response:
        return shielded(request, lambda: report_page(request, load(request, DatasetRef(name_of("dataset", name), version))))

    return pages
