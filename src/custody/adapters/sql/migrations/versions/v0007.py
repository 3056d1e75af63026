"""Version 7: how many predictions of a batch somebody was answered with; of older batches, how many rows it has."""

from collections.abc import Sequence

from alembic import op
from sqlalchemy import BigInteger, Column, text

revision = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("captures", Column("answered", BigInteger, nullable=False, server_default=text("0")))
    op.execute("update captures set answered = rows")
