"""How `setup.check` runs its checks and what it makes of their answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed
from ops.kernel.secrets import Secrets
from ops.kernel.settings.bare import bare
from ops.setup import check
from ops.setup.checks import packages
from ops.setup.checks.result import Check, Machine, Result

OK = Result("a", "ok", "fine")
MISSING = Result("tool", "missing", "not here", "apt-get install tool", exits.DEPENDENCY)
SILENT = Result("db", "wrong", "no answer", "inv status", exits.CONNECTION)
SETTING = Result("settings", "wrong", "ops.toml:3: x", "inv config.check", exits.CONFIGURATION)
WARNING = Result("git", "warning", "no commit", "git commit")


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(Context(bare(tmp_path, {}), Secrets(tmp_path), Deadline(5)))


@pytest.mark.parametrize(
    ("results", "code", "summary"),
    [
        ([OK], exits.OK, "local: nothing is missing"),
        ([OK, WARNING], exits.OK, "local: 1 warning"),
        ([WARNING, WARNING], exits.OK, "local: 2 warnings"),
        ([SILENT], exits.CONNECTION, "local: 1 wrong"),
        ([SILENT, MISSING], exits.DEPENDENCY, "local: 1 missing, 1 wrong"),
        ([SILENT, MISSING, SETTING], exits.CONFIGURATION, "local: 1 missing, 2 wrong"),
        ([Result("x", "wrong", "?", code=exits.PERMISSION)], exits.GENERAL, "local: 1 wrong"),
    ],
)
def test_worst_result_decides_the_exit_code(results: list[Result], code: int, summary: str) -> None:
    made = check.report(results, "local", time.monotonic())
    assert (made.exit_code, made.summary) == (code, summary)
    assert made.status == ("ok" if code == exits.OK else "difference")
    assert [each["name"] for each in made.data["checks"]] == [each.name for each in results]


def test_commands_are_shown_once_and_in_order() -> None:
    made = check.report([MISSING, SILENT, MISSING, WARNING], "local", time.monotonic())
    assert list(made.hints) == ["apt-get install tool", "inv status", "git commit"]


def test_a_hanging_check_blocks_no_other(here: Machine) -> None:
    release = threading.Event()

    def hang(_: Machine) -> Iterator[Result]:
        release.wait(20)
        yield OK

    checks = [Check("slow", hang, exits.CONNECTION), Check("a", lambda _: [OK], exits.DEPENDENCY)]
    began = time.monotonic()
    found = check.look(checks, here, 0.3)
    took = time.monotonic() - began
    release.set()
    assert found == [Result("slow", "wrong", "no answer within 0.3 s", code=exits.CONNECTION), OK]
    assert took < 2


def test_checks_run_at_the_same_time(here: Machine) -> None:
    meeting = threading.Barrier(4, timeout=5)

    def meet(_: Machine) -> Iterator[Result]:
        meeting.wait()
        yield OK

    assert check.look([Check("a", meet, 2)] * 4, here, 5) == [OK] * 4


def test_a_check_without_anything_to_say_is_not_late(here: Machine) -> None:
    assert check.look([Check("a", lambda _: [], 2)], here, 2) == []


def test_a_failing_check_is_a_result(here: Machine) -> None:
    def refuses(_: Machine) -> list[Result]:
        raise ConnectionFailed("no answer", hint="inv status")

    def breaks(_: Machine) -> list[Result]:
        raise KeyError("x")

    found = check.look([Check("a", refuses, 2), Check("b", breaks, 2)], here, 2)
    assert found == [
        Result("a", "wrong", "no answer", "inv status", exits.CONNECTION),
        Result("b", "wrong", "cannot be checked: KeyError: 'x'", code=exits.DEPENDENCY),
    ]


@pytest.mark.parametrize(
    ("programs", "name", "command"),
    [
        (["apt-get"], "haproxy", "apt-get install -y haproxy"),
        (["apt-get"], "venv", "apt-get install -y python3-venv"),
        (["dnf"], "postgres", "dnf install -y postgresql-server"),
        (["apk"], "node", "apk add nodejs npm"),
        (["apk"], "useradd", "apk add shadow"),
        (["pacman"], "python", "pacman -S --noconfirm python"),
        (["brew"], "node", "brew install node"),
        (["brew", "dnf"], "git", "dnf install -y git"),
        ([], "git", "install git with this machine's package manager"),
    ],
)
def test_command_is_that_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: list[str], name: str, command: str
) -> None:
    for each in programs:
        (tmp_path / each).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    made = packages.install(name)
    assert made.removeprefix("apt-get update && ") == command


def test_no_settings_point_to_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = check.run()
    assert (made.exit_code, list(made.hints)) == (exits.CONFIGURATION, ["invops init"])


def test_every_fault_of_the_settings_is_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ops.toml").write_text('[app]\nname = "Bad Name"\nx = 1\n')
    monkeypatch.chdir(tmp_path)
    made = check.run()
    found = [each["found"] for each in made.data["checks"]]
    assert made.exit_code == exits.CONFIGURATION
    assert len(found) == 3
    assert any(each.startswith("ops.toml:2: app.name") for each in found)
    assert "once the settings are right" in made.summary
