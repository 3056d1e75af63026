"""Consent over HTTP: garbage is refused whole and names nobody, duplicates add nothing, and a training then asks it."""

from collections.abc import Iterator
from typing import Any

import pytest
from lifecycle_world import World
from starlette.testclient import TestClient
from test_consent_rows import PEOPLE, TRAINING, stored

from custody.core.tenancy import Role
from custody.lifecycle.admit import add_key
from custody.web.app import create_app

ROW = {"subject": "ada@example.org", "purpose": TRAINING, "status": "granted", "valid_from": "2025-01-01"}


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    secret = add_key(world.ports, world.caller(), "crm", Role.CONTRIBUTOR, None)[1]
    with TestClient(create_app(world.ports, lambda: world.caller().now), headers={"X-Custody-Key": secret}) as made:
        yield made


def sent(client: TestClient, rows: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    got = client.post("/api/v1/consents", json={"rows": rows, "source": "crm", **more})
    return got.status_code, got.json()


def test_many_records_and_their_duplicates(client: TestClient, world: World) -> None:
    rows = [{**ROW, "subject": f"p{number}"} for number in range(3000)]
    status, told = sent(client, [*rows, *rows])
    assert (status, told["result"]["records"], told["result"]["new"]) == (200, 6000, 3000)
    status, told = sent(client, rows)
    assert (status, told["result"]["new"], told["result"]["unchanged"]) == (200, 0, 3000)
    assert world.kinds().count("consent.recorded") == 2


@pytest.mark.parametrize(
    "garbage",
    [
        [],
        [{}],
        [{"ada@example.org": "x", **ROW}],
        [{**ROW, "status": "maybe"}],
        [{**ROW, "valid_from": "0001-01-01T00:00:00+14:00"}],
        [{**ROW, "valid_from": {"a": [1]}}],
        [{**ROW, "purpose": "\x00"}],
        [ROW, {**ROW, "subject": None}],
        [1, 2],
        "rows",
        None,
    ],
)
def test_garbage_is_refused_whole_and_names_nobody(client: TestClient, world: World, garbage: Any) -> None:
    before = world.kinds()
    status, told = sent(client, garbage)
    assert status == 422
    assert "ada@" not in str(told["detail"]) + str(told["facts"])
    assert world.kinds() == before


def test_refusals_that_arrive_over_http_change_the_shares_of_groups_and_that_is_told(client: TestClient, world: World) -> None:
    data = stored(world)
    assert sent(client, [{**ROW, "subject": name} for name in PEOPLE])[0] == 200
    north = [name for name in PEOPLE if name < "p3"][:15]
    refused = {"status": "withdrawn", "valid_from": world.now.isoformat()}
    assert sent(client, [{**ROW, **refused, "subject": name} for name in north])[0] == 200
    got = client.get(f"/api/v1/consents/check/{data.ref.name}/{data.ref.version}", params={"purpose": TRAINING}).json()["result"]
    shifts = {one["group"]: (one["before"], one["after"]) for one in got["shifts"]}
    assert got["refused"].keys() == {"withdrawn"}
    assert shifts["north"][1] < shifts["north"][0]
    assert shifts["south"][1] > shifts["south"][0]
