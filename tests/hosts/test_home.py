from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ops.hosts import home
from ops.hosts.home import Home
from ops.kernel import files, settings
from ops.kernel.deadline import Deadline
from ops.kernel.errors import NotPermitted, TimeLimitReached
from tests.support.local import OPS_TOML, Project, is_root


def of(folder: Path, **environ: str) -> Home:
    return home.of(settings.load(start=folder, environ=environ))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ops.toml").write_text(OPS_TOML)
    return tmp_path


def test_each_project_has_its_own(folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "ops.toml").write_text(OPS_TOML)
    assert of(folder) == of(folder)
    assert of(folder).path != of(other).path
    assert of(folder).sockets != of(other).sockets


def test_nothing_is_created_by_asking(folder: Path) -> None:
    assert not of(folder).path.exists()
    assert not of(folder).sockets.exists()


@pytest.mark.skipif(not is_root(), reason="root's place")
def test_as_root_it_is_outside_of_any_home(folder: Path) -> None:
    assert of(folder).path.parent == Path("/var/lib/invops")
    assert of(folder).path.name.startswith("shop-")
    assert of(folder).sockets == of(folder).path / "run"


@pytest.mark.skipif(is_root(), reason="everybody else's place")
def test_otherwise_it_is_in_the_project(folder: Path) -> None:
    assert of(folder).path == folder / ".ops" / "home"


def test_sockets_have_a_short_path_wherever_the_project_is(folder: Path) -> None:
    deep = folder / ("deep" * 20)
    deep.mkdir()
    (deep / "ops.toml").write_text(OPS_TOML)
    assert len(str(of(deep, OPS_HOME=str(deep / "home")).sockets)) < 60


def test_folders_are_private_unless_the_service_user_needs_them(folder: Path) -> None:
    made = of(folder, OPS_HOME=str(folder / "home"))
    home.create(made, None)
    for path in (made.path, made.tools, made.venvs, made.builds, made.supervisor, made.sockets):
        assert path.stat().st_mode & 0o777 == 0o700
    home.create(made, None)
    assert made.environment("local") == made.path / "environments" / "local"


@pytest.mark.skipif(not is_root(), reason="only root gives folders away")
def test_as_root_the_service_user_owns_only_the_sockets(made: Project) -> None:
    home.create(made.home, files.Owner(54321, 54321))
    assert made.home.sockets.stat().st_uid == 54321
    assert made.home.sockets.stat().st_mode & 0o777 == 0o700
    assert made.home.path.stat().st_uid == 0
    assert made.home.path.stat().st_mode & 0o777 == 0o755


@pytest.mark.skipif(not is_root(), reason="only root has a service user")
def test_home_that_the_service_user_cannot_enter_is_refused(made: Project) -> None:
    made.folder.chmod(0o700)
    with pytest.raises(NotPermitted, match="cannot enter") as caught:
        home.create(made.home, files.Owner(54321, 54321))
    assert "OPS_HOME" in caught.value.hint


@pytest.mark.skipif(not is_root(), reason="needs another owner")
def test_socket_folder_of_somebody_else_is_refused(made: Project) -> None:
    made.home.sockets.mkdir(parents=True)
    target = made.folder / "target"
    target.mkdir()
    made.home.sockets.rmdir()
    made.home.sockets.symlink_to(target)
    with pytest.raises(NotPermitted, match="belongs to user"):
        home.create(made.home, None)


def test_shell_with_another_temporary_folder_finds_the_same_sockets(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = folder / ("deep" * 20)
    before = of(folder, OPS_HOME=str(deep))
    home.create(before, None)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert of(folder, OPS_HOME=str(deep)) == before
    before.sockets.rmdir()


def test_lock_of_a_folder_keeps_others_waiting(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom ops.hosts import home\n"
        "from ops.kernel.deadline import Deadline\n"
        "with home.locked(Path(sys.argv[1]), Deadline(10)):\n print('in', flush=True)\n input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        with (
            pytest.raises(TimeLimitReached, match="another process"),
            home.locked(tmp_path, Deadline(0.2)),
        ):
            pass
        holder.kill()
        begin = time.monotonic()
        with home.locked(tmp_path, Deadline(5)):
            assert time.monotonic() - begin < 2
    assert os.listdir(tmp_path) == []
