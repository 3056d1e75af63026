"""Version 4: the index of people, what models learned from which data, erasures and obligations."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from alembic import op
from sqlalchemy import Column, Connection, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TEXTS = Text().with_variant(TEXT(collation="C"), "postgresql")
metadata = MetaData()
_SOME = 1000  # rows in one statement


def _key(*names: str) -> list[Column[Any]]:
    return [Column(name, TEXTS, primary_key=True) for name in names]


def _number(name: str) -> Column[Any]:
    return Column(name, Integer, primary_key=True, autoincrement=False)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, TEXTS, nullable=False) for name in names]


def _body() -> list[Column[Any]]:
    return [Column("format", Integer, nullable=False), Column("body", Text, nullable=False)]


subject_rows = Table(
    "subject_rows",
    metadata,
    *_key("tenant", "token", "dataset"),
    _number("version"),
    _number("part"),
)
reach = Table("reach", metadata, *_key("tenant", "dataset"), _number("version"), *_key("kind", "name"), _number("number"))
erasures = Table(
    "erasures",
    metadata,
    *_key("tenant", "id"),
    *_texts("token", "state"),
    *_body(),
    Index("erasures_by_token", "tenant", "token"),
)
obligations = Table(
    "obligations",
    metadata,
    *_key("tenant", "id"),
    *_texts("model"),
    Column("version", Integer, nullable=False),
    *_texts("due_at", "state"),
    *_body(),
    Index("obligations_by_model", "tenant", "model", "version"),
    Index("obligations_by_state", "tenant", "state", "due_at", "id"),
)
redirects = Table("redirects", metadata, *_key("tenant", "old"), *_texts("new"))


def upgrade() -> None:
    """Add the tables, and fill in what the runs and models of the past read."""
    connection = op.get_bind()
    metadata.create_all(connection)
    found = [*_of_runs(connection), *_of_models(connection), *_of_datasets(connection)]
    for start in range(0, len(found), _SOME):
        connection.execute(reach.insert(), found[start : start + _SOME])


def _of_runs(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(text("select tenant, id, body from runs")).all():
        yield from (_row(row.tenant, ref, "run", row.id, 0) for ref in _read(row.body))


def _of_models(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(text("select tenant, name, version, body from models")).all():
        yield from (_row(row.tenant, ref, "model", row.name, row.version) for ref in _read(row.body))


def _of_datasets(connection: Connection) -> Iterator[dict[str, Any]]:
    for row in connection.execute(text("select tenant, name, version, body from datasets")).all():
        for source in set(json.loads(row.body).get("derived_from", [])):
            name, at, number = source.rpartition("@")
            if at and number.isdigit():
                yield _row(row.tenant, (name, int(number)), "dataset", row.name, row.version)


def _read(body: str) -> set[tuple[str, int]]:
    return {(use["ref"]["name"], use["ref"]["version"]) for use in json.loads(body)["datasets"]}


def _row(tenant: str, ref: tuple[str, int], kind: str, name: str, number: int) -> dict[str, Any]:
    return {"tenant": tenant, "dataset": ref[0], "version": ref[1], "kind": kind, "name": name, "number": number}
