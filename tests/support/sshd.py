"""Debian's SSH server as a process of the test: its own keys and settings, a port of the loopback interface."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.conftest import require
from tests.support.local import eventually
from tests.support.places import free_port

LOOPBACK = "127.0.0.1"


@dataclass
class Sshd:
    """A running SSH server.

    Args:
        folder: Its keys, settings and log, and the private key that it lets in.
        port: Its port.
        address: What ops.toml calls it.
        extra: Lines of its settings beside the usual ones.
        process: It itself.
    """

    folder: Path
    port: int
    extra: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Its name in messages and in host_keys."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def address(self) -> str:
        """Its entry in hosts."""
        return f"{getpass.getuser()}@{self.name}"

    @property
    def key(self) -> Path:
        """The private key that it lets in."""
        return self.folder / "user"

    @property
    def fingerprint(self) -> str:
        """The fingerprint of its host key, as ssh-keygen says it."""
        return fingerprint(self.folder / "host.pub")

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "log").read_text()

    def known(self) -> str:
        """Return its line of known_hosts."""
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        return f"[{LOOPBACK}]:{self.port} {kind} {key}\n"

    def start(self) -> None:
        """Start it and wait until it listens."""
        settings = self.folder / "sshd_config"
        settings.write_text(
            f"Port {self.port}\nListenAddress {LOOPBACK}\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
            f"LogLevel VERBOSE\n{self.extra}"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = require("sshd", "openssh-server", "/usr/sbin")
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(program), "-D", "-e", "-f", str(settings)],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        assert eventually(self._listens), self.log

    def stop(self) -> None:
        """End it with all connections."""
        self.cut()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def cut(self) -> int:
        """End its connections as a crash does, not the commands that run; return how many there were."""
        assert self.process is not None
        itself = psutil.Process(self.process.pid)
        connections = self.connections()
        for each in itself.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if each.name().startswith("sshd"):
                    each.kill()
        return connections

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it and its connections stand still for a block: open, and without an answer."""
        assert self.process is not None
        itself = psutil.Process(self.process.pid)
        every = [itself, *itself.children(recursive=True)]
        for each in every:
            each.suspend()
        try:
            yield
        finally:
            for each in every:
                each.resume()

    def connections(self) -> int:
        """Return how many connections it has."""
        return len(self.clients())

    def clients(self) -> set[int]:
        """Return the process of each connection."""
        assert self.process is not None
        return {each.pid for each in psutil.Process(self.process.pid).children()}

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0


@contextmanager
def running(extra: str = "") -> Iterator[Sshd]:
    """Give a server that runs for the block; its keys are made anew."""
    folder = Path(tempfile.mkdtemp(prefix="invops-sshd-"))
    server = Sshd(folder, free_port(), extra)
    try:
        for name in ("host", "user"):
            make_key(folder / name)
        shutil.copy(folder / "user.pub", folder / "authorized")
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.stop()
        shutil.rmtree(folder)


def make_key(path: Path, *options: str) -> None:
    """Make a pair of keys."""
    program = str(require("ssh-keygen", "openssh-client"))
    command = [program, "-q", "-t", "ed25519", "-N", "", "-f", str(path), *options]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def hash_known_hosts(path: Path) -> None:
    """Hide the names in a known_hosts file, as Debian's ssh does."""
    program = str(require("ssh-keygen", "openssh-client"))
    subprocess.run([program, "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    path.with_name(f"{path.name}.old").unlink()


def fingerprint(path: Path) -> str:
    """Return the fingerprint of a key in the words of ssh-keygen."""
    told = subprocess.run(
        [str(require("ssh-keygen", "openssh-client")), "-lf", str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return told.stdout.split()[1]
