from __future__ import annotations

import hashlib
import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import server_files, server_user
from ops.hosts.agent.errors import Refused

ME = pwd.getpwuid(os.geteuid())
OWNER = {"application": "shop", "environment": "staging"}
KEY = "ssh-ed25519 " + "A" * 68


def folder(path: Path) -> dict[str, Any]:
    return {"path": str(path), "user": ME.pw_name, "owner": OWNER}


def variables(path: Path, content: str = "A=1\n") -> dict[str, Any]:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return {"path": str(path), "user": ME.pw_name, "sha256": digest, "content": content}


def test_folder_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    wanted = folder(tmp_path / "a" / "shop")
    assert server_files.folder_differs(wanted) == "missing"
    server_files.make_folder(wanted)
    assert server_files.folder_differs(wanted) == ""
    (tmp_path / "a" / "shop").chmod(0o755)
    assert server_files.folder_differs(wanted) == "open to others"
    server_files.make_folder(wanted)
    assert server_files.folder_differs(wanted) == ""


def test_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "owner.json").write_text(json.dumps({**OWNER, "application": "blog"}))
    with pytest.raises(Refused, match="belongs to somebody else"):
        server_files.folder_differs(folder(tmp_path))


def test_folder_in_which_another_user_deployed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    with pytest.raises(Refused, match=f"belongs to user {ME.pw_name}, who has deployed"):
        server_files.folder_differs({**folder(tmp_path), "user": "nobody-at-all"})


def test_variables_are_written_for_their_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "shop.env"
    wanted = variables(path)
    assert server_files.variables_differ(wanted) == "missing"
    server_files.write_variables(wanted)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("A=1\n", 0o600)
    assert server_files.variables_differ(wanted) == ""
    assert server_files.variables_differ(variables(path, "A=2\n")) == "has other values"
    path.chmod(0o644)
    assert "alone" in server_files.variables_differ(wanted)


def test_user_that_is_missing_is_told() -> None:
    assert "no such user" in server_user.lacks({"user": "nobody-at-all", "key": KEY})


def test_key_is_its_users_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid, gid = (4711, 4712) if os.geteuid() == 0 else (ME.pw_uid, ME.pw_gid)
    home = tmp_path / "home"  # which a killed `useradd` has not made
    account = pwd.struct_passwd(("bert", "*", uid, gid, "", str(home), "/bin/sh"))
    replace = os.replace
    owners: list[tuple[int, ...]] = []

    def appears(name: str, path: Path) -> None:
        owners.extend(os.stat(each)[4:6] for each in (home, path.parent, name))
        replace(name, path)

    monkeypatch.setattr(os, "replace", appears)
    server_user._add_key(account, KEY)
    assert owners == [(uid, gid)] * 3
    assert server_user._has_key(account, KEY)


def test_key_is_added_once_and_others_stay(tmp_path: Path) -> None:
    account = pwd.struct_passwd((*ME[:5], str(tmp_path), ME.pw_shell))
    assert not server_user._has_key(account, KEY)
    keys = tmp_path / ".ssh" / "authorized_keys"
    keys.parent.mkdir()
    keys.write_text(f'from="10.0.0.1" ssh-rsa {"B" * 90} anna\n# {KEY}')
    assert not server_user._has_key(account, KEY)
    server_user._add_key(account, f"{KEY} bert@laptop")
    assert keys.read_text().splitlines()[0].endswith("anna")
    assert keys.read_text().splitlines()[-1] == f"{KEY} bert@laptop"
    assert server_user._has_key(account, KEY)
    assert keys.stat().st_mode & 0o777 == 0o600
