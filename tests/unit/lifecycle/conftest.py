"""A world for each test; training, the slow part, is done once."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifecycle_world import ACME, GLOBEX, World

from custody.adapters.sql.stores import SqlStores
from custody.bootstrap.control import init, wire
from custody.lifecycle.admit import add_tenant


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    settings, _ = init(tmp_path / "project")
    ports = wire(settings)
    assert isinstance(ports.stores, SqlStores)
    made = World(ports)
    for tenant in (ACME, GLOBEX):
        add_tenant(ports, made.caller(), tenant)
    yield made
    ports.stores.close()
