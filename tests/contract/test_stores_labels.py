"""Labels that are corrected: the newest submission is what counts, on every database."""

from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from custody.adapters.sql.stores import SqlStores
from custody.core.digest import Digest
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import Actor, Role, TenantId
from custody.feedback.draw import Draw
from custody.feedback.label import Label

KEY = DeploymentKey(TenantId("acme"), "prod", "churn")
ADA = Actor("ada", Role.ADMIN)
NUMBERS = count()
START = datetime(2026, 1, 1, tzinfo=UTC)


def say(stores: SqlStores, at: datetime, *pairs: tuple[str, str], key: DeploymentKey = KEY) -> int:
    with stores.change(KEY.tenant, ADA, at) as change:
        return change.labels.add([Label(key, name, value, "outcome", at, "ada") for name, value in pairs])


def test_a_correction_can_be_corrected_back(stores: SqlStores) -> None:
    labels = stores.of(KEY.tenant).labels
    assert say(stores, START, ("p1", "Yes"), ("p2", "No")) == 2
    assert say(stores, START + timedelta(1), ("p1", "No")) == 1
    assert labels.of(KEY) == {"p1": "No", "p2": "No"}
    assert say(stores, START + timedelta(2), ("p1", "Yes"), ("p2", "No")) == 1
    assert labels.of(KEY) == {"p1": "Yes", "p2": "No"}
    newest = labels.value_of(KEY, ["p1"])
    assert newest is not None
    assert (newest.value, newest.received_at) == ("Yes", START + timedelta(2))
    assert labels.count(KEY) == 2
    assert say(stores, START + timedelta(3), ("p1", "Yes"), ("p2", "No")) == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["Yes", "No"])), max_size=5), max_size=5))
def test_after_any_submissions_each_prediction_has_its_last_value(stores: SqlStores, rounds: list[list[tuple[str, str]]]) -> None:
    key = DeploymentKey(KEY.tenant, "prod", f"one-{next(NUMBERS)}")
    expected: dict[str, str] = {}
    for day, pairs in enumerate(rounds):
        say(stores, START + timedelta(day), *pairs, key=key)
        expected |= dict(pairs)
        assert stores.of(KEY.tenant).labels.of(key) == expected


def draw(number: int, key: DeploymentKey = KEY) -> Draw:
    digest = Digest(f"{number:064x}")
    return Draw(f"d-{number}", key, ModelRef("churn", 1), 0.5, START, START + timedelta(1), 900, 100, 98, digest, digest, START)


def test_draws_come_back_oldest_first_and_only_to_their_deployment(stores: SqlStores) -> None:
    with stores.change(KEY.tenant, ADA, START) as change:
        for number in range(1, 4):
            change.labels.add_draw(draw(number))
    labels = stores.of(KEY.tenant).labels
    assert list(labels.draws(KEY)) == [draw(1), draw(2), draw(3)]
    assert list(labels.draws(KEY, limit=2)) == [draw(2), draw(3)]
    assert list(labels.draws(DeploymentKey(KEY.tenant, "dev", "churn"))) == []
    assert list(stores.of(TenantId("beta")).labels.draws(KEY)) == []
