"""The firewall of a server: from outside only SSH, HTTP and HTTPS, also where Docker publishes other ports.

Everything is in one table of nftables of our own, beside Docker's and anybody else's: whatever another table lets
through, a packet that is dropped here is gone. Docker rewrites the destination of what comes for a published port and
forwards it, past every input chain; so the forward chain here asks connection tracking which port the client wanted.

New rules hold for a minute and go back by themselves, unless a new SSH connection came through them and said so.
Source: nftables wiki "Netfilter hooks"; docs.docker.com "Packet filtering and firewalls".
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

from ops.hosts.agent import base, commands, lease
from ops.hosts.agent.errors import Refused

FOLDER = Path("/etc/invops")
RULES = FOLDER / "firewall.nft"
LISTED = FOLDER / "firewall.listed"
"""What nftables shows of the rules that were confirmed: it writes them otherwise than they were written."""
PENDING = "firewall.pending."
UNIT = Path("/etc/systemd/system/invops-firewall.service")
WANTED = UNIT.parent / "sysinit.target.wants" / UNIT.name
OPEN = (80, 443)
NFT = "/usr/sbin/nft"
LISTENING = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_GONE = "table inet invops\ndelete table inet invops\n"
_TEMPLATE = """\
# Written by inv setup.server: only these TCP ports are reached from outside.
table inet invops
delete table inet invops
table inet invops {{
  chain input {{
    type filter hook input priority -5; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "lo" accept
    iifname "docker*" accept
    iifname "br-*" accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp dport {{ 68, 546 }} accept
    tcp dport {{ {ports} }} accept
  }}
  chain forward {{
    type filter hook forward priority -5; policy accept;
    ct state established,related accept
    iifname "docker*" accept
    iifname "br-*" accept
    meta l4proto tcp ct status dnat ct original proto-dst {{ {published} }} accept
    ct status dnat drop
    oifname "docker*" drop
    oifname "br-*" drop
  }}
}}
"""
# After nftables.service, whose own file may begin with "flush ruleset".
_UNIT = f"""\
[Unit]
Description=Firewall of invops
After=nftables.service
Before=network-pre.target docker.service
Wants=network-pre.target
DefaultDependencies=no
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={NFT} -f {RULES}

[Install]
WantedBy=sysinit.target
"""
# It outlives whoever started it. Only one of two can rename the file: this, or who confirms.
_WATCH = 'sleep "$1"; mv "$2" "$2.back" 2>/dev/null || exit 0; "$3" -f "$4"; rm -f "$2.back" "$4"'


def rules(port: int) -> str:
    """Return the rules that let SSH in on a port."""
    ports = sorted({port, *OPEN} - {0})
    return _TEMPLATE.format(
        ports=", ".join(map(str, ports)), published=", ".join(map(str, sorted(OPEN)))
    )


def differs(text: str) -> str:
    """Say what is wrong with the rules that hold now, empty when they are these."""
    if not Path(NFT).exists():
        return "nftables is missing"
    if not RULES.exists():
        return "there are no rules"
    if RULES.read_text("utf-8") != text:
        return "the rules are others"
    if not LISTED.exists() or LISTED.read_text("utf-8") != _digest():
        return "the rules were changed by hand or are not loaded"
    if not UNIT.exists() or UNIT.read_text("utf-8") != _UNIT or not WANTED.is_symlink():
        return "the rules are not loaded at boot"
    return ""


def closing(port: int) -> list[int]:
    """Return the TCP ports that somebody listens on for the outside and that the rules close."""
    found = set()
    for path in LISTENING:
        for line in path.read_text("ascii").splitlines()[1:] if path.exists() else []:
            _, local, _, state = line.split()[:4]
            address, _, number = local.partition(":")
            if state == "0A" and not _is_loopback(address):
                found.add(int(number, 16))
    return sorted(found - {port, *OPEN})


def apply(arguments: dict[str, Any]) -> dict[str, Any]:
    """Load the rules, and begin the time after which those of before come back.

    Args:
        arguments: `lease`; `port` of the SSH server; `seconds` until they go back.

    Returns:
        `token`: what confirms them.

    Raises:
        Refused: nftables does not take them; nothing was changed.
    """
    lease.guard(arguments)
    FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    pending, back = _pending(token), FOLDER / f"firewall.{token}.before"
    base.write(pending, rules(int(arguments["port"])))
    try:
        commands.run([NFT, "--check", "--file", str(pending)])
    except Refused:
        pending.unlink()
        raise
    base.write(back, RULES.read_text("utf-8") if RULES.exists() else _GONE)
    _watch(float(arguments["seconds"]), pending, back)
    for each in FOLDER.glob(
        f"{PENDING}*"
    ):  # of runs that were killed; theirs do not come back any more
        if each != pending:
            each.unlink(missing_ok=True)
    commands.run([NFT, "--file", str(pending)])
    return {"token": token}


def confirm(arguments: dict[str, Any]) -> dict[str, Any]:
    """Keep the rules, from now on and after each boot. Who asks this came through them.

    Args:
        arguments: `lease`; `token` of `apply`.

    Raises:
        Refused: They went back already.
    """
    lease.guard(arguments)
    try:
        os.rename(_pending(arguments["token"]), RULES)
    except FileNotFoundError:
        raise Refused(
            "failed",
            "the new firewall rules were confirmed too late and went back",
            hint="run it again",
        ) from None
    commands.run([NFT, "--file", str(RULES)])  # the time of an earlier run may just have been over
    base.write(LISTED, _digest())
    base.write(UNIT, _UNIT, 0o644)
    WANTED.parent.mkdir(mode=0o755, exist_ok=True)
    if not WANTED.is_symlink():
        WANTED.symlink_to(UNIT)
    if commands.SYSTEMD.exists():
        commands.run(["systemctl", "daemon-reload"], 60.0)
    for each in FOLDER.glob("firewall.*.before"):  # ours, and of runs that were killed
        each.unlink(missing_ok=True)
    return {}


def _watch(seconds: float, pending: Path, back: Path) -> None:
    subprocess.Popen(
        ["sh", "-c", _WATCH, "invops-firewall", f"{seconds:g}", str(pending), NFT, str(back)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def _pending(token: str) -> Path:
    if not re.fullmatch("[0-9a-f]{32}", token):
        raise Refused("config", f"{token!r} confirms nothing")
    return FOLDER / f"{PENDING}{token}"


def _digest() -> str:
    listed = commands.run([NFT, "list", "table", "inet", "invops"], check=False).stdout
    return hashlib.sha256(listed.encode()).hexdigest()


def _is_loopback(address: str) -> bool:
    if len(address) == 8:
        return address.endswith("7F")
    return address in (
        "00000000000000000000000001000000",
        "0000000000000000FFFF00000100007F",
    )
