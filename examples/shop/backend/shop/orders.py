"""Place, count and list orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shop.database import jobs, orders

LONGEST = 100
MOST = 1000


class Invalid(ValueError):
    """The client's order cannot be accepted; the message says why."""


@dataclass(frozen=True)
class NewOrder:
    """An order as the client sent it, checked.

    Args:
        item: What is ordered.
        quantity: How many, 1 to 1000.
        client_id: The client's own name for the order: sent again, it is not placed again.
    """

    item: str = "espresso"
    quantity: int = 1
    client_id: str | None = None

    @classmethod
    def parse(cls, body: object) -> NewOrder:
        """Check a decoded JSON body.

        Raises:
            Invalid: It is no object, or a field is unknown or out of range.
        """
        if not isinstance(body, dict):
            raise Invalid("send a JSON object")
        if unknown := sorted(set(body) - {"item", "quantity", "client_id"}):
            raise Invalid(f"unknown field {unknown[0]!r}")
        quantity = body.get("quantity", cls.quantity)
        if type(quantity) is not int or not 1 <= quantity <= MOST:
            raise Invalid(f"quantity must be a whole number from 1 to {MOST}")
        client_id = body.get("client_id")
        return cls(
            item=_text("item", body.get("item", cls.item)),
            quantity=quantity,
            client_id=None if client_id is None else _text("client_id", client_id),
        )


def _text(name: str, value: object) -> str:
    # Not printable: also NUL and lone surrogates, which PostgreSQL cannot store.
    if (
        not isinstance(value, str)
        or not value.strip()
        or not value.isprintable()
        or len(value) > LONGEST
    ):
        raise Invalid(f"{name} must be a text of 1 to {LONGEST} printable characters")
    return value


async def place(connection: AsyncConnection, order: NewOrder) -> tuple[dict[str, Any], bool]:
    """Store an order and the worker's job for it, in the caller's transaction.

    Returns:
        The stored order, and whether it is new: one with a known `client_id` stays as it was.
    """
    statement = insert(orders).values(
        item=order.item, quantity=order.quantity, client_id=order.client_id
    )
    placed = (
        await connection.execute(
            statement.on_conflict_do_nothing(index_elements=[orders.c.client_id]).returning(orders)
        )
    ).one_or_none()
    if placed is None:
        known = select(orders).where(orders.c.client_id == order.client_id)
        return _json((await connection.execute(known)).one()._mapping), False
    await connection.execute(jobs.insert().values(order_id=placed.id))
    return _json(placed._mapping), True


async def count(connection: AsyncConnection) -> int:
    """Return how many orders were placed."""
    return (await connection.execute(select(func.count()).select_from(orders))).scalar_one()


async def latest(connection: AsyncConnection, limit: int = 10) -> list[dict[str, Any]]:
    """Return the last orders, newest first, each with `done`: whether the worker has booked it."""
    done = select(jobs.c.order_id).where(
        jobs.c.order_id == orders.c.id, jobs.c.done_at.is_not(None)
    )
    statement = (
        select(orders, done.exists().label("done")).order_by(orders.c.id.desc()).limit(limit)
    )
    return [_json(row._mapping) for row in await connection.execute(statement)]


def _json(row: RowMapping) -> dict[str, Any]:
    return {**row, "created_at": row["created_at"].isoformat()}
