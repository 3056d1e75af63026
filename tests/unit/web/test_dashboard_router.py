import asyncio
import csv
import gzip
import io
import re
from typing import Any

import httpx
import pytest
from dashboard_examples import HOSTILE, SERVICES
from serve_examples import made

from custody.web.pages import POLICY, tone

WORST = "/deployments/northwind/prod/churn-signal"
PAGES = [
    "/",
    "/?as=empty",
    "/?as=hostile",
    WORST,
    "/deployments/umbrella-health/prod/triage",
    "/deployments/evil/prod/text",
    "/login",
]


class Site:
    """The pages, called in process; redirects are not followed and cookies not kept."""

    def __init__(self) -> None:
        self._transport = httpx.ASGITransport(made())

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://custody.test") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self._call("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self._call("POST", path, **more)


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


@pytest.mark.parametrize("path", [*PAGES, "/deployments/acme/prod/nothing", "/?as=denied"])
def test_every_page_has_a_strict_policy_and_nothing_inline(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=", answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_landmarks_a_skip_link_one_heading_and_unique_ids(site: Site, path: str) -> None:
    text = site.get(path).text
    assert '<a class="skip" href="#main">' in text
    assert text.count("<main ") == 1
    assert text.count("<h1") == 1
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert not re.search(r"<th(?![^>]*scope=)[ >]", text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_its_files_stays_below_100_kilobytes(site: Site, path: str) -> None:
    text = site.get(path).text
    files = sum(len(site.get(name).content) for name in re.findall(r'(?:href|src)="(/static/[^"]+)"', text))
    assert len(gzip.compress(text.encode())) + files < 100_000


def test_hostile_text_is_text(site: Site) -> None:
    for path in ("/?as=hostile", "/deployments/evil/prod/text"):
        text = site.get(path).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert HOSTILE not in text
        assert "{{ 7 * 7 }}" in text
        assert "x" * 300 not in text


def test_a_fragment_is_the_main_part_alone(site: Site) -> None:
    whole, part = site.get("/"), site.get("/", headers={"X-Fragment": "1"})
    assert re.fullmatch(r"<main .*</main>", part.text.strip(), re.DOTALL)
    assert part.text.strip() in whole.text
    assert "X-Fragment" in part.headers["vary"]


def test_the_facts_are_on_the_page_without_scripts(site: Site) -> None:
    text = site.get("/").text
    for row in SERVICES:
        assert row.name in text
        assert row.state in text
    assert "0.668\N{EN DASH}0.756, n 412" in text
    assert "registered 0.860" in text
    assert "as of 2026-11-23 04:14:24 UTC" in text


def test_a_deployment_that_keeps_a_part_of_its_rows_says_so(site: Site) -> None:
    assert "keeps 0.1 of the rows" in site.get(WORST).text
    assert "of the rows" not in site.get("/deployments/hooli/prod/ad-quality").text
    rows = list(csv.DictReader(io.StringIO(site.get("/?format=csv").text)))
    assert {row["handling"] for row in rows} == {"", "keeps 0.1 of the rows"}


def test_pages_link_their_json_twin_and_their_csv(site: Site) -> None:
    assert 'href="/api/v1/overview"' in site.get("/").text
    assert 'href="/api/v1/overview?after=a%26b"' in site.get("/?after=a%26b").text
    assert 'href="/api/v1/deployments/northwind/prod/churn-signal"' in site.get(WORST).text


def test_the_csv_of_the_overview_holds_all_pages_unrounded(site: Site) -> None:
    answer = site.get("/?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 2 * len(SERVICES)
    assert rows[0]["deployment"] == "northwind/prod/churn-signal"
    assert float(rows[0]["cost"]) == 38_000
    assert rows[4]["value"] == ""


@pytest.mark.parametrize("table", ["beside", "evaluations", "looks", "slices", "timeline"])
def test_each_table_of_a_deployment_is_a_csv(site: Site, table: str) -> None:
    rows = list(csv.reader(io.StringIO(site.get(f"{WORST}?format=csv&table={table}").text)))
    assert len(rows) > 2
    assert len({len(row) for row in rows}) == 1


def test_a_candidate_stands_beside_the_live_version_or_is_said_to_wait(site: Site) -> None:
    assert "The candidate beside the live version" in site.get(WORST).text
    assert "4,980" in site.get(WORST).text
    assert "Not both have answered yet" in site.get("/deployments/hooli/prod/ad-quality").text
    assert "beside the live version" not in site.get("/deployments/acme/prod/demand-forecast").text


def test_an_unknown_table_is_not_found(site: Site) -> None:
    assert site.get(f"{WORST}?format=csv&table=secrets").status_code == 404


def test_an_alert_is_answered_by_a_form_of_this_site_and_by_nobody_else(site: Site) -> None:
    form = re.search(rf'<form method="post" action="({WORST}/alerts/a1/acknowledged)">', site.get(WORST).text)
    assert form
    answer = site.post(form[1], headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{WORST}#alerts")
    assert site.post(form[1], headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    for wrong in (f"{WORST}/alerts/a1/forgotten", f"{WORST}/alerts/a2/resolved", "/deployments/x/alerts/a1/resolved"):
        assert site.post(wrong, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 404


def test_who_may_only_look_gets_no_buttons(site: Site) -> None:
    assert "/alerts/a1/" not in site.get(f"{WORST}?as=viewer").text


def test_quality_stands_beside_every_group_with_its_interval(site: Site) -> None:
    text = site.get(WORST).text
    assert "region = north" in text
    assert re.search(r'region = \(missing\)</bdi></th><td class="number">.</td><td class="number">not measured', text)


def test_csv_text_cannot_run_as_a_formula(site: Site) -> None:
    from custody.web.figures.tables import spreadsheet

    assert spreadsheet([("=1+1", "-x", -2.5, "fine")]) == b"'=1+1,'-x,-2.5,fine\r\n"


@pytest.mark.parametrize(
    "path",
    [
        "/deployments/acme/prod/nothing",
        "/deployments/other-tenant/prod/churn",
        "/deployments/%3Cscript%3E",
        "/deployments/a/b/c/d",
    ],
)
def test_what_is_not_there_or_not_ours_gives_the_same_designed_page(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 404
    assert "custody deployment ls" in answer.text
    assert "Back to the overview" in answer.text


@pytest.mark.parametrize("path", ["/?as=denied", f"{WORST}?as=denied"])
def test_without_a_key_the_sign_in_form_stands_in_place(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 403
    assert 'action="/login"' in answer.text
    assert f'name="to" value="{path.split("?", maxsplit=1)[0]}"' in answer.text


def test_a_good_key_signs_in_and_leads_back(site: Site) -> None:
    answer = site.post("/login", data={"key": "good", "to": WORST})
    assert (answer.status_code, answer.headers["location"]) == (303, WORST)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("custody_session=session;")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_a_bad_key_signs_nobody_in(site: Site) -> None:
    answer = site.post("/login", data={"key": "bad"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert 'role="alert"' in answer.text
    assert "bad" not in answer.text.partition("<main")[2].replace('class="bad"', "")


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\r\nX: y", ""]
)
def test_signing_in_never_leads_to_another_site(site: Site, to: str) -> None:
    assert site.post("/login", data={"key": "good", "to": to}).headers["location"] == "/"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}])
def test_a_form_from_another_site_is_refused(site: Site, headers: dict[str, str]) -> None:
    for path in ("/login", "/logout"):
        answer = site.post(path, data={"key": "good"}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


def test_signing_out_ends_the_session(site: Site) -> None:
    answer = site.post("/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'custody_session=""' in answer.headers["set-cookie"]


def test_static_files_may_be_kept_for_ever_and_others_do_not_exist(site: Site) -> None:
    name = re.findall(r'href="(/static/custody.css\?v=[0-9a-f]+)"', site.get("/").text)[0]
    assert "immutable" in site.get(name).headers["cache-control"]
    assert site.get("/static/..%2Fpages.py").status_code == 404


def test_an_empty_dashboard_names_the_next_command(site: Site) -> None:
    assert "custody deployment deploy" in site.get("/?as=empty").text
    text = site.get("/deployments/umbrella-health/prod/triage").text
    for command in ("label add umbrella-health/prod/triage labels.csv", "gate check triage@3", "value add"):
        assert f"custody {command}" in text


def test_an_unknown_state_never_looks_green() -> None:
    assert tone("unknown") == "unsure"
    assert tone("anything else") == "unsure"
    assert tone("healthy") == "ok"
