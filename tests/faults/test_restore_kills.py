"""`inv backup.restore --replace` killed at every step: old or new content serves whole, the next run ends it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from ops.backup.manifest import Manifest
from tests.faults.lanes import QUICK
from tests.support import forks
from tests.support.backups import Shop, shop
from tests.support.local import eventually, lives
from tests.support.postgres import Postgres
from tests.support.project import Ran, clean_variables, finish

STEPS = ("safety", "bring", "swap")
MOMENTS = (
    "run.started:",
    *(f"{event}:{step}" for step in STEPS for event in ("step.started", "step.acted", "step.done")),
    "run.done:",
)
# Rows come slowly into it until a file is there, so that pg_restore can be met in the middle of its work.
SLOW = """
CREATE TABLE orders (id integer PRIMARY KEY, item text);
INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 100) n;
CREATE FUNCTION slow(integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  IF pg_stat_file('{go}', true) IS NULL THEN PERFORM pg_sleep(0.2); END IF; RETURN true; END $$;
CREATE TABLE slowly (id integer CHECK (slow(id))); INSERT INTO slowly SELECT generate_series(1, 500)
"""
# Not the dump of the safety backup before it, which reads the same table.
UNDER_WAY = """
SELECT count(*) FROM pg_stat_activity
WHERE query LIKE 'COPY public.slowly%FROM stdin%' AND state = 'active'
"""


@dataclass
class Site:
    """A shop with a backup of 100 orders, and 101 orders now.

    Args:
        shop: The application.
        backup: The backup.
    """

    shop: Shop
    backup: Manifest

    def start(self, fault: str = "") -> forks.Process:
        argv = [sys.executable, "-m", "tests.faults.run"]
        argv += ["backup.restore", "--id", self.backup.id, "--replace", "--yes", "--quiet"]
        variables = {**clean_variables(), **self.shop.variables, "FAULT": fault}
        return forks.start(argv, self.shop.folder, variables)

    def run(self, fault: str = "") -> Ran:
        return finish(self.start(fault))

    def orders(self) -> int:
        ((count,),) = self.shop.ask("SELECT count(*) FROM orders")
        return int(count)

    def half(self) -> list[str]:
        return [each for each in self.shop.databases() if "_restoring_" in each]

    def go(self, *, fast: bool) -> None:
        path = self.shop.server.folder / "go"
        path.touch() if fast else path.unlink()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with Postgres.begin() as running:
        yield running


@pytest.fixture
def site(server: Postgres) -> Iterator[Site]:
    with shop(server) as made:
        (server.folder / "go").touch()
        made.ask(SLOW.format(go=server.folder / "go"))
        backup = made.take()
        made.ask("INSERT INTO orders VALUES (101, 'later')")
        yield Site(made, backup)


def assert_next_run_ends_it(site: Site) -> None:
    """Run it again, by nobody's hand: new content, the old kept, nothing half-made."""
    again = site.run()
    assert again.code == 0, again.text
    assert site.orders() == 100
    assert not site.half()
    own = site.shop.database
    assert all(each == own or f"{own}_before_" in each for each in site.shop.databases())


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment(site: Site, moment: str) -> None:
    ran = site.run(f"kill:{moment}")
    assert ran.code == -signal.SIGKILL, ran.text
    swapped = moment in ("step.acted:swap", "step.done:swap", "run.done:")
    assert site.orders() == (100 if swapped else 101)
    assert_next_run_ends_it(site)


@pytest.mark.parametrize("step", STEPS)
def test_terminated_at_any_step_is_undone(site: Site, step: str) -> None:
    ran = site.run(f"SIGTERM:step.acted:{step}")
    assert ran.code == 128 + signal.SIGTERM, ran.text
    assert site.orders() == 101
    assert list(site.shop.databases()) == [site.shop.database]
    assert_next_run_ends_it(site)


@pytest.fixture
def under_way(site: Site) -> Iterator[forks.Process]:
    """A restore in the middle of its rows."""
    site.go(fast=False)
    running = site.start()
    try:
        assert eventually(lambda: site.shop.ask(UNDER_WAY, "postgres") == [(1,)], 30)
        assert site.orders() == 101 and site.half()
        yield running
    finally:
        running.kill()


def restorers(running: forks.Process) -> list[psutil.Process]:
    children = psutil.Process(running.pid).children(recursive=True)
    return [each for each in children if each.name() == "pg_restore"]


def test_killed_inside_pg_restore(site: Site, under_way: forks.Process) -> None:
    (child,) = restorers(under_way)
    under_way.kill()
    assert finish(under_way).code == -signal.SIGKILL
    assert site.orders() == 101
    site.go(fast=True)
    assert_next_run_ends_it(site)
    assert not lives(child)


def test_terminated_inside_pg_restore(site: Site, under_way: forks.Process) -> None:
    (child,) = restorers(under_way)
    psutil.Process(under_way.pid).terminate()
    assert finish(under_way).code == 128 + signal.SIGTERM
    assert site.orders() == 101
    assert not site.half() and not lives(child)
    site.go(fast=True)
    assert_next_run_ends_it(site)


def test_killed_pg_restore_itself(site: Site, under_way: forks.Process) -> None:
    (child,) = restorers(under_way)
    child.kill()
    ran = finish(under_way)
    assert ran.code == 1 and "SIGKILL" in ran.text, ran.text
    assert site.orders() == 101
    assert not site.half()
    site.go(fast=True)
    assert_next_run_ends_it(site)


@pytest.mark.parametrize("mode", ["immediate", "fast"])
def test_server_that_is_stopped_in_the_middle(
    site: Site, under_way: forks.Process, mode: str
) -> None:
    site.shop.server.stop(mode)
    ran = finish(under_way)
    try:
        assert ran.code == 1, ran.text
        errors = [each for each in ran.text.splitlines() if each.startswith("error: ")]
        assert len(errors) == 1 and "Traceback" not in ran.text, ran.text
    finally:
        site.shop.server.start()
    assert site.orders() == 101
    site.go(fast=True)
    began = time.monotonic()
    assert_next_run_ends_it(site)
    assert time.monotonic() - began < QUICK
