"""Packages of a server: Docker with Compose, nftables, unattended security updates, certbot."""

from __future__ import annotations

import fcntl
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
LOCKS = tuple(
    Path("/var", each)
    for each in ("lib/dpkg/lock-frontend", "lib/apt/lists/lock", "cache/apt/archives/lock")
)
OTHERS_SECONDS = 300.0
"""For whoever installs packages already: a run that was killed, or a server that has just been booted."""
_HALF = (
    *("half-installed", "unpacked", "half-configured"),
    *("triggers-awaited", "triggers-pending"),
)
_APT = (
    "apt-get",
    "-q",
    "-y",
    "-o",
    f"DPkg::Lock::Timeout={OTHERS_SECONDS:.0f}",
    "-o",
    "Dpkg::Use-Pty=0",
)


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
    """Return the packages that are not installed, or not to their end.

    Args:
        wanted: `more`: names beside those that every server gets.
    """
    return ", ".join(_missing(wanted))


def _missing(wanted: dict[str, Any]) -> list[str]:
    name, version = system()
    needed: set[str] = {*_ALWAYS, *wanted["more"]}
    other: set[str] = set()
    docker = {"docker.io"}
    if name == "debian" and int(version.partition(".")[0] or _NEWEST) > 12:
        docker.add("docker-cli")
    # Who has Docker's own packages keeps them.
    (needed if shutil.which("docker") is None else other).update(docker)
    compose = {packaged_compose(name, version)} - {""}
    (other if _compose_version() else needed).update(compose)
    form = "${Package} ${db:Status-Status}\\n"
    query = ["dpkg-query", "-W", "-f", form, *sorted(needed | other)]
    listed = [line.split() for line in commands.run(query, check=False).stdout.splitlines()]
    there = {package for package, state in listed if state == "installed"}
    # The program of a package may be there although an installation was killed before it was set up.
    half = {package for package, state in listed if state in _HALF}
    return sorted(needed - there | half)


def install(wanted: dict[str, Any]) -> None:
    """Install the packages that are missing, telling each one."""
    for each in LOCKS:
        _wait_for_others(each)
    # What a killed installation left half done.
    done = commands.run(["dpkg", "--configure", "-a"], _LONG, check=False)
    _apt("update")
    options = ("--no-install-recommends", "-o", "Dpkg::Options::=--force-confold")
    if done.returncode != 0:  # it was killed before all that its packages need was there
        _apt("install", "--fix-broken", "--no-remove", *options)
    _apt("install", *options, *_missing(wanted))


def _wait_for_others(lock: Path) -> None:
    """Wait until nobody has a lock: `dpkg` and `apt-get update` themselves give up at once."""
    end, told = time.monotonic() + OTHERS_SECONDS, False
    while lock.exists():
        with lock.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > end:
                    raise Refused(
                        "failed",
                        "somebody else installs packages",
                        f"{lock} is held since {OTHERS_SECONDS:g} s",
                        "wait for its end, then run this again; who it is: ps -ef | grep -E 'apt|dpkg'",
                    ) from None
        if not told:
            print("waiting for somebody else who installs packages", flush=True)
            told = True
        time.sleep(0.2)


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
        raise Refused(
            "failed",
            f"apt-get {words[0]} failed",
            _reason(lines) if process.returncode > 0 else "it was killed",
            "look at it on the server: apt-get update && apt-get -f install",
        )


def _reason(lines: list[str]) -> str:
    """Return what apt or dpkg says about an error; dpkg says why in the line after it."""
    told, last = [], ""
    for line in lines:
        if line.startswith(("E:", "dpkg: error")) or last.startswith("dpkg: error"):
            told.append(line)
        last = line
    return commands.last_lines("".join(told or lines))


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
