"""Tables, and how to reach the database."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.engine import URL, make_url

metadata = MetaData()

orders = Table(
    "orders",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column(
        "client_id", Text, unique=True, comment="chosen by the client: a repeated order counts once"
    ),
    Column("item", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("order_id", BigInteger, ForeignKey("orders.id"), nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("done_at", DateTime(timezone=True)),
    Index("jobs_open", "id", postgresql_where=text("done_at IS NULL")),
)

sales = Table(
    "sales",
    metadata,
    Column("item", Text, primary_key=True),
    Column("sold", BigInteger, nullable=False),
)


def sqlalchemy_url(url: str) -> URL:
    """Return the URL with the driver that this application uses, psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg")


def connect_arguments(name: str) -> dict[str, object]:
    """Return the driver's options.

    Args:
        name: What `pg_stat_activity` shows.
    """
    return {"application_name": name, "connect_timeout": 3}
