"""Version 6: whether texts of people are sealed, where sealing objects anew stands; people in further columns are indexed anew."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import Column, Integer, Text
from sqlalchemy.dialects.postgresql import TEXT

revision = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

TEXTS = Text().with_variant(TEXT(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the tables; the index knew only the first of several people in a row."""
    op.create_table("sealings", Column("version", Integer, primary_key=True, autoincrement=False))
    op.create_table(
        "reseals",
        Column("tenant", TEXTS, primary_key=True),
        Column("format", Integer, nullable=False),
        Column("body", Text, nullable=False),
    )
    op.execute(
        "delete from subject_rows where token = '' and exists (select 1 from datasets where datasets.tenant = subject_rows.tenant "
        "and datasets.name = subject_rows.dataset and datasets.version = subject_rows.version "
        'and datasets.body like \'%"further_subject_keys":["%\')'
    )
