from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import certificate, commands
from tests.conftest import require

REFUSED = """Saving debug log to /x/letsencrypt.log
Requesting a certificate for shop.example.org

Certbot failed to authenticate some domains (authenticator: manual). The Certificate Authority reported these problems:
  Domain: shop.example.org
  Type:   dns
  Detail: no such host

Hint: The Certificate Authority failed to download the challenge files.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
LIMITED = """Saving debug log to /x/letsencrypt.log
An unexpected error occurred:
too many certificates already issued for "example.org"
Ask for help or search for solutions at https://community.letsencrypt.org.
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (REFUSED, "no such host"),
        (LIMITED, 'too many certificates already issued for "example.org"'),
        ("Could not bind TCP port 80.\nAsk for help or search\n", "Could not bind TCP port 80."),
        ("", "certbot gave no reason"),
    ],
)
def test_reason_of_a_refusal_is_one_line(output: str, reason: str) -> None:
    assert certificate._reason(output) == reason


def test_placeholder_is_a_key_and_a_certificate_without_an_empty_line(tmp_path: Path) -> None:
    require("openssl", "openssl")
    pem = certificate.placeholder()
    assert "\n\n" not in pem and pem.count("-----BEGIN") == 2
    (tmp_path / "pem").write_text(pem)
    command = ["openssl", "x509", "-noout", "-subject", "-in", str(tmp_path / "pem")]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "no certificate yet" in told


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in ("FOLDER", "UNITS", "CRON"):
        monkeypatch.setattr(certificate, name, tmp_path / name.lower())
    monkeypatch.setattr(commands, "SYSTEMD", tmp_path / "systemd")
    settings = {"folder": str(tmp_path / "acme"), "domain": "shop.example.org", "authority": ""}
    settings |= {"hook": "agent {verb} </about", "server": "https://ca", "email": "", "base": "/x"}
    agent = {"file": str(tmp_path / "agent"), "sha256": "0" * 64}
    return {"name": "shop-staging", "settings": settings, "agent": agent, "authority": ""}


def test_renewal_that_is_missing_is_told(wanted: dict[str, Any]) -> None:
    assert certificate.differs(wanted) == "the renewal is missing or of another version"


@pytest.mark.parametrize(
    ("systemd", "names"),
    [
        (False, ["shop-staging.certificate.json", "invops-certificate-shop-staging"]),
        (
            True,
            [
                "shop-staging.certificate.json",
                "invops-certificate-shop-staging.service",
                "invops-certificate-shop-staging.timer",
            ],
        ),
    ],
)
def test_renewal_is_run_by_what_the_system_has(
    wanted: dict[str, Any], systemd: bool, names: list[str]
) -> None:
    if systemd:
        commands.SYSTEMD.mkdir()
    files = certificate._files(wanted)
    assert [path.name for path in files] == names
    runs = [text for text in files.values() if "agent certificate.renew </about" in text]
    assert len(runs) == 1


def test_certificate_of_another_server_is_known_by_certbots_own_record(
    wanted: dict[str, Any],
) -> None:
    assert certificate._issuer(wanted["settings"]) == ""
    path = Path(wanted["settings"]["folder"], "config", "renewal", "shop.example.org.conf")
    path.parent.mkdir(parents=True)
    path.write_text("version = 2.1.0\n[renewalparams]\nserver = https://other\n")
    assert certificate._issuer(wanted["settings"]) == "https://other"
