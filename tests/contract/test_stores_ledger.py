"""The database itself refuses to change what was recorded, and what gets past it is found."""

from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DBAPIError
from stores_world import ACME, ADA, NOW, later, revision

from custody.adapters.sql.engine import open_engines
from custody.adapters.sql.nouns.ledger import SqlLedger
from custody.adapters.sql.session import Inside
from custody.adapters.sql.stores import SqlStores
from custody.adapters.sql.tables import ledger
from custody.core.digest import digest_of
from custody.core.errors import InvalidInput
from custody.ledger.chain import verify
from custody.ledger.checkpoint import Checkpoint, root_of, sign
from custody.ledger.entry import Draft, chained, time_text

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
COLUMNS = ("seq", "tenant", "actor", "kind", "subject", "at", "body", "prev", "hash")


def fill(stores: SqlStores, count: int = 5) -> None:
    for n in range(1, count + 1):
        with stores.change(ACME, ADA, later(n)) as change:
            change.record("gate.passed", f"churn@{n}", {"n": n, "why": ["ü", None, 0.5]})
            change.deployments.add(revision(n))


def checkpoint(stores: SqlStores, at: datetime = NOW) -> Checkpoint:
    hashes = [entry.hash for entry in stores.ledger.entries()]
    return sign(len(hashes), root_of(hashes), at, public_key=PUBLIC, signature_of=KEY.sign)


def run(stores: SqlStores, *statements: str) -> None:
    """Run SQL as somebody would who has the database's password."""
    with stores._engines.write.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def copy_of_the_third(**changed: object) -> str:
    """Return an INSERT of entry 3 once more, with some columns changed."""
    chosen = ", ".join(str(changed.get(column, column)) for column in COLUMNS)
    return f"insert into ledger ({', '.join(COLUMNS)}) select {chosen} from ledger where seq = 3"


def drop_triggers(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("alter table ledger disable trigger all"))
        return
    names = connection.execute(text("select name from sqlite_master where type = 'trigger' and tbl_name = 'ledger'")).scalars()
    for name in names.all():
        connection.execute(text(f"drop trigger {name}"))


