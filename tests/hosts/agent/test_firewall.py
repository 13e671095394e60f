from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.hosts.agent import firewall
from ops.hosts.agent.errors import Refused
from tests.conftest import require

TCP = "  sl  local_address rem_address   st tx_queue\n"


@pytest.mark.parametrize(
    ("port", "expected"), [(22, "22, 80, 443"), (2222, "80, 443, 2222"), (443, "80, 443")]
)
def test_only_ssh_and_the_web_are_open(port: int, expected: str) -> None:
    text = firewall.rules(port)
    assert f"tcp dport {{ {expected} }} accept" in text
    assert "proto-dst { 80, 443 } accept" in text
    assert text.count("policy drop") == 1


def test_nftables_takes_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text(firewall.rules(2222))
    binary = require("nft", "nftables", "/usr/sbin")
    # A network of its own: what is only checked reads the tables that are there.
    command = ["unshare", "--net", str(binary), "--check", "--file", str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_ports_that_will_be_closed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        "0: 00000000:1538 00000000:0000 0A",  # 5432 on all addresses
        "1: 0100007F:0277 00000000:0000 0A",  # 631 on 127.0.0.1
        "2: 00000000:0016 00000000:0000 0A",  # SSH
        "3: 00000000:2694 00000000:0000 01",  # a connection
        f"4: {'0' * 32}:1F90 {'0' * 32}:0000 0A",  # 8080 on ::
        "5: 00000000000000000000000001000000:1F91 0:0000 0A",  # 8081 on ::1
    ]
    (tmp_path / "tcp").write_text(TCP + "\n".join(lines) + "\n")
    monkeypatch.setattr(firewall, "LISTENING", (tmp_path / "tcp", tmp_path / "missing"))
    assert firewall.closing(22) == [5432, 8080]


def test_rules_that_are_not_there_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewall, "NFT", str(tmp_path / "nft"))
    assert firewall.differs("x") == "nftables is missing"
    (tmp_path / "nft").touch()
    monkeypatch.setattr(firewall, "RULES", tmp_path / "rules")
    assert firewall.differs("x") == "there are no rules"
    (tmp_path / "rules").write_text("y")
    assert firewall.differs("x") == "the rules are others"


@pytest.mark.parametrize("token", ["", "../x", "A" * 32])
def test_token_is_no_path(token: str) -> None:
    with pytest.raises(Refused, match="confirms nothing"):
        firewall._pending(token)
