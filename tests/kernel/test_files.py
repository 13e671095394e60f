"""The one place that writes files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.kernel import files, guard
from ops.kernel.errors import ConfigurationError, EffectRefused, NotPermitted, OpsError


def mode_of(path: Path) -> int:
    return path.lstat().st_mode & 0o777


def test_a_file_is_written_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert files.write(path, "é") is True
    assert (path.read_bytes(), mode_of(path)) == ("é".encode(), 0o600)
    assert files.write(path, b"\x00", mode=0o644) is True
    assert (path.read_bytes(), mode_of(path)) == (b"\x00", 0o644)


def test_a_file_that_is_right_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    files.write(path, "x")
    before = path.stat()
    with guard.scope(guard.Mode.READ):
        assert files.write(path, "x") is False
    assert path.stat() == before
    assert files.write(path, "x", mode=0o640) is True, "the mode is a part of it"


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    files.write(path, "old")

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OpsError, match=f"cannot write {path}: Input/output error"):
        files.write(path, "new")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    assert path.read_text() == "old"


def test_a_reader_sees_the_old_or_the_new_content_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    files.write(path, "old")
    seen = []

    def watching(descriptor: int) -> None:
        seen.append(path.read_text())

    monkeypatch.setattr(os, "fsync", watching)
    files.write(path, "new")
    assert seen == ["old"], "what is on disk is renamed into place"
    assert path.read_text() == "new"


@pytest.mark.parametrize("link", [True, False])
def test_a_file_takes_the_place_of_a_link_and_never_writes_through_it(
    tmp_path: Path, link: bool
) -> None:
    target, path = tmp_path / "target", tmp_path / "a"
    target.write_text("theirs")
    if link:
        path.symlink_to(target)
    files.write(path, "ours")
    assert (target.read_text(), path.read_text(), path.is_symlink()) == ("theirs", "ours", False)


def test_folders_are_made_with_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert files.make_folder(path) is True
    assert (mode_of(path), mode_of(path.parent)) == (0o700, 0o755)
    assert files.make_folder(path) is False
    assert files.make_folder(path, mode=0o755) is False, "it was there"
    assert mode_of(path) == 0o755


def test_records_are_private_and_no_part_of_the_project(tmp_path: Path) -> None:
    folder = tmp_path / ".ops"
    folder.mkdir(mode=0o755)
    with guard.scope(guard.Mode.DRY_RUN):
        files.make_record(folder / "state.db")
    assert (mode_of(folder), mode_of(folder / "state.db")) == (0o700, 0o600)
    assert (folder / ".gitignore").read_text() == "*\n"
    (folder / "state.db").write_text("kept")
    files.make_record(folder / "state.db")
    assert (folder / "state.db").read_text() == "kept"


def test_a_link_is_moved_at_once(tmp_path: Path) -> None:
    path = tmp_path / "current"
    assert files.link(path, Path("one")) is True
    assert files.link(path, Path("one")) is False
    assert files.link(path, Path("two")) is True
    assert os.readlink(path) == "two"
    assert [each.name for each in tmp_path.iterdir()] == ["current"]


def test_removing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to("nowhere")
    assert files.remove(tmp_path / "missing") is False
    for name in ("folder", "link", "dangling"):
        assert files.remove(tmp_path / name) is True
    assert [each.name for each in tmp_path.iterdir()] == ["file"], "a link's target stays"


EFFECTS: dict[str, Callable[[Path], object]] = {
    "write": lambda folder: files.write(folder / "a", "x"),
    "make_folder": lambda folder: files.make_folder(folder / "a"),
    "remove": lambda folder: files.remove(folder / "there"),
    "rename": lambda folder: files.rename(folder / "there", folder / "a"),
    "link": lambda folder: files.link(folder / "a", Path("there")),
    "copy": lambda folder: files.copy(folder / "there", folder / "a"),
    "copy_tree": lambda folder: files.copy_tree(folder / "tree", folder / "a"),
    "stream": lambda folder: files.stream(folder / "a").__enter__(),
}


@pytest.mark.parametrize("mode", [guard.Mode.DRY_RUN, guard.Mode.READ])
@pytest.mark.parametrize("name", EFFECTS)
def test_nothing_is_written_where_nothing_may_change(
    tmp_path: Path, name: str, mode: guard.Mode
) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "tree").mkdir()
    with guard.scope(mode), pytest.raises(EffectRefused):
        EFFECTS[name](tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["there", "tree"]


def test_scratch_may_be_written_in_a_dry_run_and_is_gone_afterwards(tmp_path: Path) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        with files.scratch() as folder:
            assert mode_of(folder) == 0o700
            files.make_folder(folder / "a")
            files.write(folder / "a" / "b", "x")
            with files.stream(folder / "c") as stream:
                stream.write(b"x")
        with pytest.raises(EffectRefused):
            files.make_folder(folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (PermissionError(13, "Permission denied"), NotPermitted, "cannot x: Permission denied"),
        (OSError(30, "Read-only file system"), NotPermitted, "cannot x: Read-only file system"),
        (
            FileNotFoundError(2, "No such file", "/a"),
            ConfigurationError,
            "cannot x: no such file or folder: /a",
        ),
        (OSError(28, "No space left on device"), OpsError, "cannot x: No space left on device"),
        (OSError("odd"), OpsError, "cannot x: odd"),
    ],
)
def test_what_the_system_says_becomes_an_error_of_the_tree(
    error: OSError, kind: type[OpsError], text: str
) -> None:
    with pytest.raises(OpsError) as caught, files.translated("cannot x"):
        raise error
    assert (type(caught.value), str(caught.value), bool(caught.value.hint)) == (
        kind,
        text,
        kind is not ConfigurationError,
    )


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"no such file or folder: {tmp_path}/missing"):
        files.write(tmp_path / "missing" / "a", "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NotPermitted):
        files.write(tmp_path / "a", "x")


def test_copies_and_renames_take_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to("nowhere")
    files.copy(tmp_path / "a", tmp_path / "c")
    files.rename(tmp_path / "a", tmp_path / "b")
    files.copy_tree(tmp_path / "tree", tmp_path / "copied")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b", "c", "copied", "tree"]
    assert (tmp_path / "b").read_text() == (tmp_path / "c").read_text() == "new"
    assert os.readlink(tmp_path / "copied" / "link") == "nowhere"


def test_a_file_becomes_its_owners(tmp_path: Path) -> None:
    owner = files.Owner(os.geteuid(), os.getegid())
    files.write(tmp_path / "a", "x", owner=owner)
    files.make_folder(tmp_path / "b", owner=owner)
    assert {(each.stat().st_uid, each.stat().st_gid) for each in tmp_path.iterdir()} == {
        (owner.uid, owner.gid)
    }


def test_an_unnamed_file_is_nowhere(tmp_path: Path) -> None:
    with files.unnamed() as opened:
        opened.write(b"secret")
        opened.seek(0)
        assert opened.read() == b"secret"
        assert not os.stat(opened.fileno()).st_nlink


def test_the_scratch_folder_itself_may_be_changed_in_a_dry_run() -> None:
    with guard.scope(guard.Mode.DRY_RUN), files.scratch() as folder:
        files.make_folder(folder, mode=0o755)
        assert files.in_scratch(folder) and files.in_scratch(folder / "a" / "b")
        assert not files.in_scratch(folder.parent)


def test_a_record_of_our_own_may_be_written_by_a_read_task(tmp_path: Path) -> None:
    path = tmp_path / "reports" / "seen.json"
    with guard.scope(guard.Mode.READ):
        files.write_record(path, "first")
        files.write_record(path, "second")
    assert path.read_text() == "second"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert sorted(each.name for each in path.parent.iterdir()) == [".gitignore", "seen.json"]


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    files.write_new(tmp_path / "key", b"first")
    with pytest.raises(ConfigurationError, match="is there already"):
        files.write_new(tmp_path / "key", b"second")
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").read_bytes() == b"first"
