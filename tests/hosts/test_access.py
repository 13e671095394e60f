from __future__ import annotations

from pathlib import Path

import pytest

from ops.hosts import access
from ops.kernel.files import Owner

STRANGER = Owner(54321, 54321)


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program in a folder of its own; folders above are seen as they are."""
    path = tmp_path_factory.mktemp("access") / "program"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_closed_folder_on_the_way_is_named(program: Path) -> None:
    program.parent.chmod(0o700)
    # pytest's own folder is closed as well, so some folder up to the program's is named.
    blocked = access.blocked_at(program, STRANGER)
    assert blocked is not None
    assert program.is_relative_to(blocked)
    assert access.blocked_at(program, None) is None


@pytest.mark.parametrize(
    ("mode", "user", "allowed"),
    [
        (0o755, "stranger", True),
        (0o750, "stranger", False),
        (0o711, "stranger", False),  # a script cannot be run unread
        (0o750, "group", True),
        (0o705, "group", False),
        (0o700, "owner", True),
        (0o455, "owner", False),
    ],
)
def test_the_right_class_of_permissions_counts(
    program: Path, mode: int, user: str, allowed: bool
) -> None:
    program.chmod(mode)
    status = program.stat()
    owner = {
        "stranger": STRANGER,
        "group": Owner(54321, status.st_gid),
        "owner": Owner(status.st_uid, status.st_gid),
    }[user]
    assert access._allowed(program, owner, 0o5) is allowed


def test_links_are_followed_to_closed_folders(tmp_path: Path) -> None:
    closed, link = tmp_path / "closed", Path("/tmp") / f"invops-link-{tmp_path.name}"
    closed.mkdir(mode=0o700)
    (closed / "program").touch(mode=0o755)
    link.symlink_to(closed / "program")
    try:
        assert not access.may_run(link, STRANGER)
        assert access.may_run(link, None)
    finally:
        link.unlink()


@pytest.mark.parametrize("name", ["missing", "."])
def test_only_files_can_be_run(tmp_path: Path, name: str) -> None:
    assert not access.may_run(tmp_path / name, None)


def test_everybody_may_run_a_program_of_the_system() -> None:
    assert access.may_run(Path("/bin/sh"), STRANGER)
    assert access.may_run(Path("/bin/sh"), None)
