"""A world per test, and one busy server that many tests may ask."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from inference_world import ACME, GLOBEX, Server, World, tabular, text

from custody.core.manifest import Mode
from custody.core.refs import DeploymentKey
from custody.core.tenancy import HOUSE


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of four deployments; tests that use it never publish."""
    world = World(tmp_path_factory.mktemp("shared"))
    model = world.target(tabular(1), version=7)
    world.publish(
        [
            world.service(model, revision=3),
            world.with_candidate(
                world.service(model, key=DeploymentKey(ACME, "prod", "split")), world.target(tabular(2), 8), Mode.CANARY, 0.5
            ),
            world.service(world.target(text(), 2), key=DeploymentKey(ACME, "staging", "toxicity")),
            world.service(model, key=DeploymentKey(GLOBEX, "prod", "churn")),
            world.service(model, key=DeploymentKey(HOUSE, "prod", "churn")),
        ]
    )
    with world.server("--grpc-port", "0") as server:
        yield server


@pytest.fixture
def acme(shared: Server) -> Iterator[httpx.Client]:
    with shared.client() as client:
        yield client
