"""Every route of the app is a door: which of them hand out rows, to whom, and what the ledger then says.

A route that is not in one of the four tables below fails the first test: whoever adds one says here what leaves through it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pytest
from fastapi.routing import iter_route_contexts
from lifecycle_world import ACME, CHURN, CHURN_1, POLICY, World, opened
from sklearn.neighbors import KNeighborsClassifier
from starlette.testclient import TestClient
from test_consent_rows import AGREED, TRAINING, says

from custody.core.digest import Json
from custody.core.prediction import PredictionId, unique_at
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE, Role
from custody.ledger.entry import Entry
from custody.lifecycle.admit import add_key, add_tenant
from custody.lifecycle.ask import ask
from custody.lifecycle.convert import convert
from custody.lifecycle.export import export
from custody.lifecycle.forget import forget
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.monitor import set_cost, set_monitor
from custody.lifecycle.promote import set_golden, set_policy
from custody.lifecycle.record import record
from custody.lifecycle.train import begin
from custody.lifecycle.watch import Seen, watch
from custody.serving.capture import Capture, CaptureMode, line_of, write_batch
from custody.web.app import create_app

Route = tuple[str, str]
CANARIES = (
    "Canaryville",
    "zebra",
    "73.0425",
    "-91",
    "p7@",
)  # a rare level, words beside a finding, an input, a minimum, a person
HIDDEN = "a key that"
DEPLOYMENT = "acme/prod/churn"

# Refused to a key without rows and to a viewer.
ROWS: Mapping[Route, str] = {
    ("GET", "/runs/{id}/data/{dataset}/{version}"): "/runs/RUN/data/people/1",
    ("GET", "/labels/{tenant}/{environment}/{name}/tasks"): f"/labels/{DEPLOYMENT}/tasks",
    ("GET", "/models/{name}/{version}/artifact"): "/models/neighbours/1/artifact",
    ("GET", "/consents"): "/consents",
    ("GET", "/exports/{name}/rows"): "/exports/audit/rows",
    ("POST", "/subjects/export"): "/subjects/export",
}
# Answered to everybody; single values are left out for a key without rows.
MASKED: Mapping[Route, tuple[str, str]] = {
    ("GET", "/datasets/{name}/{version}/profile"): ("/datasets/people/1/profile", "Canaryville"),
    ("GET", "/datasets/{name}/{version}/review"): ("/datasets/people/1/review", "zebra"),
    ("GET", "/goldens/{model}"): ("/goldens/churn", "73.0425"),
    ("GET", "/trace/{prediction}"): ("/trace/PREDICTION", "73.0425"),
}
# Counts, states and names of things: the same for everybody, and never a canary. POST bodies stand in BODIES.
AGGREGATES: Mapping[Route, str] = {
    ("GET", "/datasets"): "/datasets",
    ("GET", "/datasets/{name}/{version}"): "/datasets/people/1",
    ("GET", "/datasets/{name}/{version}/card"): "/datasets/people/1/card",
    ("GET", "/datasets/{name}/{version}/scan"): "/datasets/people/1/scan",
    ("POST", "/datasets/{name}/{version}/scan"): "/datasets/people/1/scan",
    ("POST", "/datasets/{name}/{version}/scrub"): "/datasets/people/1/scrub?dry_run=true",
    ("POST", "/datasets/rescan"): "/datasets/rescan",
    ("GET", "/runs"): "/runs",
    ("GET", "/runs/{id}"): "/runs/RUN",
    ("GET", "/models"): "/models",
    ("GET", "/models/{name}/{version}"): "/models/churn/1",
    ("GET", "/models/{name}/{version}/card"): "/models/churn/1/card",
    ("GET", "/gates/{model}"): "/gates/churn",
    ("GET", "/gates/{model}/{version}"): "/gates/churn/1",
    ("POST", "/gates/{model}/{version}/check"): "/gates/churn/1/check?dry_run=true",
    ("POST", "/gates/{model}/{version}/mitigation"): "/gates/churn/1/mitigation?dry_run=true",
    ("GET", "/verdicts"): "/verdicts",
    ("GET", "/deployments"): "/deployments",
    ("GET", "/overview"): "/overview",
    ("GET", "/deployments/{tenant}/{environment}/{name}"): f"/deployments/{DEPLOYMENT}",
    ("GET", "/deployments/{tenant}/{environment}/{name}/history"): f"/deployments/{DEPLOYMENT}/history",
    ("POST", "/deployments/{tenant}/{environment}/{name}/evaluate"): f"/deployments/{DEPLOYMENT}/evaluate",
    ("GET", "/labels/{tenant}/{environment}/{name}"): f"/labels/{DEPLOYMENT}",
    ("GET", "/monitors/{tenant}/{environment}/{name}"): f"/monitors/{DEPLOYMENT}",
    ("POST", "/monitors/{tenant}/{environment}/{name}/preview"): f"/monitors/{DEPLOYMENT}/preview",
    ("POST", "/monitors/{tenant}/{environment}/{name}/explain"): f"/monitors/{DEPLOYMENT}/explain",
    ("GET", "/alerts/{tenant}/{environment}/{name}"): f"/alerts/{DEPLOYMENT}",
    ("GET", "/alerts/{tenant}/{environment}/{name}/{id}"): f"/alerts/{DEPLOYMENT}/ALERT",
    ("GET", "/values/{tenant}/{environment}/{name}"): f"/values/{DEPLOYMENT}",
    ("GET", "/consents/check/{name}/{version}"): f"/consents/check/people/1?purpose={TRAINING}",
    ("GET", "/exports"): "/exports",
    ("GET", "/privacy"): "/privacy",
    ("POST", "/erasures"): "/erasures?dry_run=true",
    ("GET", "/erasures/{id}/receipt"): "/erasures/GONE/receipt",
    ("GET", "/obligations"): "/obligations",
    ("GET", "/encryption/keys"): "/encryption/keys",
    ("GET", "/whoami"): "/whoami",
    ("GET", "/tenants"): "/tenants",
    ("GET", "/keys"): "/keys",
    ("GET", "/ledger"): "/ledger?limit=1000",
    ("POST", "/ledger/verify"): "/ledger/verify",
    ("POST", "/verify"): "/verify",
    ("GET", "/"): "/",
    ("GET", "/datasets/{path}"): "/datasets/people@1",
    ("GET", "/datasets/{name}/{version}/report"): "/datasets/people/1/report",
    ("GET", "/deployments/{path:path}"): f"/deployments/{DEPLOYMENT}",
}
PAGES = {"/", "/datasets/people@1", "/datasets/people/1/report"}
BODIES: Mapping[str, Any] = {
    "/subjects/export": {"subject": "p7@example.org"},
    "/datasets/people/1/scrub?dry_run=true": {"columns": {"plan": "remove"}},
    "/gates/churn/1/mitigation?dry_run=true": {"column": "left"},
    "/erasures?dry_run=true": {"subject": "p7@example.org"},
    f"/monitors/{DEPLOYMENT}/preview": {"metric": "accuracy"},
}
# Change something and answer with what the caller sent or a record of the change; or no route of ours to data at all.
ACTS = {
    *(("POST", path) for path in ("/datasets", "/objects", "/runs", "/runs/{id}/log", "/runs/{id}/end", "/models", "/tenants")),
    *(("POST", path) for path in ("/keys", "/ledger/checkpoint", "/deployments", "/exports", "/exports/identify", "/consents")),
    *(("POST", f"/encryption/{path}") for path in ("rotate", "reseal", "destroy")),
    *(("PUT", path) for path in ("/goldens/{model}", "/gates/{model}", "/privacy")),
    *(("PUT", f"/{noun}/{{tenant}}/{{environment}}/{{name}}") for noun in ("monitors", "values")),
    *(("POST", f"/deployments/{{tenant}}/{{environment}}/{{name}}/{one}") for one in ("retrain", "{action}")),
    *(("POST", f"/labels/{{tenant}}/{{environment}}/{{name}}{one}") for one in ("", "/draws")),
    ("POST", "/alerts/{tenant}/{environment}/{name}/{id}/{state}"),
    ("POST", "/cards/check"),
    ("POST", "/obligations/{id}/answer"),
    ("POST", "/datasets/{name}/{version}/review"),
    ("DELETE", "/keys/{id}"),
    ("POST", "/deployments/{path:path}/alerts/{alert}/{state}"),
    *((verb, "/login") for verb in ("GET", "POST")),
    ("POST", "/logout"),
    *(("GET", path) for path in ("/static/{name}", "/health", "/openapi.json")),
}


@dataclass(frozen=True)
class Got:
    """An answer."""

    status: int
    text: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


@dataclass
class House:
    """A running app with a person's key of each kind, and what the paths above leave open."""

    world: World
    client: TestClient
    keys: Mapping[str, str]
    run: str
    prediction: str
    alert: str
    gone: str

    def ask(self, who: str, method: str, path: str) -> Got:
        """Go through a door with a key."""
        filled = path.replace("RUN", self.run).replace("PREDICTION", self.prediction).replace("ALERT", self.alert)
        filled = filled.replace("GONE", self.gone)
        page = path in PAGES or method == "PAGE"
        body = {"json": BODIES.get(path, {})} if method == "POST" else {}
        address = filled if page else f"/api/v1{filled}"
        got = self.client.request("GET" if page else method, address, headers={"X-Custody-Key": self.keys[who]}, **body)
        return Got(got.status_code, got.text)

    def entries(self) -> list[Entry]:
        return list(self.world.ports.stores.ledger.entries())


