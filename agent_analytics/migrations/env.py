"""Alembic's entry point: `schema.migrate` hands over an open connection."""

from alembic import context

from agent_analytics.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="schema_version",
    include_schemas=True,
    include_name=lambda name, kind, parents: kind != "schema" or name == "analytics",
)
with context.begin_transaction():
    context.run_migrations()
