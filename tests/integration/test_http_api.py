"""The control plane over HTTP with a real server process: errors, keys, tenants, sessions, pages and their JSON twins."""

import html
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from doors_world import KEY, POLICY, Up, rows

from custody.core.errors import Conflict, CustodyError, Denied, InvalidInput, NotFound, Unavailable
from custody.core.tenancy import HOUSE
from custody.sdk.client import Client
from custody.sdk.wire import _error

TO = "\N{EN DASH}"
PROBLEM = ["type", "title", "status", "detail", "why", "fix", "facts"]


@pytest.fixture
def team(served: Up) -> Iterator[httpx.Client]:
    """The team's own key, which may do everything."""
    with served.http(served.key) as client:
        yield client


@pytest.fixture(scope="module")
def keys(served: Up) -> dict[str, str]:
    """A key of each role that is bound to tenant acme, and one of tenant globex."""
    with served.client() as client:
        made = {role: client.key_add(f"acme {role}", role=role, tenant="acme") for role in ("viewer", "contributor", "approver")}
        made["globex"] = client.key_add("globex admin", role="admin", tenant="globex")
        return {name: done.data["secret"] for name, done in made.items()}


def problem(answer: httpx.Response, status: int, title: str) -> dict[str, Any]:
    """Demand an RFC 9457 document with our five facts, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert list(found) == PROBLEM
    assert (found["status"], found["title"], found["type"]) == (status, title, "about:blank")
    assert found["detail"]
    return found


# errors


def test_input_that_cannot_work_is_422_with_every_fault(team: httpx.Client) -> None:
    fields = problem(team.post("/api/v1/deployments", json={"tenant": "acme", "shar": 1}), 422, "InvalidInput")
    assert "body.model" in fields["why"]
    assert "body.shar" in fields["why"]
    problem(team.post("/api/v1/tenants", json={"name": "../x"}), 422, "InvalidInput")
    problem(team.get("/api/v1/runs", params={"status": "sleeping"}), 422, "InvalidInput")
    problem(team.post("/api/v1/deployments", content=b"{oops"), 422, "InvalidInput")
    settings = problem(team.put("/api/v1/gates/churn", json={"metrix": []}), 422, "InvalidInput")
    assert "did you mean 'metrics'" in settings["detail"]


def test_an_uploaded_dataset_whose_description_is_wrong_is_422(team: httpx.Client) -> None:
    for meta in ("{}", "not json", '{"name": "x", "format": "csv", "card": {}, "colour": 1}'):
        files = {"file": ("rows", b"a\n1\n")}
        problem(team.post("/api/v1/datasets", files=files, data={"meta": meta}), 422, "InvalidInput")


def test_what_does_not_exist_is_404_with_near_names_as_facts(team: httpx.Client) -> None:
    found = problem(team.get("/api/v1/models/churm/1"), 404, "NotFound")
    assert found["facts"]["near"] == ["churn"]
    for path in ("/api/v1/nothing", "/api/v1/models/a/b/c/d", "/nowhere"):
        problem(team.get(path), 404, "NotFound")


def test_a_state_that_moved_on_is_409_and_names_the_revision(team: httpx.Client) -> None:
    found = problem(team.post(f"/api/v1/deployments/{KEY}/promote", json={"expected": 99}), 409, "Conflict")
    assert found["facts"] == {"revision": 1, "expected": 99}


def test_a_missing_verdict_is_403(team: httpx.Client) -> None:
    found = problem(team.post("/api/v1/deployments", json={"model": "strict@1", "tenant": "acme"}), 403, "Denied")
    assert "its gate did not pass" in found["detail"]
    assert found["fix"].endswith("custody gate check strict@1")


def test_a_busy_database_is_503_and_says_when_to_try_again(served: Up, team: httpx.Client) -> None:
    held = sqlite3.connect(served.project.folder / "custody.db", isolation_level=None)
    try:
        held.execute("begin immediate")
        answer = team.post("/api/v1/tenants", json={"name": "later"})
    finally:
        held.close()
    problem(answer, 503, "Unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert team.get("/api/v1/tenants").status_code == 200
    assert "later" not in team.get("/api/v1/tenants").text


def test_a_damaged_object_is_500_and_never_handed_out(served: Up, team: httpx.Client) -> None:
    digest = team.get("/api/v1/models/strict/1").json()["result"]["artifact"]
    with served.project.ports() as ports:
        name = ports.stores.objects._name(HOUSE, digest)  # type: ignore[attr-defined]  # sealed objects are named by a keyed hash
    stored = served.project.folder / "objects" / "documents" / name
    whole, mode = stored.read_bytes(), stored.stat().st_mode
    artifact = team.get("/api/v1/models/strict/1/artifact").content
    stored.chmod(0o600)
    try:
        stored.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        problem(team.get("/api/v1/models/strict/1/artifact"), 500, "IntegrityBroken")
        assert team.post("/api/v1/verify").json()["result"]["ok"] is False
    finally:
        stored.write_bytes(whole)
        stored.chmod(mode)
    assert team.get("/api/v1/models/strict/1/artifact").content == artifact


def test_the_sdk_raises_the_error_that_the_server_raised(served: Up, keys: dict[str, str]) -> None:
    cases: list[tuple[type[CustodyError], Callable[[Client], object]]] = [
        (InvalidInput, lambda client: client.tenant_add("Not A Slug")),
        (NotFound, lambda client: client.model_show("churn@77")),
        (Conflict, lambda client: client.deployment_step(KEY, "promote")),
        (Denied, lambda client: client.deployment_deploy("strict@1", tenant="acme")),
        (NotFound, lambda client: client.wire.call("GET", "/nothing")),
    ]
    for kind, call in cases:
        with served.client() as client, pytest.raises(kind) as caught:
            call(client)
        assert type(caught.value) is kind
        assert caught.value.what
    with served.client("ck_wrong") as client, pytest.raises(Denied, match="valid key"):
        client.whoami()
    with served.client(keys["viewer"]) as client, pytest.raises(Denied, match="needs the role"):
        client.label_add(KEY, [("row-1", "Yes")])


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<h1>bad gateway</h1>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(500, json=[1]),
        httpx.Response(400, json={"title": "SystemExit", "detail": "", "why": "", "fix": "", "facts": {}}),
    ],
)
def test_an_error_that_is_not_custodys_is_unavailable_and_never_a_crash(answer: httpx.Response) -> None:
    found = _error(answer)
    assert type(found) is Unavailable
    assert str(answer.status_code) in found.what


# keys, roles, tenants


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer ck_wrong"}, {"X-Custody-Key": ""}, {"Authorization": "Basic YTpi"}]
)
def test_a_missing_or_invalid_key_is_401_and_names_the_scheme(served: Up, headers: dict[str, str]) -> None:
    with served.http() as anyone:
        for method, path in (("GET", "/api/v1/datasets"), ("POST", "/api/v1/tenants"), ("GET", f"/api/v1/deployments/{KEY}")):
            answer = anyone.request(method, path, headers=headers)
            assert problem(answer, 401, "Denied")["fix"]
            assert answer.headers["www-authenticate"] == "Bearer"


def test_every_operation_of_the_api_needs_a_key(served: Up) -> None:
    with served.http() as anyone:
        paths = anyone.get("/api/v1/openapi.json").json()["paths"]
        operations = [(method, path) for path, methods in paths.items() for method in methods if path.startswith("/api/")]
        assert len(operations) > 35
        for method, path in operations:
            filled = re.sub(r"\{[^}]+\}", "1", path)
            assert anyone.request(method.upper(), filled).status_code in {401, 422}, (method, path)
            known = {"Authorization": "Bearer ck_wrong"}
            if method == "get":
                assert anyone.get(filled, headers=known).status_code == 401, path


def test_a_revoked_key_is_401_at_once(served: Up, team: httpx.Client) -> None:
    made = team.post("/api/v1/keys", json={"name": "short", "role": "viewer"}).json()["result"]
    with served.http(made["secret"]) as client:
        assert client.get("/api/v1/whoami").status_code == 200
        assert team.delete(f"/api/v1/keys/{made['key']['id']}").status_code == 200
        problem(client.get("/api/v1/whoami"), 401, "Denied")


def test_a_secret_is_shown_once_and_never_listed(team: httpx.Client, keys: dict[str, str]) -> None:
    listed = team.get("/api/v1/keys").text + team.get("/api/v1/ledger", params={"kind": "key.added"}).text
    assert not [secret for secret in keys.values() if secret in listed]


def test_a_role_that_is_too_low_is_403_and_says_which_is_needed(served: Up, keys: dict[str, str]) -> None:
    wanted: list[tuple[str, str, str, Any, str]] = [
        ("viewer", "POST", f"/api/v1/labels/{KEY}", {"rows": [["row-1", "Yes"]]}, "contributor"),
        ("viewer", "POST", f"/api/v1/deployments/{KEY}/rollback", {}, "contributor"),
        ("viewer", "POST", "/api/v1/runs", {"name": "x"}, "contributor"),
        ("contributor", "PUT", "/api/v1/gates/own", POLICY, "approver"),
        ("approver", "POST", "/api/v1/keys", {"name": "x", "role": "admin"}, "admin"),
        ("approver", "POST", "/api/v1/tenants", {"name": "mine"}, "admin"),
        ("viewer", "GET", "/api/v1/keys", None, "admin"),
    ]
    for role, method, path, body, needed in wanted:
        with served.http(keys[role]) as client:
            found = problem(client.request(method, path, json=body), 403, "Denied")
            assert found["facts"] == {"role": role, "needed": needed}, path


def test_another_tenants_things_are_404_and_never_403(served: Up, team: httpx.Client, keys: dict[str, str]) -> None:
    before = len(team.get("/api/v1/ledger", params={"limit": 500}).json()["result"])
    with served.http(keys["globex"]) as stranger:
        for method, path, body in (
            ("GET", f"/api/v1/deployments/{KEY}", None),
            ("GET", f"/api/v1/deployments/{KEY}/history", None),
            ("POST", f"/api/v1/deployments/{KEY}/rollback", {}),
            ("POST", f"/api/v1/deployments/{KEY}/evaluate", None),
            ("POST", f"/api/v1/deployments/{KEY}/retrain", {}),
            ("GET", f"/api/v1/labels/{KEY}", None),
            ("POST", f"/api/v1/labels/{KEY}", {"rows": [["row-1", "Yes"]]}),
            ("GET", f"/api/v1/monitors/{KEY}", None),
            ("PUT", f"/api/v1/monitors/{KEY}", {}),
            ("GET", f"/api/v1/values/{KEY}", None),
            ("POST", "/api/v1/deployments", {"model": "churn@1", "tenant": "acme"}),
            ("GET", "/api/v1/models/churn/1", None),
            ("GET", "/api/v1/models/churn/1/artifact", None),
            ("GET", "/api/v1/datasets/tickets/1", None),
        ):
            problem(stranger.request(method, path, json=body), 404, "NotFound")
        for tenant in ("acme", "default", "nobody-at-all"):
            problem(stranger.get("/api/v1/datasets", headers={"X-Custody-Tenant": tenant}), 404, "NotFound")
        assert stranger.get("/api/v1/deployments").json()["result"] == []
        assert {one["tenant"] for one in stranger.get("/api/v1/ledger").json()["result"]} <= {"globex"}
    assert len(team.get("/api/v1/ledger", params={"limit": 500}).json()["result"]) == before


def test_a_tenant_that_exists_and_one_that_does_not_answer_alike(served: Up, keys: dict[str, str]) -> None:
    with served.http(keys["globex"]) as stranger:
        texts = [
            stranger.get(f"/api/v1/deployments/{tenant}/prod/churn").text.replace(tenant, "T") for tenant in ("acme", "nobody")
        ]
    assert texts[0] == texts[1]


def test_a_tenants_admin_cannot_make_a_key_for_another_tenant_or_for_all(served: Up, keys: dict[str, str]) -> None:
    with served.http(keys["globex"]) as stranger:
        problem(stranger.post("/api/v1/keys", json={"name": "x", "role": "admin", "tenant": "acme"}), 404, "NotFound")
        made = stranger.post("/api/v1/keys", json={"name": "x", "role": "admin"}).json()["result"]
        assert made["key"]["tenant"] == "globex"


# the document


def test_the_openapi_document_builds_and_describes_every_operation(served: Up) -> None:
    with served.http() as anyone:
        document = anyone.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    assert [
        one["operationId"] for one in operations if not one.get("description") and one["operationId"] != "health_health_get"
    ] == []
    assert len({one["operationId"] for one in operations}) == len(operations)
    assert "/login" not in document["paths"]


def test_health_needs_no_key_and_tells_no_secrets(served: Up) -> None:
    with served.http() as anyone:
        assert anyone.get("/health").json().keys() == {"status", "version"}


# people: sign-in, sessions, pages


@pytest.fixture
def browser(served: Up) -> Iterator[httpx.Client]:
    """A browser that has signed in with the team's key."""
    with served.http() as client:
        answer = client.post("/login", data={"key": served.key, "to": f"/deployments/{KEY}"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/deployments/{KEY}")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert served.key not in cookie
        yield client


def test_without_a_session_a_page_is_the_sign_in_form(served: Up) -> None:
    with served.http() as anyone:
        for path in ("/", f"/deployments/{KEY}", f"/deployments/{KEY}?format=csv"):
            answer = anyone.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert 'action="/login"' in answer.text
            assert "churn@" not in answer.text


def test_a_wrong_key_signs_nobody_in(served: Up) -> None:
    with served.http() as anyone:
        answer = anyone.post("/login", data={"key": "ck_wrong"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert anyone.get("/").status_code == 401


def test_a_change_that_another_site_sends_with_our_cookie_is_refused(browser: httpx.Client, team: httpx.Client) -> None:
    before = team.get("/api/v1/tenants").text
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        problem(browser.post("/api/v1/tenants", json={"name": "forged"}, headers={"Origin": origin}), 403, "Denied")
        assert browser.post("/logout", headers={"Origin": origin}).status_code == 403
    assert team.get("/api/v1/tenants").text == before
    own = str(browser.base_url).rstrip("/")
    answer = browser.post("/api/v1/tenants", json={"name": "own-site"}, params={"dry_run": True}, headers={"Origin": own})
    assert answer.status_code == 200


def test_the_overview_shows_real_numbers_and_its_json_twin_the_same(browser: httpx.Client) -> None:
    page, twin = browser.get("/"), browser.get("/api/v1/overview").json()["result"]
    assert page.status_code == 200
    (row,) = twin["services"]
    text = words(page.text)
    for expected in (
        f"{row['metric']['value']:.3f}",
        f"{row['metric']['low']:.3f}{TO}{row['metric']['high']:.3f}, n {row['metric']['n']}",
        f"registered {row['registered']['value']:.3f}",
        f"{twin['labelled']} of {twin['predictions']} predictions have a label",
        row["model"],
        row["reason"],
    ):
        assert expected in text, expected
    assert 'href="/api/v1/overview"' in page.text
    assert row["predictions"] == twin["labelled"] == 240


def test_a_deployments_page_and_its_json_twin_have_the_same_numbers(browser: httpx.Client) -> None:
    page, view = browser.get(f"/deployments/{KEY}"), browser.get(f"/api/v1/deployments/{KEY}").json()["result"]
    assert page.status_code == 200
    text, row, newest = words(page.text), view["row"], view["evaluations"][-1]
    estimate = next(one for one in newest["metrics"] if one["metric"] == row["metric"]["metric"])
    assert estimate == row["metric"]
    for expected in (
        f"Now {estimate['value']:.3f} {estimate['low']:.3f}{TO}{estimate['high']:.3f}, n {estimate['n']}",
        f"registered {row['registered']['value']:.3f}",
        *(check["sentence"] for check in view["checks"]),
        *(step["model"] for step in view["timeline"]),
        *(node["title"] for node in view["lineage"]),
    ):
        assert words(expected) in text, expected
    assert f'href="/api/v1/deployments/{KEY}"' in page.text


def test_a_pages_csv_has_the_numbers_of_the_page(browser: httpx.Client) -> None:
    table = browser.get("/", params={"format": "csv"})
    row = browser.get("/api/v1/overview").json()["result"]["services"][0]
    assert table.headers["content-type"].startswith("text/csv")
    assert str(row["predictions"]) in table.text
    assert row["model"] in table.text


def test_a_strangers_page_of_a_deployment_is_not_found(served: Up, keys: dict[str, str]) -> None:
    with served.http() as client:
        client.post("/login", data={"key": keys["globex"]})
        answer = client.get(f"/deployments/{KEY}")
        assert answer.status_code == 404
        assert "churn@" not in answer.text
        assert "Nothing is deployed yet" in client.get("/").text


def test_signing_out_ends_the_session_for_this_browser(browser: httpx.Client) -> None:
    assert browser.get("/").status_code == 200
    assert browser.post("/logout").headers["location"] == "/login"
    assert browser.get("/").status_code == 401


def words(text: str) -> str:
    """Return what a person reads on a page, with single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_numbers_of_the_traffic_are_the_ones_that_were_sent(served: Up) -> None:
    yes = sum(row["churned"] == "Yes" for row in rows(240, seed=8))
    with served.client() as client:
        newest = client.monitor_show(KEY).data["evaluations"][-1]
    rate = next((one for one in newest["metrics"] if one["metric"] == "accuracy"), None)
    assert rate is not None
    assert (newest["labelled"], newest["predictions"]) == (240, 240)
    assert 0 < yes < 240
    assert rate["value"] > max(yes, 240 - yes) / 240