def people() -> pa.Table:
    return pa.table(
        {
            "who": [f"p{n}@example.org" for n in range(60)],
            "age": [-91, *(20 + n % 40 for n in range(59))],
            "plan": ["Canaryville", "Canaryville", *["basic", "premium"] * 29],
            "note": ["zebra came on 03/04/2021, I think", *["nothing to say about it"] * 59],
            "left": ["Yes", "No"] * 30,
        }
    )


def fill(world: World) -> tuple[str, str, str, str]:
    """Put a canary behind each door, and return a running run, a prediction, an alert and an erasure."""
    ports = world.ports
    card = replace(
        AGREED,
        legal_basis="contract",
        consent={},
        categories={"age": "user.demographic.age_range", "plan": "system.operations", "who": "user"},
    )
    roles = Roles(target="left", positive="Yes")
    stored, _ = ingest(ports, world.caller(), "people", people(), card, roles=roles)
    world.live()
    rule: dict[str, Json] = {"column": "left", "measure": "selection_rate"}
    set_policy(ports, world.caller(), "churn", {**POLICY, "bias": [rule]})
    tickets = ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 1))
    convert(ports, world.caller(), world.trained(tickets, model=KNeighborsClassifier(), name="neighbours"))
    set_golden(ports, world.caller(), "churn", [{"id": "one", "inputs": {"age": 73.0425}, "expect": "Yes"}])
    ms = int(world.now.timestamp() * 1000)
    ids = [PredictionId(CHURN, 1, CHURN_1, unique_at(ms, f"canary{n:04}".encode())) for n in range(60)]
    lines = [
        line_of(Capture(one, ms, None, None, CaptureMode.LIVE, None, 0.4, {"age": [73.0425]}, [0.7], [True], 90)) for one in ids
    ]
    world.put("canary", write_batch(b"".join(lines)))
    world.seal()
    ask(ports, world.caller(), CHURN, 10)
    set_monitor(ports, world.caller(), CHURN, {"metric": "accuracy", "window": "50 labels", "min_labels": 30})
    set_cost(ports, world.caller(), CHURN, {"tp": 0, "fp": 1, "tn": 0, "fn": 2, "currency": "CAD"})
    record(ports, world.caller(), CHURN, [(str(one), "No") for one in ids])
    watch(ports, world.caller().now, Seen())
    says(world, "p7@example.org")
    export(ports, world.caller(), "audit", stored.ref, purpose=TRAINING, recipient="audit office")
    table = people().slice(0, 2).set_column(0, "who", pa.array(["gone@example.org", "p1@example.org"]))
    ingest(ports, world.caller(), "left", table, card, roles=roles)
    gone, _ = forget(ports, world.caller(), "gone@example.org")
    (alert,) = ports.stores.of(ACME).monitors.open_alerts(CHURN)
    return begin(ports, world.caller(), "churn", purpose=TRAINING)[0].id, str(ids[0]), alert.id, gone.id


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("house") / "project") as ports:
        world = World(ports)
        add_tenant(ports, world.caller(), ACME)
        filled = fill(world)
        keys = {
            name: add_key(ports, world.caller(), name, role, None, rows=rows)[1]
            for name, role, rows in (("blind", Role.ADMIN, False), ("seeing", Role.ADMIN, True), ("viewer", Role.VIEWER, True))
        }
        with TestClient(create_app(ports, lambda: world.caller().now)) as client:
            yield House(world, client, keys, *filled)


