"""A world for each test; training, the slow part, is done once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from lifecycle_world import ACME, GLOBEX, World, opened

from custody.lifecycle.admit import add_tenant


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path / "project") as ports:
        made = World(ports)
        for tenant in (ACME, GLOBEX):
            add_tenant(ports, made.caller(), tenant)
        yield made
