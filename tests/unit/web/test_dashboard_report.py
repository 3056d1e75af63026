"""The page of a removal report: what may be claimed, what it rests on, with intervals and n; hostile names stay text."""

import asyncio
import re
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI, Request

from custody.core.digest import Digest
from custody.core.errors import NotFound
from custody.core.refs import DatasetRef
from custody.lifecycle.claims import Claimed
from custody.lifecycle.scan import SignedReport
from custody.privacy.patterns.pattern import Tier
from custody.privacy.scans.measured import COUNTS, LABELLED_SET
from custody.privacy.scans.measurement import recalls
from custody.privacy.scans.report import Grouping, Residual, ScanReport
from custody.privacy.scans.scan import Found, Scan, Standing
from custody.privacy.scans.state import ScanState
from custody.web.pages import POLICY
from custody.web.reports import router

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = Digest("ab" * 32)
EVIL = "<script>alert(1)</script>"
REF = DatasetRef("people", 2)
REPORT = ScanReport(
    policy_name="default",
    policy_digest=DIGEST,
    pack_version=3,
    pack_digest=DIGEST,
    detectors=("patterns-default 3.ab",),
    rows=40,
    counts={"EMAIL": 40},
    text_bytes=100,
    scanned_bytes=100,
    residual=Residual(("patterns-strict 3.ab", "columns 1"), {"PHONE": 1}),
    canaries=12,
    canaries_found=12,
    recall=recalls(LABELLED_SET, DIGEST, COUNTS[Tier.DEFAULT]),
    grouping=Grouping(("age", "sex"), 7, 0),
    dataset=str(REF),
    data=DIGEST,
)
FOUND = (
    Found(EVIL, "PHONE", "user.contact.phone_number", 1, Standing.FOUND),
    Found("email", "EMAIL", "user.contact.email", 40, Standing.DECLARED),
    Found("note", "DATE", "user.behavior", 3, Standing.DOUBTFUL),
    Found("age", "COLUMN", "user.demographic.age_range", 40, Standing.QUASI),
)


def seen(state: str = "rejected") -> Claimed:
    scan = Scan(REF, ScanState(state), (f"Column '{EVIL}' holds PHONE.",), FOUND, DIGEST, DIGEST, DIGEST, NOW)
    return Claimed(
        REF, f"People {EVIL}", state, scan.reasons, REPORT.claim, scan, REPORT, SignedReport("{}", "AA==", "k1", NOW), NOW
    )


def load(_: Request, ref: DatasetRef) -> Claimed:
    if ref.name != "people":
        raise NotFound.of("dataset", str(ref))
    return seen("cleared" if ref.version == 3 else "rejected")


def get(path: str) -> httpx.Response:
    app = FastAPI(openapi_url=None)
    app.include_router(router(load))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://custody.test") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_the_page_says_what_may_be_claimed_and_what_it_rests_on() -> None:
    page = get("/datasets/people/2/report")
    assert page.status_code == 200
    for said in (
        "The residual scan found 1.",
        "12 of 12 found",
        "7 rows",
        "user.contact.email",
        "k1",
        "waiting for a person",
        "rejected",
    ):
        assert said in page.text, said
    assert "no statement that the data is anonymous" in page.text
    assert 'href="/api/v1/datasets/people/2/scan"' in page.text


def test_every_measured_type_stands_with_its_interval_and_n() -> None:
    text = get("/datasets/people/3/report").text
    for kind, (hits, n) in COUNTS[Tier.DEFAULT].items():
        row = re.search(rf'<th scope="row" class="mono">{kind}</th>(.*?)</tr>', text, re.DOTALL)
        assert row, kind
        assert f">{hits}<" in row.group(1)
        assert f">{n}<" in row.group(1)
        assert "\N{EN DASH}" in row.group(1)


@pytest.mark.parametrize("path", ["/datasets/people/2/report", "/datasets/people/3/report"])
def test_the_page_is_strict_and_hostile_names_are_text(path: str) -> None:
    page = get(path)
    assert page.headers["content-security-policy"] == POLICY
    assert EVIL not in page.text
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", page.text)
    ids = re.findall(r'\sid="([^"]+)"', page.text)
    assert len(ids) == len(set(ids))
    assert page.text.count("<h1") == 1


def test_an_unknown_dataset_gives_the_designed_page() -> None:
    assert get("/datasets/nobody/1/report").status_code == 404