def test_every_route_is_in_one_table(house: House) -> None:
    app: Any = house.client.app
    found: set[Route] = set()
    for one in iter_route_contexts(app.routes):
        path = str(one.path).removeprefix("/api/v1")
        found |= {(method, path) for method in one.methods or () if method != "HEAD"}
    tables = [set(ROWS), set(MASKED), set(AGGREGATES), set(ACTS)]
    assert sorted(found - set().union(*tables)) == [], "a new route: say here whether rows leave through it"
    assert sorted(set().union(*tables) - found) == []
    assert sum(map(len, tables)) == len(set().union(*tables))


@pytest.mark.parametrize("route", ROWS, ids=" ".join)
@pytest.mark.parametrize("who", ["blind", "viewer"])
def test_rows_are_refused_in_plain_words(house: House, route: Route, who: str) -> None:
    before = len(house.entries())
    got = house.ask(who, route[0], ROWS[route])
    assert got.status == 403, got.text
    told = got.json
    expected = "may see aggregates, not rows" if who == "blind" else "needs the role"
    assert expected in told["detail"]
    assert "custody key add" in told["fix"]
    assert [entry.kind for entry in house.entries()[before:]] == []


@pytest.mark.parametrize("route", [*ROWS, *MASKED], ids=" ".join)
def test_who_may_see_rows_gets_them_and_the_ledger_says_so_with_a_purpose(house: House, route: Route) -> None:
    path, canary = (ROWS[route], "") if route in ROWS else MASKED[route]
    before = len(house.entries())
    got = house.ask("seeing", route[0], path)
    assert got.status == 200, got.text
    assert canary in (got.text if canary else canary)
    (entry,) = house.entries()[before:]
    assert entry.kind in {"rows.read", "dataset.read", "subject.exported"}
    assert entry.actor == "seeing"
    assert entry.body["purpose"]
    assert not [one for one in CANARIES if one in str(entry.body)]


