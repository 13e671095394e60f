"""A server as it comes, an ACME server beside it, and an application that is to run there with TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.docker.acme import Acme, acme
from tests.support.docker.deployed import Small, small
from tests.support.docker.hosts import Host, hosts
from tests.support.docker.images import image, images
from tests.support.local import eventually

OPEN, CLOSED = (22, 80, 443), (5432, 5433)
"""Ports that are reached from outside, and some that Docker publishes in vain."""
SETTINGS = "/etc/docker/daemon.json"
SECRET = "it's hidden $here"
OPS_TOML = """\
registry_image = "{registry}"
ssh_key = "file:{key}"
hosts = ["deploy@127.0.0.1:{port}"]
host_keys = {{ "127.0.0.1:{port}" = "{fingerprint}" }}
secrets = {{ TOKEN = "env:SITE_TOKEN" }}
domain = "{domain}"
acme_server = "{acme}"
acme_ca = "acme.pem"
"""


@dataclass(frozen=True)
class Server:
    """A bare server and what comes onto it.

    Args:
        host: The server.
        acme: The ACME server.
        app: The application's repository.
    """

    host: Host
    acme: Acme
    app: Small

    @property
    def domain(self) -> str:
        """The name of the server in its network, with a dot."""
        return f"{self.host.name}.{self.host.name.rpartition('-')[0]}"

    @property
    def base(self) -> str:
        """Folder of the environment."""
        return f"/srv/small/{self.app.environment}"

    def setup(self, *words: str) -> tuple[int, str]:
        """Run `setup.server`; return exit code and output."""
        ran = self.app.run("setup.server", "--host", f"root@127.0.0.1:{self.host.port}", *words)
        return ran.code, ran.text

    def settle(self, text: str) -> None:
        """Write the settings of Docker's daemon, as an administrator does."""
        self.host.inside("mkdir", "-p", str(Path(SETTINGS).parent))
        self.host.inside("tee", SETTINGS, given=text.encode())

    def reachable(self, port: int) -> bool:
        """Say whether a TCP port answers from outside: silence is none as well."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host.address, port), 2),
        ):
            return True
        return False

    def rules(self) -> str:
        """Return the rules of the firewall."""
        return self.host.inside("nft", "list", "table", "inet", "invops")

    def assert_closed(self) -> None:
        """Assert that from outside only the open ports are reached, whatever Docker publishes; containers get out."""
        tag, host = images("redis")["redis"], self.host
        host.load(tag)
        host.inside("docker", "network", "create", "other")
        run = ("docker", "run", "--detach")
        try:
            host.inside(*run, "--name=one", "-p", "5432:6379", "-p", "80:6379", tag)
            ports = ("-p", "5433:6379", "-p", "443:6379")
            host.inside(*run, "--name=two", "--network=other", *ports, tag)
            assert eventually(lambda: self.reachable(443) and self.reachable(80), 30)
            assert [port for port in (*OPEN, *CLOSED) if self.reachable(port)] == list(OPEN)
            for port in CLOSED:  # they are published, and the host itself reaches them
                host.inside("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}")
            outside = f"exec 3<>/dev/tcp/{self.acme.address}/14000"
            for name in ("one", "two"):
                host.inside("docker", "exec", name, "bash", "-c", outside)
        finally:
            host.inside("docker", "rm", "--force", "one", "two", check=False)
            host.inside("docker", "network", "rm", "other", check=False)

    def certificate(self) -> ssl.SSLSocket:
        """Return a connection to the application's HTTPS; the certificate must be one of the ACME server."""
        context = ssl.create_default_context(cadata=self.acme.root())
        plain = socket.create_connection((self.host.address, 443), timeout=10)
        return context.wrap_socket(plain, server_hostname=self.domain)

    def get(self, path: str, *, tls: bool) -> str:
        """Return the whole answer to a request from outside."""
        plain = None if tls else socket.create_connection((self.host.address, 80), timeout=10)
        with plain or self.certificate() as connection:
            request = f"GET {path} HTTP/1.1\r\nHost: {self.domain}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            return "".join(part.decode() for part in iter(lambda: connection.recv(65536), b""))


@contextmanager
def server(base: Path) -> Iterator[Server]:
    """Give a bare server with an application for it.

    Args:
        base: OPS_HOME, see `places.place`.
    """
    with (
        hosts(1, bare=True) as (host,),
        tempfile.TemporaryDirectory(prefix="invops-acme-") as folder,
        acme(host.name.rpartition("-")[0], Path(folder)) as authority,
        small(base) as app,
    ):
        made = Server(host, authority, app)
        app.variables["SITE_TOKEN"] = SECRET
        app.edit("ops.toml", f'"{base / "containers"}"', f'"{made.base}"')
        text = OPS_TOML.format(
            registry=image("registry"),
            key=host.folder / "key",
            port=host.port,
            fingerprint=host.fingerprint,
            domain=made.domain,
            acme=authority.url,
        )
        toml = app.folder / "ops.toml"
        toml.write_text(toml.read_text("utf-8") + text, "utf-8")
        (app.folder / "acme.pem").write_text(authority.authority.read_text("utf-8"), "utf-8")
        app.commit("on a server")
        yield made
