"""Rows under keys of single people: they come back in their order, and a destroyed key takes one person out of every copy."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from custody.adapters.blobs.folder import FolderObjects
from custody.adapters.blobs.keys.master import LocalMaster
from custody.adapters.blobs.keys.people import PersonKeys
from custody.adapters.blobs.keys.ring import KeyRing
from custody.bootstrap.personal import PersonalTables
from custody.core.errors import Denied, IntegrityBroken
from custody.core.tenancy import TenantId

ACME, BETA = TenantId("acme"), TenantId("beta")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["", "t1", "t2", "t3"]), st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=9)
    ),
    min_size=1,
    max_size=30,
)


def keys_in(folder: Path) -> PersonKeys:
    return PersonKeys(KeyRing(FolderObjects(folder), LocalMaster(bytes(32), "test")), FolderObjects(folder))


@pytest.fixture(scope="module")
def shared() -> Iterator[PersonKeys]:
    with TemporaryDirectory() as folder:
        yield keys_in(Path(folder))


def table_of(rows: Sequence[tuple[str, int | None, str | None]]) -> pa.Table:
    columns = {"who": [one[0] for one in rows], "n": [one[1] for one in rows], "note": [one[2] for one in rows]}
    schema = pa.schema([("who", pa.string()), ("n", pa.int64()), ("note", pa.string())])
    return pa.table(columns, schema)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_rows_come_back_in_their_order_and_the_same_rows_give_the_same_bytes(
    shared: PersonKeys, rows: list[tuple[str, int | None, str | None]]
) -> None:
    table, people = table_of(rows), [one[0] for one in rows]
    body = shared.seal(ACME, table, people)
    assert PersonalTables(shared).from_parquet(body).equals(table)
    assert shared.seal(ACME, table, people) == body
    assert shared.seal(BETA, table, people) != body


def test_a_destroyed_key_takes_one_person_out_of_every_copy_and_of_every_other_process(tmp_path: Path) -> None:
    table = table_of([("ada", 1, "x"), ("bob", 2, "y"), ("ada", 3, "z"), ("", 4, "nobody")])
    body = keys_in(tmp_path).seal(ACME, table, ["ada", "bob", "ada", ""])
    assert b"ada" not in body
    assert keys_in(tmp_path).seal(ACME, table.slice(1), ["bob", "ada", ""]) != body  # keys are used again, not made anew
    assert len(list(FolderObjects(tmp_path).names("people/acme/"))) == 1
    other = keys_in(tmp_path)
    assert keys_in(tmp_path).destroy(ACME, "ada") == 1
    assert keys_in(tmp_path).destroy(ACME, "ada") == 0
    assert other.open(body).to_pydict() == {"who": ["bob", ""], "n": [2, 4], "note": ["y", "nobody"]}


def test_two_keys_of_one_person_made_at_once_both_open_and_both_go(tmp_path: Path) -> None:
    with TemporaryDirectory() as elsewhere:
        ring = KeyRing(FolderObjects(tmp_path), LocalMaster(bytes(32), "test"))
        late = PersonKeys(ring, FolderObjects(Path(elsewhere)))  # sees none of the others' keys yet
        row = table_of([("ada", 1, "x")])
        bodies = [keys_in(tmp_path).seal(ACME, row, ["ada"]), late.seal(ACME, row, ["ada"])]
        made = FolderObjects(Path(elsewhere))
        for name in made.names("people/"):
            FolderObjects(tmp_path).create(name, made.read(name) or b"")
    keys = keys_in(tmp_path)
    assert [keys.open(body).num_rows for body in bodies] == [1, 1]
    assert keys.destroy(ACME, "ada") == 2
    assert [keys.open(body).num_rows for body in bodies] == [0, 0]


def test_what_was_edited_is_refused_and_a_destroyed_tenant_has_no_people(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    body = keys.seal(ACME, table_of([("ada", 1, "x" * 50)]), ["ada"])
    packed = pa.ipc.open_stream(body[9:]).read_all()
    sealed = packed.column("body")[0].as_py()
    edited = body.replace(sealed, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    assert edited != body
    with pytest.raises(IntegrityBroken):
        keys.open(edited)
    with pytest.raises(IntegrityBroken):
        keys.open(b"CUSTODYP\x09")
    document = next(FolderObjects(tmp_path).names("people/"))
    FolderObjects(tmp_path).publish(document, b"{}")
    with pytest.raises(IntegrityBroken, match="damaged"):
        keys.open(body)
    KeyRing(FolderObjects(tmp_path), LocalMaster(bytes(32), "test")).destroy(ACME, NOW)
    with pytest.raises(Denied):
        keys_in(tmp_path).open(body)
