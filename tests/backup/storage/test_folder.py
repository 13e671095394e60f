"""Archives in a folder: whole or not at all, and nothing left behind for a person to clean up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.backup.storage import Entry
from ops.backup.storage.folder import FolderStore
from ops.kernel import guard
from ops.kernel.errors import ConfigurationError, EffectRefused, NotPermitted, OpsError

NAME = "20261121T120000Z-00000a.dump.zst"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "shop" / "prod", tmp_path)


def write(store: FolderStore, name: str = NAME, data: bytes = b"archive") -> None:
    with store.writer(name) as sink:
        sink.write(data)


def test_an_object_is_private_and_comes_back(store: FolderStore, tmp_path: Path) -> None:
    write(store)
    store.put("a.json", b"one")
    store.put("a.json", b"two")
    with store.reader(NAME) as reader:
        assert reader.read() == b"archive"
    assert store.get("a.json") == b"two"
    assert list(store.entries()) == [Entry(NAME, 7), Entry("a.json", 3)]
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "shop" / "prod").iterdir()]
    folders = [path.stat().st_mode & 0o777 for path in (tmp_path / "shop", tmp_path / "shop/prod")]
    assert (modes, folders) == ([0o600, 0o600], [0o700, 0o700])


def test_an_object_is_not_there_before_its_end(store: FolderStore) -> None:
    with store.writer(NAME) as sink:
        sink.write(b"half")
        assert not store.entries()
    assert store.entries()


def test_a_block_that_fails_leaves_nothing(store: FolderStore) -> None:
    with pytest.raises(KeyboardInterrupt), store.writer(NAME) as sink:
        sink.write(b"half")
        raise KeyboardInterrupt
    assert not list(Path(store.where).iterdir())


def test_delete_accepts_what_is_gone(store: FolderStore) -> None:
    write(store)
    store.delete(NAME)
    store.delete(NAME)
    assert not store.entries()


def test_what_is_not_there_is_one_line(store: FolderStore) -> None:
    assert list(store.entries()) == [] and store.sweep() == 0
    with pytest.raises(ConfigurationError, match="no such file"):
        store.get("nothing.json")
    with pytest.raises(ConfigurationError, match="no such file"), store.reader(NAME):
        pass


def test_sweep_removes_what_a_killed_writer_left_and_nothing_of_a_living_one(
    store: FolderStore,
) -> None:
    write(store)
    code = (
        "import sys, os\nfrom pathlib import Path\nfrom ops.backup.storage.folder import FolderStore\n"
        "where = Path(sys.argv[1])\n"
        "with FolderStore(where, None).writer(sys.argv[2]) as sink:\n"
        "    sink.write(b'half'); sink.flush(); print('ready', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, store.where, "other.dump.zst"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert store.sweep() == 0, "its writer lives"
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    assert [each.name for each in store.entries()] == [NAME]
    assert store.sweep() == 1
    assert sorted(path.name for path in Path(store.where).iterdir()) == [NAME]


def test_a_dry_run_changes_nothing(store: FolderStore, tmp_path: Path) -> None:
    write(store)
    with guard.scope(guard.Mode.DRY_RUN):
        with pytest.raises(EffectRefused):
            write(store, "other.dump.zst")
        with pytest.raises(EffectRefused):
            store.put("a.json", b"x")
        with pytest.raises(EffectRefused):
            store.delete(NAME)
        store.check()
    assert [each.name for each in store.entries()] == [NAME]


def _missing(base: Path) -> Path:
    return base / "not" / "mounted"


def _a_file(base: Path) -> Path:
    (base / "file").write_text("x")
    return base / "file"


@pytest.mark.parametrize("make", [_missing, _a_file])
def test_a_chosen_folder_must_exist(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    chosen = make(tmp_path)
    store = FolderStore(chosen / "shop" / "prod", chosen)
    with pytest.raises(ConfigurationError, match="the folder for backups does not exist"):
        store.check()
    with pytest.raises(ConfigurationError):
        write(store)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("x")
    with pytest.raises(ConfigurationError, match="shop is not a folder"):
        FolderStore(tmp_path / "shop" / "prod", tmp_path).check()


def test_a_folder_of_our_own_home_is_made(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "home" / "backups", None)
    store.check()
    write(store)
    assert store.entries()


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # root may write anywhere: a file system that nobody may write
        chosen = Path("/proc")
    else:
        chosen = tmp_path / "closed"
        chosen.mkdir(mode=0o500)
    with pytest.raises((NotPermitted, OpsError)):
        FolderStore(chosen / "shop" / "prod", chosen).check()
        write(FolderStore(chosen / "shop" / "prod", chosen))
