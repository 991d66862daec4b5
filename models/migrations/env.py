"""Runs migrations on the database that is named, with a lock timeout so that none can hang a live one."""

from alembic import context
from sqlalchemy import text

from models.database import engine_for

config = context.config
engine = engine_for(config.attributes["url"])
with engine.connect() as connection:
    connection.execute(text("SET lock_timeout = '10s'"))
    # Two processes that start at once must not migrate at once.
    connection.execute(text("SELECT pg_advisory_lock(hashtext('themeline migrations'))"))
    context.configure(
        connection=connection,
        target_metadata=config.attributes["metadata"],
        version_table="themeline_version",
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
