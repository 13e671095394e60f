"""The worker: `python -m shop.worker` books each order once in the sales.

With `--alive FILE` it touches a file each time that it got through to the database: it answers nobody, so this is what
a health check looks at.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from pathlib import Path

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from shop import logs, settings
from shop.database import connect_arguments, jobs, orders, sales, sqlalchemy_url

IDLE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
log = logging.getLogger("shop.worker")


def work(engine: Engine) -> bool:
    """Do the oldest open job that no other worker has taken.

    Taking, doing and marking it are one transaction: a killed worker leaves nothing half done,
    and the job is free again.

    Returns:
        Whether there was one.
    """
    with engine.begin() as connection:
        job = connection.execute(
            select(jobs.c.id, orders.c.item, orders.c.quantity)
            .join(orders, orders.c.id == jobs.c.order_id)
            .where(jobs.c.done_at.is_(None))
            .order_by(jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=jobs)
        ).one_or_none()
        if job is None:
            return False
        booked = insert(sales).values(item=job.item, sold=job.quantity)
        connection.execute(
            booked.on_conflict_do_update(
                index_elements=[sales.c.item], set_={"sold": sales.c.sold + booked.excluded.sold}
            )
        )
        connection.execute(jobs.update().where(jobs.c.id == job.id).values(done_at=func.now()))
    log.info("job done", extra={"job": job.id, "item": job.item, "quantity": job.quantity})
    return True


def run(engine: Engine, stop: threading.Event, alive: Path | None = None) -> None:
    """Work until `stop` is set; a lost database is tried again, after 0.5 s and up to 5 s.

    Args:
        engine: The database.
        stop: When to end.
        alive: File that is touched after each look for a job.
    """
    pause = IDLE_SECONDS
    while not stop.is_set():
        try:
            busy = work(engine)
            pause = IDLE_SECONDS
        except DBAPIError as error:
            reason = str(error).split("\n", 1)[0]
            log.warning("database failed", extra={"reason": reason, "again_in_seconds": pause})
            stop.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            if alive:
                alive.touch()
            if not busy:
                stop.wait(IDLE_SECONDS)


def main() -> None:
    """Run until SIGTERM or SIGINT; the job in hand is finished first."""
    parser = argparse.ArgumentParser(prog="shop.worker")
    parser.add_argument("--alive", type=Path)
    alive = parser.parse_args().alive
    configured = settings.load()
    logs.configure(configured.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    engine = create_engine(
        sqlalchemy_url(configured.database_url),
        connect_args=connect_arguments("shop-worker"),
        pool_size=1,
        pool_pre_ping=True,
    )
    log.info("started", extra={"version": configured.version})
    run(engine, stop, alive)
    engine.dispose()
    log.info("stopped", extra={"version": configured.version})


if __name__ == "__main__":
    main()
