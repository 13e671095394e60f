from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from ops.hosts.agent import server_packages as packages
from ops.hosts.agent.errors import Refused


def system(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "os-release").write_text(text)
    monkeypatch.setattr(packages, "RELEASE", folder / "os-release")


@pytest.mark.parametrize(
    ("text", "expected", "compose"),
    [
        ('ID=debian\nVERSION_ID="12"\n', ("debian", "12"), ""),
        ('ID=debian\nVERSION_ID="13"\n', ("debian", "13"), "docker-compose"),
        ("ID=debian\n", ("debian", ""), "docker-compose"),
        ('ID=ubuntu\nVERSION_ID="24.04"\n', ("ubuntu", "24.04"), "docker-compose-v2"),
    ],
)
def test_system_decides_where_compose_is_from(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    expected: tuple[str, str],
    compose: str,
) -> None:
    system(tmp_path, monkeypatch, text)
    assert packages.system() == expected
    assert packages.packaged_compose(*expected) == compose


@pytest.mark.parametrize("text", ["ID=fedora\nVERSION_ID=40\n", ""])
def test_other_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    system(tmp_path, monkeypatch, text)
    with pytest.raises(Refused, match="only Debian and Ubuntu"):
        packages.system()


def test_packages_that_are_there_are_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dpkg-query").write_text(
        "#!/bin/sh\necho 'nftables installed'; echo 'openssl config-files'; echo 'docker.io installed'\n"
    )
    (tmp_path / "dpkg-query").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    system(tmp_path, monkeypatch, 'ID=debian\nVERSION_ID="12"\n')
    expected = "ca-certificates, certbot, openssl, unattended-upgrades"
    assert packages.missing({"more": ["certbot"]}) == expected


def test_plugin_that_is_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PLUGIN", tmp_path / "plugins" / "docker-compose")
    sent = tmp_path / "sent"
    sent.write_text("something")
    with pytest.raises(Refused, match="did not arrive whole"):
        packages.install_compose({"file": str(sent), "sha256": "0" * 64})
    assert not packages.PLUGIN.exists()


def test_plugin_that_does_not_run_is_taken_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PLUGIN", tmp_path / "plugins" / "docker-compose")
    monkeypatch.setattr(packages, "_compose_version", lambda: "")
    sent = tmp_path / "sent"
    sent.write_text("something")
    digest = hashlib.sha256(b"something").hexdigest()
    with pytest.raises(Refused, match="does not run on this server"):
        packages.install_compose({"file": str(sent), "sha256": digest})
    assert not packages.PLUGIN.exists()
