"""The daemon after kill -9 of anything: everything comes back once, and nobody is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.hosts import account, orphans
from ops.hosts.programs import Program
from tests.support.daemons import daemons, kill_daemon, pid_of, program, running
from tests.support.local import Project, eventually, is_root, lives, project

PYTHON = "/usr/bin/python3" if is_root() else sys.executable
ENSURE = (
    "import sys\nfrom pathlib import Path\nfrom tests.support.local import at\n"
    "at(Path(sys.argv[1])).daemon().ensure()\n"
)
# A reloader: its child lives in the same process group and outlives a killed parent.
PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], **OPTIONS)\n"
    "child.wait()\n"
)


@pytest.fixture
def shop() -> Iterator[Project]:
    with project() as made:
        account.ensure(made.context)
        made.daemon().ensure()
        yield made


def test_two_starts_at_once_make_one_daemon(shop: Project) -> None:
    shop.daemon().shutdown()
    command = [sys.executable, "-c", ENSURE, str(shop.folder)]
    started = [subprocess.Popen(command) for _ in range(3)]
    assert [each.wait(60) for each in started] == [0, 0, 0]
    assert len(daemons(shop)) == 1


def test_killed_program_comes_back(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    before = running(shop, "worker")
    psutil.Process(before).kill()
    assert eventually(lambda: pid_of(shop, "worker") not in (0, before))


def test_killed_daemon_comes_back_with_its_programs_once(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    orphan = psutil.Process(running(shop, "worker"))
    kill_daemon(shop)
    assert lives(orphan)
    assert not shop.daemon().running()
    shop.daemon().ensure()
    assert not lives(orphan)
    again = running(shop, "worker")
    assert [each.pid for each in orphans.find(shop.home, {"worker"})] == [again]


def test_daemon_without_its_socket_is_replaced(shop: Project) -> None:
    (before,) = daemons(shop)
    (shop.home.sockets / "supervisor.sock").unlink()
    shop.daemon().ensure()
    (after,) = daemons(shop)
    assert after != before
    assert not lives(before)


@pytest.mark.parametrize("options", ["{}", "{'start_new_session': True}"])
def test_restart_after_kill_of_a_parent_leaves_no_orphan_child(shop: Project, options: str) -> None:
    script = PARENT.replace("**OPTIONS", f"**{options}")
    shop.daemon().add("web", [program("web", PYTHON, "-c", script)])
    parent = psutil.Process(running(shop, "web"))
    (child,) = parent.children()
    parent.kill()
    assert eventually(lambda: not lives(child) and len(orphans.find(shop.home, {"web"})) == 2)


@pytest.mark.parametrize("options", ["{}", "{'start_new_session': True}"])
def test_stop_ends_children_too(shop: Project, options: str) -> None:
    script = PARENT.replace("**OPTIONS", f"**{options}")
    shop.daemon().add("web", [program("web", PYTHON, "-c", script)])
    running(shop, "web")
    assert len(orphans.find(shop.home, {"web"})) == 2
    shop.daemon().stop("web")
    assert orphans.find(shop.home, {"web"}) == []


def test_stopped_group_stays_stopped_when_the_daemon_comes_back(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    shop.daemon().stop("worker")
    kill_daemon(shop)
    shop.daemon().ensure()
    assert [each.state for each in shop.daemon().programs()] == ["STOPPED"]
    shop.daemon().start("worker")
    assert running(shop, "worker")


def test_stop_signal_is_the_programs_own(shop: Project) -> None:
    script = "trap 'echo interrupted; exit' INT; trap 'echo terminated; exit' TERM; while :; do sleep 0.05; done"
    one = Program("worker", ("sh", "-c", script), Path("/"), {"PATH": "/usr/bin:/bin"}, "INT")
    shop.daemon().add("worker", [one])
    running(shop, "worker")
    kill_daemon(shop)
    shop.daemon().ensure()
    assert eventually(lambda: bool(pid_of(shop, "worker")))
    running(shop, "worker")
    shop.daemon().stop("worker")
    # The log of the killed daemon's program ended with its pipe, so only the second end is seen.
    assert shop.daemon().log_path("worker").read_text().splitlines()[-1] == "interrupted"


def test_program_that_does_not_end_is_killed_in_time(shop: Project) -> None:
    script = "trap '' TERM; while :; do sleep 0.05; done"
    one = Program("worker", ("sh", "-c", script), Path("/"), {"PATH": "/usr/bin:/bin"}, "TERM", 0.5)
    shop.daemon().add("worker", [one])
    running(shop, "worker")
    shop.daemon().stop("worker")
    assert orphans.find(shop.home) == daemons(shop)


def test_shutdown_leaves_no_process(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    running(shop, "worker")
    shop.daemon().shutdown()
    assert orphans.find(shop.home) == []


def test_daemon_ends_its_programs_on_the_systems_own_shutdown(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    running(shop, "worker")
    (daemon,) = daemons(shop)
    daemon.send_signal(signal.SIGTERM)
    assert eventually(lambda: orphans.find(shop.home) == [])
