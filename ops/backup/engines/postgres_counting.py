"""Rows of a snapshot, counted in a thread while pg_dump writes the same snapshot."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from ops.backup.engines import postgres_inventory
from ops.backup.manifest import Inventory
from ops.database import sql
from ops.kernel.context import Context
from ops.kernel.errors import OpsError

_TICK: Final = 0.2


class Counting:
    """Rows of the dump's tables, counted in a thread beside it.

    Args:
        context: Gives the deadline of the wait for the result.
        connection: Its transaction has the snapshot; nobody else uses it meanwhile.
        found: The tables.
    """

    def __init__(
        self,
        context: Context,
        connection: sql.Connection,
        found: Sequence[postgres_inventory.Found],
    ) -> None:
        self._context = context
        self._connection = connection
        self._found = found
        self._stopped = threading.Event()
        self._result: Future[Inventory] | None = None

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Count while the block runs; a block that ends early ends the counting."""
        with ThreadPoolExecutor(1) as pool:
            self._result = pool.submit(self._work)
            try:
                yield
            finally:
                self._stopped.set()
                if not self._result.done():
                    with contextlib.suppress(OpsError), sql.translated("cannot stop counting"):
                        self._connection.cancel()

    def result(self) -> Inventory:
        """Return the inventory, when it is there.

        Raises:
            TimeLimitReached: The context's time is used up first.
            OpsError: A table could not be counted.
        """
        assert self._result is not None
        while not wait([self._result], timeout=_TICK).done:
            self._context.deadline.check("counting rows")
        return self._result.result()

    def _work(self) -> Inventory:
        with sql.translated("cannot count the rows of the snapshot"):
            counted = postgres_inventory.count(
                self._connection, self._found, stop=self._stopped.is_set
            )
            return postgres_inventory.describe(self._connection, counted)
