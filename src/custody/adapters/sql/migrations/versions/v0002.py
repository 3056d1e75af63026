"""Version 2: draws of predictions that people are asked to label."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import Column, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TEXTS = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "draws",
        *(Column(name, TEXTS, primary_key=True) for name in ("tenant", "environment", "name")),
        Column("number", Integer, primary_key=True, autoincrement=False),
        Column("format", Integer, nullable=False),
        Column("body", Text, nullable=False),
    )
