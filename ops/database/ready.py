"""Waiting for a database whose server has just been started, as that of a Compose file at its first deploy."""

from __future__ import annotations

import time
from typing import Final

from ops.database import mysql, mysql_url, sql, target
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed

LIMIT: Final = 60.0
"""Seconds for the first start of a server, which makes its data folder."""
_POLL: Final = 0.2


def wait(context: Context) -> None:
    """Wait until the environment's database takes connections.

    A container that runs may still be making its first data folder, and most Compose files have no health check for
    their database.

    Raises:
        ConnectionFailed: It does not within `LIMIT`, or refuses the password.
    """
    until = Deadline(LIMIT)
    while True:
        try:
            url = target.owner_url(context)
            connect = mysql.connect if mysql_url.is_mysql(url) else sql.connect
            with connect(url, read_only=True):
                return
        except ConnectionFailed as error:
            if until.remaining() <= 0 or "password" in error.why:
                raise
        context.deadline.check("waiting for the database")
        time.sleep(_POLL)