@pytest.mark.parametrize("route", MASKED, ids=" ".join)
@pytest.mark.parametrize("who", ["blind", "viewer"])
def test_single_values_are_left_out_and_the_rest_stays(house: House, route: Route, who: str) -> None:
    before = len(house.entries())
    got = house.ask(who, route[0], MASKED[route][0])
    assert got.status == 200, got.text
    assert not [one for one in CANARIES if one in got.text]
    assert got.json["result"]
    assert house.entries()[before:] == []


@pytest.mark.parametrize("route", AGGREGATES, ids=" ".join)
def test_aggregates_are_open_and_hold_no_single_value(house: House, route: Route) -> None:
    got = house.ask("blind", route[0], AGGREGATES[route])
    assert got.status == 200, got.text
    assert not [one for one in CANARIES if one in got.text]
    if route[1] == "/deployments/{path:path}":
        spreadsheet = house.ask("blind", "PAGE", "/deployments/acme/prod/churn?format=csv")
        assert spreadsheet.status == 200
        assert not [one for one in CANARIES if one in spreadsheet.text]


@pytest.mark.parametrize("who", ["blind", "seeing"])
def test_the_values_of_a_column_that_holds_no_groups_are_not_told_as_groups(house: House, who: str) -> None:
    got = house.client.post(
        "/api/v1/gates/churn/1/mitigation?dry_run=true", json={"column": "age"}, headers={"X-Custody-Key": house.keys[who]}
    )
    assert got.status_code == 422
    assert "does not hold groups" in got.json()["detail"]


def test_a_profile_without_rows_still_tells_what_five_rows_stand_behind(house: House) -> None:
    full, short = (
        {one["column"]: one for one in house.ask(who, "GET", "/datasets/people/1/profile").json["result"]}
        for who in ("seeing", "blind")
    )
    assert len(full["age"]["quantiles"]) == 5
    assert short["age"]["quantiles"] == full["age"]["quantiles"][1:4]
    assert [level for level, _ in short["plan"]["top"]] == ["basic", "premium"]
    assert HIDDEN in short["age"]["hidden"]
    assert full["age"]["hidden"] == ""


def test_a_model_that_stores_no_rows_may_be_taken(house: House) -> None:
    assert house.ask("blind", "GET", "/models/churn/1/artifact").status == 200
