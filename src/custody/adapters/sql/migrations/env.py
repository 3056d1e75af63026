"""Runs the versions on the connection that `custody.adapters.sql.upgrade` hands over; only Alembic loads this file."""

from alembic import context

from custody.adapters.sql.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
