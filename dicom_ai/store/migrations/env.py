"""Alembic's entry point: runs the revisions over the connection that `database.migrate` hands in."""

from alembic import context

from dicom_ai.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
