"""Packages of a server: Docker with Compose, nftables, unattended security updates, certbot."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, commands
from ops.hosts.agent.errors import Refused

RELEASE = Path("/etc/os-release")
PLUGIN = Path("/usr/local/lib/docker/cli-plugins/docker-compose")
UPDATES = Path("/etc/apt/apt.conf.d/60invops-updates")
DAILY = 'APT::Periodic::Update-Package-Lists "1";\nAPT::Periodic::Unattended-Upgrade "1";\n'
START_SECONDS = 60.0
_LONG = 1800.0
_NEWEST = 99
_ALWAYS = ("ca-certificates", "nftables", "openssl", "unattended-upgrades")
_SHOWN = ("Get:", "Setting up ")
_APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0")


def system() -> tuple[str, str]:
    """Return the distribution and its version, ("debian", "12").

    Raises:
        Refused: It is neither Debian nor Ubuntu.
    """
    found = dict(
        line.split("=", 1) for line in RELEASE.read_text("utf-8").splitlines() if "=" in line
    )
    name, version = (found.get(key, "").strip('"') for key in ("ID", "VERSION_ID"))
    if name not in ("debian", "ubuntu"):
        raise Refused(
            "config", "only Debian and Ubuntu are set up", f"this is {name or 'unknown'} {version}"
        )
    return name, version


def packaged_compose(name: str, version: str) -> str:
    """Return the package of Docker Compose 2 that a system has, empty for none: Debian 12 still has the first one."""
    if name == "ubuntu":
        return "docker-compose-v2"
    number = version.partition(".")[0]
    return "docker-compose" if int(number or _NEWEST) > 12 else ""


def missing(wanted: dict[str, Any]) -> str:
    """Return the packages that are not installed.

    Args:
        wanted: `more`: names beside those that every server gets.
    """
    return ", ".join(_missing(wanted))


def _missing(wanted: dict[str, Any]) -> list[str]:
    names = [*_ALWAYS, *wanted["more"]]
    name, version = system()
    if shutil.which("docker") is None:  # who has Docker's own packages keeps them
        names.append("docker.io")
        if name == "debian" and int(version.partition(".")[0] or _NEWEST) > 12:
            names.append("docker-cli")
    if _compose_version() == "" and packaged_compose(name, version):
        names.append(packaged_compose(name, version))
    form = "${Package} ${db:Status-Status}\\n"
    listed = commands.run(["dpkg-query", "-W", "-f", form, *names], check=False).stdout
    there = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    return sorted(set(names) - there)


def install(wanted: dict[str, Any]) -> None:
    """Install the packages that are missing, telling each one."""
    commands.run(["dpkg", "--configure", "-a"], _LONG)  # what a killed run left half done
    _apt("update")
    options = ("--no-install-recommends", "-o", "Dpkg::Options::=--force-confold")
    _apt("install", *options, *_missing(wanted))


def _apt(*words: str) -> None:
    command = [*_APT, *words]
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith(_SHOWN):
                print(line.rstrip(), flush=True)
    if process.returncode != 0:
        told = [line for line in lines if line.startswith(("E:", "dpkg: error"))] or lines
        raise Refused(
            "failed",
            f"apt-get {words[0]} failed",
            commands.last_lines("".join(told)),
            "look at it on the server: apt-get update && apt-get -f install",
        )


def compose_lacks(wanted: dict[str, Any]) -> str:
    """Say whether Docker Compose is missing although the system has no package of it."""
    if packaged_compose(*system()) or _compose_version():
        return ""
    if wanted.get("sha256") and PLUGIN.exists() and _hash(PLUGIN) == wanted["sha256"]:
        return ""
    return "missing"


def install_compose(wanted: dict[str, Any]) -> None:
    """Put the plug-in that was sent in its place.

    Args:
        wanted: `file` that the deployer sent, its `sha256`.

    Raises:
        Refused: It is another file, or does not run here.
    """
    sent = Path(wanted["file"])
    if _hash(sent) != wanted["sha256"]:
        raise Refused("failed", "Docker's plug-in compose did not arrive whole")
    PLUGIN.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    base.write(PLUGIN, sent.read_bytes(), 0o755)
    sent.unlink()
    if not _compose_version():
        PLUGIN.unlink()
        raise Refused("failed", "Docker's plug-in compose does not run on this server")


def engine_lacks(wanted: dict[str, Any]) -> str:
    """Say why Docker's engine does not answer, or will not after the next boot."""
    if not _engine_version():
        return "it does not run"
    if commands.SYSTEMD.exists():
        enabled = commands.run(["systemctl", "is-enabled", "docker"], check=False)
        return "" if enabled.returncode == 0 else "it does not start at boot"
    return ""


def start_engine(wanted: dict[str, Any]) -> None:
    """Start Docker's engine, now and at each boot, and wait until it answers."""
    if commands.SYSTEMD.exists():
        commands.run(["systemctl", "enable", "docker"], 120.0)
    commands.service("docker", "start")
    end = time.monotonic() + START_SECONDS
    while not _engine_version():
        if time.monotonic() > end:
            raise Refused(
                "failed", "Docker's engine does not answer", hint="journalctl -u docker -n 50"
            )
        time.sleep(0.2)


def updates_lack(wanted: dict[str, Any]) -> str:
    """Say whether security updates are not installed by themselves."""
    told = commands.run(["apt-config", "dump", "APT::Periodic"]).stdout
    needed = DAILY.replace(' "', " ").replace('";', ";").split("\n")
    there = told.replace('"', "")
    return "" if all(line.rstrip(";") in there for line in needed if line) else "they are off"


def update_daily(wanted: dict[str, Any]) -> None:
    """Let apt look for security updates each day and install them."""
    base.write(UPDATES, DAILY, 0o644)


def _engine_version() -> str:
    return commands.answer("docker", "version", "--format", "{{.Server.Version}}")


def _compose_version() -> str:
    version = commands.answer("docker", "compose", "version", "--short")
    return "" if version.startswith("1.") else version


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
