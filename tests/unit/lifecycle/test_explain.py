"""What a version learned from is compared with what it is asked, and a loss is taken apart."""

import pytest
from lifecycle_world import ACME, CHURN, MALLORY, World
from test_ask import answer

from custody.core.errors import Conflict, NotFound
from custody.lifecycle.explain import explain, last_explained
from custody.lifecycle.overview import describe
from custody.lifecycle.record import record


def test_training_data_that_never_saw_such_rows_is_said_to_be_thin(world: World) -> None:
    ref = world.live()
    truth = answer(world, "jan", 600)  # ages 0 to 6, in a model that learned from -3 to 3
    record(world.ports, world.caller(), CHURN, list(truth.items()))
    found, seq = explain(world.ports, world.caller(), CHURN)
    assert found.relevance.moved
    assert found.relevance.thin is not None
    assert found.relevance.thin.value > 0.3
    assert found.decomposition is not None
    assert found.decomposition.labels[1] == 600
    assert world.kinds()[seq - 1] == "relevance.measured"
    assert last_explained(world.ports.stores.of(ACME).monitors, CHURN, ref) == found
    assert describe(world.ports, world.caller(), CHURN).explained == found


def test_without_labels_nothing_is_taken_apart(world: World) -> None:
    world.live()
    answer(world, "jan", 60)
    assert explain(world.ports, world.caller(), CHURN)[0].decomposition is None


def test_a_deployment_that_answered_nothing_cannot_be_explained(world: World) -> None:
    world.live()
    with pytest.raises(Conflict, match="has answered nothing"):
        explain(world.ports, world.caller(), CHURN)
    with pytest.raises(NotFound):
        explain(world.ports, world.caller(MALLORY), CHURN)
