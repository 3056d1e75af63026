"""The tables: tenant first in every key and index; what lists show and filter on as columns, the rest as a JSON body."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text, text, true
from sqlalchemy.dialects.postgresql import TEXT

# PostgreSQL compares texts byte by byte, as SQLite does, whatever the locale of the database.
TEXTS = Text().with_variant(TEXT(collation="C"), "postgresql")
metadata = MetaData()


def _key(*names: str) -> list[Column[Any]]:
    return [Column(name, TEXTS, primary_key=True) for name in names]


def _number(name: str) -> Column[Any]:
    return Column(name, Integer, primary_key=True, autoincrement=False)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, TEXTS, nullable=False) for name in names]


def _maybe(*names: str) -> list[Column[Any]]:
    return [Column(name, TEXTS) for name in names]


def _body() -> list[Column[Any]]:
    return [Column("format", Integer, nullable=False), Column("body", Text, nullable=False)]


# Whole projects: what stands above the tenants.
tenants = Table("tenants", metadata, *_key("id"), *_texts("created_at"))
keys = Table(
    "keys",
    metadata,
    *_key("id"),
    *_texts("sha256", "name", "role"),
    *_maybe("tenant"),
    *_texts("created_at"),
    *_maybe("expires_at", "revoked_at"),
    Column("rows", Boolean, nullable=False, server_default=true()),
    Index("keys_by_sha256", "sha256", unique=True),
)
# No unique column beside seq: INSERT OR REPLACE would delete the row that holds the value, past the triggers.
ledger = Table(
    "ledger",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    *_texts("tenant", "actor", "kind", "subject", "at", "body", "prev", "hash"),
    Index("ledger_by_tenant", "tenant", "seq"),
    Index("ledger_by_subject", "tenant", "subject", "seq"),
    Index("ledger_by_kind", "tenant", "kind", "seq"),
)
checkpoints = Table(
    "checkpoints",
    metadata,
    *_key("signature"),
    Column("size", BigInteger, nullable=False),
    *_texts("root", "at", "key_id"),
)

# Data and registry.
datasets = Table(
    "datasets",
    metadata,
    *_key("tenant", "name"),
    _number("version"),
    *_texts("digest", "title", "created_at"),
    Column("rows", BigInteger, nullable=False),
    Column("trainable", Boolean, nullable=False),
    *_body(),
    Index("datasets_by_time", "tenant", "created_at", "name", "version"),
    Index("datasets_by_digest", "tenant", "name", "digest"),
)
scans = Table("scans", metadata, *_key("tenant", "name"), _number("version"), *_texts("state", "policy", "pack"), *_body())
privacy_policies = Table("privacy_policies", metadata, *_key("tenant"), _number("number"), *_texts("created_at"), *_body())
runs = Table(
    "runs",
    metadata,
    *_key("tenant", "id"),
    *_texts("name", "status", "started_at"),
    *_maybe("ended_at"),
    *_body(),
    Index("runs_by_time", "tenant", "started_at", "id"),
    Index("runs_by_name", "tenant", "name", "started_at", "id"),
    Index("runs_by_status", "tenant", "status", "started_at", "id"),
    Index("runs_by_name_and_status", "tenant", "name", "status", "started_at", "id"),
)
models = Table(
    "models",
    metadata,
    *_key("tenant", "name"),
    _number("version"),
    *_texts("artifact", "run_id", "created_at"),
    *_body(),
    Index("models_by_time", "tenant", "created_at", "name", "version"),
    Index("models_by_run", "tenant", "run_id"),
)
aliases = Table("aliases", metadata, *_key("tenant", "name", "alias"), Column("version", Integer, nullable=False))

# What people said about the use of their data, and rows that left.
consents = Table(
    "consents",
    metadata,
    *_key("tenant", "id"),
    *_texts("subject", "purpose", "said", "valid_from"),
    *_maybe("valid_to"),
    *_texts("source", "notice"),
    Column("children", Boolean, nullable=False),
    *_texts("recorded_at"),
    Index("consents_by_purpose", "tenant", "purpose", "recorded_at"),
    Index("consents_by_subject", "tenant", "subject", "recorded_at", "id"),
    Index("consents_by_time", "tenant", "recorded_at", "id"),
)
exports = Table(
    "exports",
    metadata,
    *_key("tenant", "name"),
    *_texts("created_at"),
    *_body(),
    Index("exports_by_time", "tenant", "created_at", "name"),
)

# Gates and deployments.
gate_policies = Table("gate_policies", metadata, *_key("tenant", "model"), _number("version"), *_texts("created_at"), *_body())
golden_sets = Table("golden_sets", metadata, *_key("tenant", "model"), _number("version"), *_texts("created_at"), *_body())
verdicts = Table(
    "verdicts",
    metadata,
    *_key("tenant", "id"),
    *_texts("model", "at"),
    Column("version", Integer, nullable=False),
    Column("passed", Boolean, nullable=False),
    *_body(),
    Index("verdicts_by_time", "tenant", "at", "id"),
    Index("verdicts_by_name", "tenant", "model", "at", "id"),
    Index("verdicts_by_version", "tenant", "model", "version", "at", "id"),
)
revisions = Table(
    "revisions",
    metadata,
    *_key("tenant", "environment", "name"),
    _number("number"),
    *_texts("action", "actor", "at"),
    *_body(),
)

# What production gives back.
captures = Table(
    "captures",
    metadata,
    *_key("tenant", "id"),
    *_texts("environment", "name", "object"),
    Column("rows", BigInteger, nullable=False),
    Column("answered", BigInteger, nullable=False, server_default=text("0")),
    *_texts("first_at", "last_at", "first_event", "last_event", "sealed_at"),
    Index("captures_by_time", "tenant", "environment", "name", "sealed_at", "id"),
)
labels = Table(
    "labels",
    metadata,
    *_key("tenant", "environment", "name", "prediction", "source", "value"),
    *_texts("annotator", "received_at"),
    Column("line", Integer, nullable=False),
)
draws = Table("draws", metadata, *_key("tenant", "environment", "name"), _number("number"), *_body())

# Monitors.
monitor_policies = Table("monitor_policies", metadata, *_key("tenant", "environment", "name"), _number("number"), *_body())
monitor_states = Table(
    "monitor_states", metadata, *_key("tenant", "environment", "name", "detector"), Column("state", Text, nullable=False)
)
looks = Table("looks", metadata, *_key("tenant", "environment", "name"), _number("number"), *_body())
evaluations = Table("evaluations", metadata, *_key("tenant", "environment", "name"), _number("number"), *_body())
alerts = Table(
    "alerts",
    metadata,
    *_key("tenant", "id"),
    *_texts("environment", "name", "opened_at", "state"),
    *_body(),
    Index("alerts_by_time", "tenant", "environment", "name", "opened_at", "id"),
    Index("alerts_by_state", "tenant", "state", "opened_at", "id"),
)
costs = Table("costs", metadata, *_key("tenant", "environment", "name"), *_body())

# People: where their rows are, which models learned from them, what is owed after an erasure.
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

# Keys: since when texts of people are sealed, and where the work of sealing objects anew stands.
sealings = Table("sealings", metadata, _number("version"))
reseals = Table("reseals", metadata, *_key("tenant"), *_body())

# What holds texts of people: sealed under the tenant's key on the way in, opened on the way out.
SEALED = (labels.c.prediction, golden_sets.c.body, monitor_states.c.state)
