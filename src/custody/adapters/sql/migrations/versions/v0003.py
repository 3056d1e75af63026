"""Version 3: scans of dataset versions for personal data, and privacy policies."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import Column, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TEXTS = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables; versions that are there already have no scan, and so wait in quarantine for the worker's."""
    op.create_table(
        "scans",
        *(Column(name, TEXTS, primary_key=True) for name in ("tenant", "name")),
        Column("version", Integer, primary_key=True, autoincrement=False),
        *(Column(name, TEXTS, nullable=False) for name in ("state", "policy", "pack")),
        Column("format", Integer, nullable=False),
        Column("body", Text, nullable=False),
    )
    op.create_table(
        "privacy_policies",
        Column("tenant", TEXTS, primary_key=True),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("created_at", TEXTS, nullable=False),
        Column("format", Integer, nullable=False),
        Column("body", Text, nullable=False),
    )