def test_entries_come_back_exactly_as_they_were_recorded(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        made = [change.record("gate.passed", f"churn@{n}", {"n": n, "why": ["ü", None, 0.5, {"deep": True}]}) for n in range(3)]
    assert list(stores.ledger.entries()) == made
    assert list(stores.ledger.entries(after=1)) == made[1:]
    assert (made[0].actor, made[0].tenant, made[0].at) == ("ada", ACME, NOW)


def test_a_long_ledger_is_streamed_whole(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, NOW) as change:
        for n in range(2001):
            change.record("test.step", "churn@1", {"n": n})
    assert [entry.seq for entry in stores.ledger.entries()] == list(range(1, 2002))
    assert verify(stores.ledger.entries()).entries == 2001


@pytest.mark.parametrize(
    "statement",
    [
        "update ledger set actor = 'mallory' where seq = 2",
        "update ledger set actor = actor",
        "delete from ledger where seq = 5",
        "delete from ledger",
        copy_of_the_third(),
        copy_of_the_third(seq=9),
        copy_of_the_third(seq=0),
        copy_of_the_third(seq=-1),
        copy_of_the_third(seq=6),
        "update revisions set actor = 'mallory' where number = 2",
        "delete from revisions where number = 5",
        "insert into revisions select tenant, environment, name, 9, action, actor, at, format, body from revisions where number = 5",
        "update checkpoints set size = 1",
        "delete from checkpoints",
    ],
)
def test_the_database_refuses_to_change_what_was_recorded(stores: SqlStores, statement: str) -> None:
    fill(stores)
    stores.ledger.keep(checkpoint(stores))
    with pytest.raises(DBAPIError, match="custody: "):
        run(stores, statement)
    assert verify(stores.ledger.entries(), stores.ledger.checkpoints(), PUBLIC).entries == 5
    assert stores.of(ACME).deployments.history(revision().key).items[0] == revision(5)


@pytest.mark.parametrize("seq", [3, 5, 6, 7])
def test_the_database_refuses_a_replacement(stores: SqlStores, seq: int) -> None:
    fill(stores)
    if stores._engines.write.dialect.name == "sqlite":
        statement = copy_of_the_third(seq=seq).replace("insert", "insert or replace", 1)
    else:
        statement = copy_of_the_third(seq=seq) + " on conflict (seq) do update set actor = 'mallory'"
    with pytest.raises(DBAPIError, match="custody: "):
        run(stores, statement)
    assert verify(stores.ledger.entries()).entries == 5


def test_sqlite_refuses_to_replace_a_revision_or_a_checkpoint(stores: SqlStores) -> None:
    fill(stores)
    stores.ledger.keep(checkpoint(stores))
    ignore = " on conflict do nothing" if stores._engines.write.dialect.name == "postgresql" else ""
    verb = "insert" if ignore else "insert or replace"
    copy = "tenant, environment, name, number, action, 'mallory', at, format, body"
    for statement in (
        f"{verb} into revisions select {copy} from revisions where number = 2{ignore}",
        f"{verb} into checkpoints select signature, 1, root, at, key_id from checkpoints where true{ignore}",
    ):
        with pytest.raises(DBAPIError, match="custody: "):
            run(stores, statement)


def test_postgresql_refuses_to_truncate(stores: SqlStores) -> None:
    fill(stores)
    dialect = stores._engines.write.dialect.name
    for table in ("ledger", "revisions", "checkpoints"):
        refused = "custody: " if dialect == "postgresql" else "syntax error"  # SQLite has no TRUNCATE at all
        with pytest.raises(DBAPIError, match=refused):
            run(stores, f"truncate table {table}")


def test_a_genuine_next_entry_written_by_hand_is_let_through(stores: SqlStores) -> None:
    fill(stores)
    entry = chained(Draft(ACME, "ada", "test.by_hand", "churn@1", NOW), 6, list(stores.ledger.entries())[-1].hash)
    values = {column: getattr(entry, column) for column in COLUMNS} | {"at": time_text(entry.at), "body": "{}"}
    with stores._engines.write.begin() as connection:
        connection.execute(insert(ledger).values(**values))
    assert verify(stores.ledger.entries()).entries == 6


EDITS = {
    "tenant": ["'beta'"],
    "actor": ["'mallory'", "actor || ' '", "''"],
    "kind": ["'gate.refused'"],
    "subject": ["'churn@9'"],
    "at": ["'2020-01-01T00:00:00.000000Z'", "'noon'", "'2026-03-01 12:30:17.123456+00:00'", "''"],
    "body": ["'{}'", "'null'", "'{'", "body || ' '", "replace(body, '0.5', '0.50')", "'{\"n\": NaN}'"],
    "prev": ["'x'", "hash"],
    "hash": ["'x'", "prev", "upper(hash)"],
    "seq": ["99", "0", "-4"],
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seq=st.integers(1, 4), edit=st.sampled_from([(column, value) for column, values in EDITS.items() for value in values]))
def test_an_edit_past_the_triggers_is_found(stores: SqlStores, seq: int, edit: tuple[str, str]) -> None:
    column, value = edit
    if not list(stores.ledger.entries()):
        fill(stores)
    with stores._engines.write.connect() as connection:
        drop_triggers(connection)
        connection.execute(text(f"update ledger set {column} = {value} where seq = {seq}"))
        inside = Inside(connection)
        found = verify(SqlLedger(inside, lambda: nullcontext(inside)).entries())
        connection.rollback()
    assert not found.ok
    assert found.broken == (1 if column == "seq" and value != "99" else seq)
    assert verify(stores.ledger.entries()).ok


def test_checkpoints_are_kept_once_oldest_first(stores: SqlStores) -> None:
    fill(stores, 2)
    early = checkpoint(stores)
    with stores.change(ACME, ADA, NOW) as change:
        change.record("test.more", "churn@1", {})
    late = checkpoint(stores, later(60))
    for made in (late, early, late):
        stores.ledger.keep(made)
    assert list(stores.ledger.checkpoints()) == [early, late]
    assert verify(stores.ledger.entries(), stores.ledger.checkpoints(), PUBLIC).ok


def test_a_body_that_has_no_json_form_is_refused(stores: SqlStores) -> None:
    with pytest.raises(InvalidInput), stores.change(ACME, ADA, NOW) as change:
        change.record("test.step", "churn@1", {"x": float("nan")})
    assert list(stores.ledger.entries()) == []


def test_an_entry_holds_its_moment_in_utc(stores: SqlStores) -> None:
    with stores.change(ACME, ADA, datetime(2026, 1, 1, tzinfo=UTC)) as change:
        entry = change.record("test.step", "churn@1", {})
    assert entry.prev == "0" * 64
    assert entry.hash != digest_of(b"")
    engines = open_engines(stores._engines.read.url.render_as_string(hide_password=False))
    with engines.read.connect() as connection:
        assert connection.execute(text("select at from ledger")).scalar_one() == "2026-01-01T00:00:00.000000Z"
    engines.close()
