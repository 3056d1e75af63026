"""A dataset whose people have keys of their own: it works like any other, and an erasure shreds one person in old copies."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from lifecycle_world import CARD, World, rows

from custody.core.errors import IntegrityBroken, InvalidInput
from custody.core.refs import DatasetRef
from custody.core.tenancy import HOUSE
from custody.data.dataset import DatasetVersion
from custody.lifecycle.forget import forget
from custody.lifecycle.ingest import Roles, ingest
from custody.lifecycle.rows import table_of
from custody.lifecycle.subjects import token_of
from custody.privacy.erasure.ports import ErasureState

WHO = "zora.quellenberg@example.org"


def people(n: int = 60) -> pa.Table:
    names = [WHO if i in (3, 40) else None if i == 5 else f"person{i % 20}@example.org" for i in range(n)]
    return rows(n).append_column("who", pa.array(names))


def add(world: World, table: pa.Table, **more: object) -> DatasetVersion:
    card = replace(CARD, subject_key="who")
    roles = Roles(target="left", positive="Yes")
    return ingest(world.ports, world.caller(), "tickets", table, card, roles=roles, own_keys=True, **more)[0]  # type: ignore[arg-type]


def read(world: World, version: DatasetVersion) -> pa.Table:
    return table_of(version, world.ports.stores.objects.of(HOUSE), world.ports.tables)


def test_rows_come_back_the_same_and_the_same_file_is_the_same_version(world: World) -> None:
    table = people()
    made = add(world, table)
    assert made.own_keys
    assert read(world, made).to_pydict() == table.to_pydict()
    assert add(world, table).ref == made.ref
    derived = ingest(
        world.ports, world.caller(), "less", table.slice(0, 30), replace(CARD, subject_key="who"), derived_from=[str(made.ref)]
    )
    assert derived[0].own_keys


def test_after_an_erasure_an_old_copy_of_everything_but_the_ring_holds_nobody(world: World, tmp_path: Path) -> None:
    made = add(world, people())
    copy = tmp_path / "backup"
    shutil.copytree(tmp_path / "project" / "objects", copy)
    before = read(world, made)
    done, _ = forget(world.ports, world.caller(), WHO)
    assert done.state is ErasureState.DONE
    rest = world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2))
    assert rest.own_keys
    assert read(world, rest).num_rows == 58
    shutil.rmtree(tmp_path / "project" / "objects")
    shutil.copytree(copy, tmp_path / "project" / "objects")  # somebody restores the objects from before
    again = read(world, made)
    assert again.num_rows == before.num_rows - 2
    assert WHO not in again.column("who").to_pylist()
    assert token_of(world.ports, HOUSE, WHO) not in str(
        [path.read_bytes() for path in (tmp_path / "project" / "keys").rglob("*") if path.is_file()]
    )


def test_without_a_column_that_names_people_there_is_nobody_to_have_a_key(world: World) -> None:
    with pytest.raises(InvalidInput, match="keys of their own"):
        ingest(world.ports, world.caller(), "tickets", rows(), CARD, own_keys=True)


def test_a_key_that_was_lost_is_not_taken_for_one_that_was_destroyed(world: World, tmp_path: Path) -> None:
    made = add(world, people())
    forget(world.ports, world.caller(), "person1@example.org")
    rest = world.ports.stores.of(HOUSE).datasets.get(DatasetRef("tickets", 2))
    assert read(world, rest).num_rows == 57
    (file,) = [path for path in tmp_path.rglob("people/*/*") if path.is_file()]
    file.unlink()
    assert made.own_keys
    with pytest.raises(IntegrityBroken, match="nobody destroyed it"):
        read(world, rest)


def test_rows_about_several_people_are_not_sealed_by_person(world: World) -> None:
    card = replace(CARD, subject_key="who", further_subject_keys=("other",))
    table = people().append_column("other", pa.array(["x@example.org"] * 60))
    with pytest.raises(InvalidInput, match="several people"):
        ingest(world.ports, world.caller(), "pairs", table, card, own_keys=True)


def test_numbers_that_are_none_name_nobody(world: World) -> None:
    table = rows(60).append_column("who", pa.array([float("nan") if i == 5 else float(i % 20) for i in range(60)]))
    made = add(world, table)
    assert read(world, made).num_rows == 60
    done, _ = forget(world.ports, world.caller(), "7")
    assert done.state is ErasureState.DONE
