"""The daemon with real processes: each runs as described, tells no secret, and changes only when it must."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import pytest

from ops.hosts import account, orphans
from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, EffectRefused, StepFailed
from tests.support.daemons import daemons, pid_of, program, running
from tests.support.local import Project, at, eventually, is_root, project

SECRET = "sentinel-7f3a9c%d;#"


@pytest.fixture
def shop() -> Iterator[Project]:
    with project() as made:
        account.ensure(made.context)
        made.daemon().ensure()
        yield made


def test_daemon_that_runs_is_not_started_again(shop: Project) -> None:
    (before,) = daemons(shop)
    shop.daemon().ensure()
    assert daemons(shop) == [before]


def test_daemon_has_a_session_of_its_own(shop: Project) -> None:
    (process,) = daemons(shop)
    assert process.terminal() is None
    assert process.ppid() != psutil.Process().pid
    assert [
        each.path for each in process.open_files() if not each.path.startswith(str(shop.home.path))
    ] == []


def test_program_has_exactly_its_environment(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if SECRET in str(each.info["cmdline"])
    ]
    holding = [
        path for path in shop.home.path.rglob("*") if path.is_file() and SECRET in path.read_text()
    ]
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


def test_program_that_ends_again_and_again_is_reported_with_its_last_words(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker", "sh", "-c", "echo no such table: jobs; exit 3")])
    with pytest.raises(StepFailed, match="worker does not stay up") as caught:
        shop.daemon().wait_running("worker")
    assert "no such table: jobs" in caught.value.why


def test_program_that_does_not_exist_is_reported(shop: Project) -> None:
    shop.daemon().add("worker", [program("worker", "no-such-program")])
    with pytest.raises(StepFailed) as caught:
        shop.daemon().wait_running("worker")
    assert "cannot start no-such-program in /: not found in PATH" in caught.value.why


def test_program_that_was_repaired_gets_a_new_chance(shop: Project) -> None:
    daemon = shop.daemon()
    daemon.add("worker", [program("worker", "false")])
    with pytest.raises(StepFailed, match="worker does not stay up") as caught:
        daemon.wait_running("worker")
    assert caught.value.why == "it wrote nothing"
    daemon.add("worker", [program("worker")])
    daemon.wait_running("worker")


def test_signal_reaches_the_program(shop: Project) -> None:
    script = "trap 'echo got it' USR1; while :; do sleep 0.05; done"
    shop.daemon().add("worker", [program("worker", "sh", "-c", script)])
    running(shop, "worker")
    shop.daemon().signal("worker", "USR1")
    log = shop.daemon().log_path("worker")
    assert eventually(lambda: "got it" in log.read_text())


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
        folder = outer.folder / 'Anna\'s  "big" shop'
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
            inner.home.sockets.rmdir()
