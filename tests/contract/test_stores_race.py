"""Several processes write at once, and one of them dies: on SQLite and on PostgreSQL."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import pytest
import stores_processes
from stores_world import ACME, ADA, CHURN, NOW, model

from custody.adapters.sql.stores import SqlStores
from custody.ledger.chain import verify

FOUR = 4
T = TypeVar("T")


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(FOUR, mp_context=get_context("spawn")) as pool:
        yield pool


def at_once(processes: ProcessPoolExecutor, work: Callable[[str, int], T], url: str) -> list[T]:
    """Run a function in four processes."""
    return list(processes.map(partial(work, url), range(FOUR), timeout=120))


def test_processes_that_start_at_once_set_up_one_database(processes: ProcessPoolExecutor, database_url: str) -> None:
    assert at_once(processes, stores_processes.upgrade, database_url) == [True] * FOUR


def test_of_promotions_that_read_then_write_none_is_lost(
    processes: ProcessPoolExecutor, stores: SqlStores, database_url: str
) -> None:
    won = at_once(processes, stores_processes.promote, database_url)
    assert sorted(number for numbers in won for number in numbers) == list(range(1, 101))
    head = stores.of(ACME).deployments.head(CHURN)
    assert head is not None
    assert head.number == 100
    assert verify(stores.ledger.entries()).entries == 100


def test_exactly_one_process_wins_each_revision(processes: ProcessPoolExecutor, stores: SqlStores, database_url: str) -> None:
    won = at_once(processes, stores_processes.race, database_url)
    assert sorted(number for numbers in won for number in numbers) == list(range(1, 26))
    deployments = stores.of(ACME).deployments
    for worker, numbers in enumerate(won):
        assert all(deployments.revision(CHURN, number).actor == f"worker-{worker}" for number in numbers)
    found = verify(stores.ledger.entries())
    assert (found.ok, found.entries) == (True, 25)  # a loser leaves no entry


def test_entries_from_four_processes_make_one_chain(processes: ProcessPoolExecutor, stores: SqlStores, database_url: str) -> None:
    assert at_once(processes, stores_processes.append, database_url) == [25] * FOUR
    found = verify(stores.ledger.entries())
    assert (found.ok, found.entries, found.broken) == (True, 100, None)
    steps: dict[str, list[object]] = {}
    for entry in stores.ledger.entries():
        steps.setdefault(entry.subject, []).append(entry.body["step"])
    assert steps == {f"worker@{number}": list(range(25)) for number in range(FOUR)}


def test_a_writer_killed_in_the_middle_leaves_nothing_behind(stores: SqlStores, database_url: str) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        change.record("test.before", "churn@1", {})
    script = Path(stores_processes.__file__)
    with subprocess.Popen([sys.executable, str(script), database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"deep inside\n"
        writer.send_signal(signal.SIGKILL)
    assert stores.of(ACME).models.latest("churn") is None
    with stores.change(ACME, ADA, NOW) as change:  # the dead writer's lock is gone
        change.models.add(model())
        change.record("test.after", "churn@1", {})
    found = verify(stores.ledger.entries())
    assert (found.ok, found.entries) == (True, 2)
