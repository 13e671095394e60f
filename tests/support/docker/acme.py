"""An ACME server: Pebble, which asks like Let's Encrypt and is trusted by nobody."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.docker.engine import docker
from tests.support.docker.images import image
from tests.support.local import eventually

PORT, MANAGEMENT = 14000, 15000
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Acme:
    """A running server.

    Args:
        name: Of its container; hosts on its network find it by this name, and by `other` as well.
        address: In that network.
        authority: File with the authority of its own HTTPS certificate.
    """

    name: str
    address: str
    authority: Path

    @property
    def url(self) -> str:
        """Its directory."""
        return f"https://{self.name}:{PORT}/dir"

    @property
    def other(self) -> str:
        """The same by another name."""
        return f"https://{self.address}:{PORT}/dir"

    def root(self) -> str:
        """Return the authority of the certificates that it gives, as PEM."""
        context = ssl.create_default_context(cafile=str(self.authority))
        url = f"https://{self.address}:{MANAGEMENT}/roots/0"
        with urllib.request.urlopen(url, context=context) as answer:
            return str(answer.read().decode())


@contextmanager
def acme(network: str, folder: Path) -> Iterator[Acme]:
    """Run a server on a network of hosts.

    Args:
        network: Name of the Docker network, which removes its containers at the end.
        folder: For its key and certificate.
    """
    name = f"{network}-acme"
    docker("run", "--detach", f"--name={name}", f"--network={network}", image("pebble"))
    try:
        address = docker("exec", name, "hostname", "-i").strip()
        _certificate(folder, name, address)
        config = {
            "listenAddress": f"0.0.0.0:{PORT}",
            "managementListenAddress": f"0.0.0.0:{MANAGEMENT}",
            "certificate": "cert.pem",
            "privateKey": "key.pem",
            "httpPort": 80,
            "tlsPort": 443,
        }
        (folder / "config.json").write_text(json.dumps({"pebble": config}))
        for each in ("config.json", "cert.pem", "key.pem"):
            docker("cp", str(folder / each), f"{name}:/pebble/{each}")
        docker("exec", name, "touch", "/pebble/go")
        made = Acme(name, address, folder / "cert.pem")
        assert eventually(lambda: _answers(made), PATIENCE_SECONDS), docker("logs", name)
        yield made
    finally:
        docker("rm", "--force", "--volumes", name)


def _certificate(folder: Path, name: str, address: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name[:60]}", "-addext", f"subjectAltName=DNS:{name},IP:{address}"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "key.pem").chmod(0o644)


def _answers(made: Acme) -> bool:
    try:
        return made.root().startswith("-----BEGIN")
    except OSError:
        return False
