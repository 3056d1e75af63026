"""A world for each test; training, the slow part, is done once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lifecycle_world import ACME, GLOBEX, World, opened

from custody.lifecycle.admit import add_tenant


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path / "project") as ports:
        # the same draws each time: one interval in twenty misses the truth, and should (test_monitoring_ppi.py counts them)
        made = World(replace(ports, random=np.random.default_rng(2).bytes))
        for tenant in (ACME, GLOBEX):
            add_tenant(ports, made.caller(), tenant)
        yield made
