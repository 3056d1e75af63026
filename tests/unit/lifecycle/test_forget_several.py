"""Several at once: people in one row, erasures of the same rows, processes that carry out one erasure, batches set aside."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from lifecycle_world import CARD, World, rows
from test_forget import CANARY, LIVE, WHO, add, captures, erased, everywhere, killed, people

from custody.core.errors import Conflict, Unavailable
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE
from custody.data.dataset import DatasetVersion
from custody.lifecycle import forget as steps
from custody.lifecycle import seal as seals
from custody.lifecycle.captured import capture_table, rows_between
from custody.lifecycle.disclose import disclose
from custody.lifecycle.forget import forget, resume
from custody.lifecycle.ingest import ingest
from custody.privacy.erasure.ports import ErasureState
from custody.serving.capture import Capture
from custody.serving.sampling import open_batch

AGENT = "agnes@example.org"
REST = DatasetRef("tickets", 2)


def version_of(world: World, ref: DatasetRef) -> DatasetVersion:
    return world.ports.stores.of(HOUSE).datasets.get(ref)


def names(world: World, ref: DatasetRef, column: str = "who") -> set[str]:
    objects = world.ports.stores.objects.of(HOUSE)
    parts = [world.ports.tables.from_parquet(objects.get(part.object)) for part in version_of(world, ref).parts]
    return {str(one) for part in parts for one in part.column(column).to_pylist()}


def pairs(n: int = 60) -> pa.Table:
    agents = [AGENT if i in (4, 40) else f"agent{i % 3}@example.org" for i in range(n)]
    callers = [f"person{i}@example.org" for i in range(n)]
    return rows(n).append_column("who", pa.array(callers)).append_column("agent", pa.array(agents))


def add_pairs(world: World, **more: Any) -> DatasetVersion:
    card = replace(CARD, subject_key="who", further_subject_keys=("agent",))
    return ingest(world.ports, world.caller(), "tickets", pairs(), card, **more)[0]


def test_the_second_person_of_a_row_is_found_given_their_rows_and_erased(world: World) -> None:
    add_pairs(world)
    found, _ = forget(world.ports, world.caller(), AGENT, dry_run=True)
    assert (found.found.rows, found.found.datasets) == (2, ("tickets@1",))
    assert b"datasets/tickets@1.json" in disclose(world.ports, world.caller(), AGENT)[0]
    done, _ = forget(world.ports, world.caller(), AGENT)
    assert done.state is ErasureState.DONE
    assert version_of(world, REST).rows == 58
    assert AGENT not in names(world, REST, "agent")
    again = add_pairs(world)
    assert again.rows == 58
    assert forget(world.ports, world.caller(), "person7@example.org")[0].found.rows == 1


@pytest.mark.parametrize("other", ["bob", "person9@example.org"])
def test_who_is_erased_while_another_erasure_was_killed_is_erased(
    world: World, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    table = people()
    who = [other if i == 9 else one for i, one in enumerate(table.column("who").to_pylist())]
    add(world, table.set_column(table.column_names.index("who"), "who", pa.array(who)))
    with monkeypatch.context() as patched:
        patched.setattr(steps, "erase_datasets", killed)
        with pytest.raises(KeyboardInterrupt):
            erased(world)
    assert forget(world.ports, world.caller(), other)[0].state is ErasureState.DONE
    assert not {WHO, other} & names(world, DatasetRef("tickets", 3))
    assert erased(world).state is ErasureState.DONE


def test_while_another_erasure_is_at_work_on_the_same_rows_one_is_asked_to_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(world)
    with monkeypatch.context() as patched:
        patched.setattr(steps, "erase_golden", killed)
        with pytest.raises(KeyboardInterrupt):
            erased(world)
        patched.setattr(steps, "resume_in", lambda *_: 0)
        with pytest.raises(Conflict, match="at work on tickets@1"):
            forget(world.ports, world.caller(), "person9@example.org")
    assert forget(world.ports, world.caller(), "person9@example.org")[0].state is ErasureState.DONE


@pytest.mark.parametrize("step", ["erase_golden", "erase_datasets", "publish", "_finish"])
def test_two_processes_that_carry_out_one_erasure_do_it_once(world: World, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    everywhere(world)
    own, entered = getattr(steps, step), list[str]()

    def overtaken(*args: Any) -> Any:
        if not entered:
            entered.append(step)
            assert resume(world.ports, world.now) == 1
        return own(*args)

    monkeypatch.setattr(steps, step, overtaken)
    with suppress(Conflict):  # "Another process carries out the same erasure": somebody had to be slower
        assert erased(world).state is ErasureState.DONE
    assert erased(world).state is ErasureState.DONE
    assert version_of(world, REST).rows == 297
    assert [one.ref for one in world.ports.stores.of(HOUSE).datasets.page("tickets").items] == [REST, DatasetRef("tickets", 1)]
    assert world.kinds().count("erasure.done") == 1


def test_a_batch_that_was_set_aside_keeps_every_other_line_as_it_is(world: World) -> None:
    add(world)
    captures(world)
    objects = world.ports.stores.objects.of(HOUSE)
    (name,) = world.shipped()
    body = objects.read(name)
    assert body is not None
    objects.remove(name)
    objects.publish(f"quarantine/{HOUSE}/b1.ndjson.gz", body)
    objects.publish(f"quarantine/{HOUSE}/unreadable.ndjson.gz", CANARY.encode())
    assert erased(world).state is ErasureState.DONE
    left = objects.read(f"quarantine/{HOUSE}/b1.ndjson.gz")
    assert left is not None
    assert open_batch(left)[0] == open_batch(body)[0][1:]
    assert [one.id.deployment for one in open_batch(left)[0]] == [LIVE, LIVE]
    assert objects.read(f"quarantine/{HOUSE}/unreadable.ndjson.gz") is None


def test_who_is_erased_while_their_traffic_is_sealed_is_not_in_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(world)
    captures(world, "b2")

    def overtaken(some: Sequence[Capture]) -> pa.Table:
        monkeypatch.undo()
        erased(world)
        return capture_table(some)

    monkeypatch.setattr(seals, "capture_table", overtaken)
    world.seal()
    world.seal()
    table = rows_between(world.ports, LIVE)
    assert table is not None
    assert WHO not in table.column("key").to_pylist()
    assert len(table) == 2 + 2


def test_a_busy_database_sets_no_batch_aside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere(world)
    captures(world, "b2")

    def busy(_: bytes) -> None:
        raise Unavailable("The database is busy.")

    with monkeypatch.context() as patched:
        patched.setattr(seals, "open_batch", busy)
        with pytest.raises(Unavailable):
            world.seal()
    assert world.seal() == 3
    assert list(world.ports.stores.objects.names("quarantine/")) == []
