"""Alembic runs this module with the connection that ``gateway.db.migrate`` opened."""

from alembic import context

from gateway.db.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
    include_name=lambda name, kind, _: kind != "table" or name in Base.metadata.tables,
)
with context.begin_transaction():
    context.run_migrations()
