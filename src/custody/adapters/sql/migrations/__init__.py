"""The database's versions, as Alembic reads them; a version that was released never changes."""
