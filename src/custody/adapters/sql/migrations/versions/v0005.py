"""Version 5: consent records, exports of rows, and keys that see no rows."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import Boolean, Column, Integer, Text, true
from sqlalchemy.dialects.postgresql import TEXT

revision = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TEXTS = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables and the column."""
    op.create_table(
        "consents",
        *(Column(name, TEXTS, primary_key=True) for name in ("tenant", "id")),
        *(Column(name, TEXTS, nullable=False) for name in ("subject", "purpose", "said", "valid_from")),
        Column("valid_to", TEXTS),
        *(Column(name, TEXTS, nullable=False) for name in ("source", "notice")),
        Column("children", Boolean, nullable=False),
        Column("recorded_at", TEXTS, nullable=False),
    )
    op.create_index("consents_by_purpose", "consents", ["tenant", "purpose", "recorded_at"])
    op.create_index("consents_by_subject", "consents", ["tenant", "subject", "recorded_at", "id"])
    op.create_index("consents_by_time", "consents", ["tenant", "recorded_at", "id"])
    op.create_table(
        "exports",
        *(Column(name, TEXTS, primary_key=True) for name in ("tenant", "name")),
        Column("created_at", TEXTS, nullable=False),
        Column("format", Integer, nullable=False),
        Column("body", Text, nullable=False),
    )
    op.create_index("exports_by_time", "exports", ["tenant", "created_at", "name"])
    op.add_column("keys", Column("rows", Boolean, nullable=False, server_default=true()))
