"""Alembic's environment: pending migrations run in one transaction, so a failed one undoes all."""

from __future__ import annotations

import logging

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from shop import settings
from shop.database import connect_arguments, metadata, sqlalchemy_url


def offline() -> None:
    """Print the statements (`alembic upgrade head --sql`)."""
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def online() -> None:
    """Run them on the database of `DATABASE_URL`; say on standard error which."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    engine = create_engine(
        sqlalchemy_url(settings.load().database_url),
        connect_args=connect_arguments("shop-migrations"),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=metadata, transaction_per_migration=False
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    offline()
else:
    online()
