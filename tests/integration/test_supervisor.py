"""The daemon with real processes: it restarts, forgets nothing, leaves nobody behind and tells no secret."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.hosts import account, orphans
from ops.hosts.programs import Program
from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, EffectRefused, StepFailed
from tests.support.local import Project, at, eventually, is_root, lives, project

PYTHON = "/usr/bin/python3" if is_root() else sys.executable
SECRET = "sentinel-7f3a9c%d;#"
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


def program(name: str, *argv: str, environment: dict[str, str] | None = None) -> Program:
    command = argv or ("sleep", "600")
    return Program(name, command, Path("/"), {"PATH": "/usr/bin:/bin", **(environment or {})})


def pid_of(shop: Project, name: str) -> int:
    return next((each.pid for each in shop.daemon().programs() if each.name == name), 0)


def running(shop: Project, group: str) -> int:
    shop.daemon().wait_running(group)
    return pid_of(shop, group)


def daemons(shop: Project) -> list[psutil.Process]:
    return orphans.find(shop.home, {"supervisord"})


def kill_daemon(shop: Project) -> None:
    (process,) = daemons(shop)
    process.kill()
    # The daemon's own processes are not children of this test, so they are not waited for.
    assert eventually(lambda: not daemons(shop))


def test_daemon_that_runs_is_not_started_again(shop: Project) -> None:
    (before,) = daemons(shop)
    shop.daemon().ensure()
    assert daemons(shop) == [before]


def test_two_starts_at_once_make_one_daemon(shop: Project) -> None:
    shop.daemon().shutdown()
    command = [sys.executable, "-c", ENSURE, str(shop.folder)]
    started = [subprocess.Popen(command) for _ in range(3)]
    assert [each.wait(60) for each in started] == [0, 0, 0]
    assert len(daemons(shop)) == 1


def test_daemon_has_a_session_of_its_own(shop: Project) -> None:
    (process,) = daemons(shop)
    assert process.terminal() is None
    assert process.ppid() != psutil.Process().pid
    assert [each.path for each in process.open_files() if not each.path.startswith(str(shop.home.path))] == []


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


def test_program_has_exactly_its_environment(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAKED", SECRET)
    given = {"PATH": "/usr/bin:/bin", "TOKEN": SECRET, "PERCENT": "100%", "LINES": "a\nb"}
    shop.daemon().add("worker", [program("worker", environment=given)])
    environment = psutil.Process(running(shop, "worker")).environ()
    assert environment == {**given, orphans.VARIABLE: orphans.marker(shop.home, "worker")}


def test_no_secret_in_files_of_the_daemon_or_in_process_lists(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAKED", SECRET)
    shop.daemon().shutdown()
    shop.daemon().ensure()
    shop.daemon().add("worker", [program("worker", environment={"TOKEN": SECRET})])
    running(shop, "worker")
    (daemon,) = daemons(shop)
    assert SECRET not in daemon.environ().values()
    assert not [each for each in psutil.process_iter(["cmdline"]) if SECRET in str(each.info["cmdline"])]
    holding = [path for path in shop.home.path.rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert [path.name for path in holding] == ["worker.json"]
    assert holding[0].stat().st_mode & 0o777 == 0o600


def test_same_definition_changes_nothing(shop: Project) -> None:
    assert shop.daemon().add("worker", [program("worker")])
    before = running(shop, "worker")
    assert not shop.daemon().add("worker", [program("worker")])
    assert pid_of(shop, "worker") == before


def test_changed_definition_replaces_its_group_and_no_other(shop: Project) -> None:
    for name in ("worker", "other"):
        shop.daemon().add(name, [program(name)])
    before, other = running(shop, "worker"), running(shop, "other")
    assert shop.daemon().add("worker", [program("worker", environment={"NEW": "1"})])
    assert running(shop, "worker") != before
    assert psutil.Process(pid_of(shop, "worker")).environ()["NEW"] == "1"
    assert pid_of(shop, "other") == other


def test_program_that_was_given_up_starts_again(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    running(shop, "worker")
    shop.daemon().stop("worker")
    assert pid_of(shop, "worker") == 0
    assert shop.daemon().add("worker", [program("worker")])
    assert running(shop, "worker")


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


def test_program_that_ends_again_and_again_is_reported_with_its_last_words(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker", "sh", "-c", "echo no such table: jobs; exit 3")])
    with pytest.raises(StepFailed, match="worker does not stay up") as caught:
        shop.daemon().wait_running("worker")
    assert "no such table: jobs" in caught.value.why


def test_program_that_does_not_exist_is_reported(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker", "no-such-program")])
    with pytest.raises(StepFailed) as caught:
        shop.daemon().wait_running("worker")
    assert "cannot start no-such-program in /: No such file or directory" in caught.value.why


def test_signal_reaches_the_program(shop: Project) -> None:
    script = "trap 'echo got it' USR1; while :; do sleep 0.05; done"
    shop.daemon().add("worker", [program("worker", "sh", "-c", script)])
    running(shop, "worker")
    shop.daemon().signal("worker", "USR1")
    log = shop.daemon().log_path("worker")
    assert eventually(lambda: "got it" in log.read_text())


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


def test_removed_group_leaves_only_its_log(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker"), program("other")])
    running(shop, "worker")
    shop.daemon().remove("worker")
    assert shop.daemon().programs() == []
    named = [path.name for path in shop.home.supervisor.rglob("*") if "worker" in path.name]
    assert named == ["worker.log"]


def test_remove_without_a_home_does_nothing(shop: Project) -> None:
    with project() as other:
        other.daemon().remove("worker")
        assert not other.home.path.exists()


def test_dry_run_looks_but_starts_nothing(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    before = running(shop, "worker")
    with guard.scope(guard.Mode.DRY_RUN):
        assert shop.daemon().running()
        assert [each.name for each in shop.daemon().programs()] == ["worker"]
        for change in (
            lambda: shop.daemon().add("new", [program("new")]),
            lambda: shop.daemon().remove("worker"),
            lambda: shop.daemon().stop("worker"),
            lambda: shop.daemon().signal("worker", "TERM"),
            lambda: shop.daemon().shutdown(),
        ):
            with pytest.raises(EffectRefused):
                change()
    assert running(shop, "worker") == before


def test_log_is_private(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker", "sh", "-c", "echo hello; sleep 600")])
    running(shop, "worker")
    log = shop.daemon().log_path("worker")
    assert log.read_text() == "hello\n"
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not is_root(), reason="only root runs services as another user")
def test_as_root_services_run_as_the_service_user(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    process = psutil.Process(running(shop, "worker"))
    user = account.lookup()
    assert user is not None
    assert set(process.uids()) == {user.uid}
    assert set(process.gids()) == {user.gid}
    (daemon,) = daemons(shop)
    assert daemon.username() == "root"
    service = shop.home.supervisor / "services" / "worker" / "worker.json"
    assert service.stat().st_uid == user.uid
    assert json.loads(service.read_text())["argv"] == ["sleep", "600"]


def test_shutdown_leaves_no_process(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    running(shop, "worker")
    shop.daemon().shutdown()
    assert orphans.find(shop.home) == []


@pytest.mark.parametrize("name", ["100% mine", "work [old]", "shop #2"])
def test_path_that_the_daemon_cannot_use_is_refused(name: str) -> None:
    with project() as outer:
        folder = outer.folder / name
        folder.mkdir()
        (folder / "ops.toml").write_text((outer.folder / "ops.toml").read_text())
        with pytest.raises(ConfigurationError, match="cannot use the path") as caught:
            at(folder).daemon().ensure()
        assert "OPS_HOME" in caught.value.hint


def test_path_with_spaces_and_quotes_works() -> None:
    with project() as outer:
        folder = outer.folder / "Anna's  \"big\" shop"
        folder.mkdir()
        (folder / "ops.toml").write_text((outer.folder / "ops.toml").read_text())
        inner = at(folder)
        account.ensure(inner.context)
        inner.daemon().ensure()
        try:
            inner.daemon().add("worker", [program("worker")])
            assert running(inner, "worker")
        finally:
            inner.daemon().shutdown()


def test_daemon_ends_its_programs_on_the_systems_own_shutdown(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker")])
    running(shop, "worker")
    (daemon,) = daemons(shop)
    daemon.send_signal(signal.SIGTERM)
    assert eventually(lambda: orphans.find(shop.home) == [])
