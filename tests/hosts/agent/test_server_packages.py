from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ops.hosts.agent import server_packages as packages
from ops.hosts.agent.errors import Refused

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


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


@pytest.mark.parametrize("state", ["unpacked", "half-configured", "triggers-awaited"])
def test_package_whose_program_is_there_is_missing_until_it_is_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    names = ("ca-certificates", "nftables", "openssl", "unattended-upgrades")
    lines = "; ".join(f"echo '{each} installed'" for each in names)
    query = tmp_path / "dpkg-query"
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/docker")
    monkeypatch.setattr(packages, "_compose_version", lambda: "2.26.1")
    system(tmp_path, monkeypatch, 'ID=debian\nVERSION_ID="12"\n')
    for now, expected in ((state, "docker.io"), ("installed", ""), ("config-files", "")):
        query.write_text(f"#!/bin/sh\n{lines}; echo 'docker.io {now}'\n")
        query.chmod(0o755)
        assert packages.missing({"more": []}) == expected


def test_somebody_else_who_installs_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "lock"
    packages._wait_for_others(lock)  # there is none
    lock.touch()
    packages._wait_for_others(lock)  # nobody has it
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == b"held\n"
        monkeypatch.setattr(packages, "OTHERS_SECONDS", 0.1)
        with pytest.raises(Refused, match="somebody else installs packages") as caught:
            packages._wait_for_others(lock)
        assert str(lock) in caught.value.why
        monkeypatch.setattr(packages, "OTHERS_SECONDS", 30.0)
        threading.Timer(0.3, other.stdin.close).start()
        packages._wait_for_others(lock)
    assert capsys.readouterr().out.count("waiting for somebody else") == 2


def test_reason_of_dpkg_is_told_with_the_line_after_it() -> None:
    lines = [
        "Setting up docker.io (20.10.24) ...\n",
        "dpkg: error processing package docker.io (--configure):\n",
        " installed docker.io package post-installation script subprocess returned error exit status 1\n",
        "Errors were encountered while processing:\n",
        "E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
    ]
    told = packages._reason(lines)
    assert "returned error exit status 1" in told and "Setting up" not in told
    assert told.splitlines()[-1].startswith("E: Sub-process")
    assert packages._reason(["nothing that is known\n"]) == "nothing that is known"


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
