from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ops.hosts import account
from ops.hosts.account import Account
from ops.kernel import guard
from ops.kernel.errors import DependencyError, EffectRefused
from tests.support.local import Project, is_root

AS_ROOT = pytest.mark.skipif(not is_root(), reason="only root has a service user")


@pytest.mark.skipif(is_root(), reason="root has one")
def test_without_root_there_is_none(made: Project) -> None:
    assert account.lookup() is None
    assert account.service_account(made.context.settings) is None
    assert account.ensure(made.context) is None


@AS_ROOT
def test_as_root_it_is_made_once_and_cannot_log_in(made: Project) -> None:
    user = account.ensure(made.context)
    assert user is not None
    assert user.exists
    entry = pwd.getpwnam(account.NAME)
    assert (entry.pw_uid, entry.pw_gid) == (user.uid, user.gid)
    assert entry.pw_uid != 0
    assert entry.pw_shell.endswith(("nologin", "false"))
    assert user.folder.stat().st_uid == user.uid
    with guard.scope(guard.Mode.DRY_RUN):
        assert account.ensure(made.context) == user
    assert account.service_account(made.context.settings) == user


def test_planned_user_is_not_there_yet() -> None:
    assert not Account("invops", -1, -1).exists
    assert Account("invops", 999, 995).exists


@AS_ROOT
@pytest.mark.parametrize("script", ["exit 9", "exit 0"])
def test_system_that_makes_no_user_is_told_what_is_needed(
    made: Project, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(account, "NAME", "invops-nobody")
    refusing = made.folder / "useradd"
    refusing.write_text(f"#!/bin/sh\necho useradd: not today >&2\n{script}\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    planned = account.lookup()
    assert planned is not None
    assert not planned.exists
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(EffectRefused, match="useradd"):
        account.ensure(made.context)
    with pytest.raises(DependencyError, match="cannot make the system user") as caught:
        account.ensure(made.context)
    assert caught.value.why == "useradd: not today"
    assert caught.value.hint.startswith("useradd --system")
    assert Path("/etc/passwd").read_text().count("invops-nobody") == 0
