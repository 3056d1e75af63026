"""The pages about datasets: all versions, and each one's removal report, for people who answer for the data."""

from collections.abc import Callable
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from custody.core.page import Page
from custody.core.refs import DatasetRef, name_of
from custody.data.dataset import DatasetSummary
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


def list_page(request: Request, page: Page[DatasetSummary]) -> Response:
    """Render a page of the list of versions."""
    older = f"/datasets?{urlencode({'after': page.next})}" if page.next else ""
    return rendered(request, "datasets.html", page=page, twin="/api/v1/datasets", next_page=older)


def router(
    load: Callable[[Request, DatasetRef], Claimed], listed: Callable[[Request, str | None], Page[DatasetSummary]]
) -> APIRouter:
    """Return the routes of the pages; load: one report. listed: a page of versions after a cursor."""
    pages = APIRouter(include_in_schema=False)

    @pages.get("/datasets")
    def datasets(request: Request, after: str | None = None) -> Response:
        return shielded(request, lambda: list_page(request, listed(request, after)))

    @pages.get("/datasets/{name}/{version}/report")
    def report(request: Request, name: str, version: Version) -> Response:
        return shielded(request, lambda: report_page(request, load(request, DatasetRef(name_of("dataset", name), version))))

    return pages
