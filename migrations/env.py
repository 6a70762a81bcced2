"""How alembic reaches the database: through the connection that `shared.db.migrate` holds."""

from alembic import context

from shared.db.tables import Row

context.configure(connection=context.config.attributes["connection"], target_metadata=Row.metadata)
with context.begin_transaction():
    context.run_migrations()
