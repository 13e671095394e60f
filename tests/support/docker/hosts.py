"""Servers for the tests: containers with sshd and a Docker engine of their own."""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ops.kernel import processes
from tests.conftest import require
from tests.support.docker.engine import docker
from tests.support.docker.images import image
from tests.support.local import eventually

OWNER = "invops-tests.owner"
# What an engine needs inside a container where --privileged is refused, as it is without SYS_RESOURCE.
NESTED = (
    *("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--device-cgroup-rule=a *:* rwm"),
    *(f"--security-opt={name}=unconfined" for name in ("seccomp", "apparmor", "systempaths")),
    *("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw"),
)
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Host:
    """A server that only root may enter, with one key.

    Args:
        name: Of the container; the other hosts know it by this name.
        address: In the network of the hosts, where its sshd has port 22.
        port: Of its sshd on 127.0.0.1.
        folder: Has `key`, the client's private key, and `known_hosts`.
        host_key: Public key of its sshd, "ssh-ed25519 AAAA...".
        fingerprint: Of this key, "SHA256:...".
    """

    name: str
    address: str
    port: int
    folder: Path
    host_key: str
    fingerprint: str

    def inside(self, *command: str, check: bool = True, given: bytes | None = None) -> str:
        """Run a command as root without SSH, so that it counts nowhere and works when SSH is cut."""
        options = ["--interactive"] if given is not None else []
        return docker("exec", *options, self.name, *command, check=check, given=given)

    def ssh(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command with the `ssh` of this machine, which knows the host's key."""
        options = (
            *("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"),
            f"UserKnownHostsFile={self.folder / 'known_hosts'}",
        )
        return subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(self.folder / "key"), "-p", str(self.port)),
                *(f"-o{option}" for option in options),
                *("root@127.0.0.1", command),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    def load(self, *tags: str) -> None:
        """Give images of our engine to the host's engine, layers that they share only once."""
        save = subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE)
        load = ["docker", "exec", "--interactive", self.name, "docker", "load", "--quiet"]
        with save:
            loaded = subprocess.run(load, stdin=save.stdout, capture_output=True, check=False)
        assert (save.returncode, loaded.returncode) == (0, 0), loaded.stderr.decode()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Lose every packet from and to the host, as a broken cable does: nothing is refused."""
        chains = (("INPUT", "-i"), ("OUTPUT", "-o"))
        for chain, direction in chains:
            self.inside("iptables", "-I", chain, direction, "eth0", "-j", "DROP")
        try:
            yield
        finally:
            for chain, direction in chains:
                self.inside("iptables", "-D", chain, direction, "eth0", "-j", "DROP")

    def hang_up(self) -> None:
        """End the SSH connections that are open; new ones are welcome."""
        sessions = 'pgrep sshd | grep -vxF "$(pgrep -o sshd)" | xargs --no-run-if-empty kill -9'
        self.inside("sh", "-c", sessions)

    def stop_engine(self, signal: str = "TERM") -> None:
        """End the engine: TERM takes its containers along, KILL leaves them running."""
        self.inside("pkill", f"-{signal}", "-x", "dockerd")
        running = (
            "pgrep",
            "-x",
            "dockerd|containerd",
        )  # the second ends with the first, a little later
        gone = eventually(lambda: not self.inside(*running, check=False), PATIENCE_SECONDS)
        assert gone, "the engine does not end"

    def start_engine(self) -> None:
        """Start the engine and wait until it answers."""
        self.inside("start-engine")
        self.wait_engine()

    def wait_engine(self) -> None:
        """Wait until the engine answers."""
        up = eventually(self._engine_answers, PATIENCE_SECONDS)
        assert up, self.inside("tail", "-n", "30", "/var/log/dockerd.log")

    def _engine_answers(self) -> bool:
        version = ("docker", "version", "--format", "{{.Server.Version}}")
        return bool(self.inside(*version, check=False).strip())  # an empty line when it does not


@contextmanager
def hosts(count: int, *, bare: bool = False) -> Iterator[list[Host]]:
    """Provide servers on a network of their own; nothing of them is left at the end.

    Args:
        count: How many.
        bare: Whether they come without Docker.
    """
    require("ssh-keygen", "openssh-client")
    _remove_orphans()
    tag, network = image("bare" if bare else "host"), f"invops-tests-{uuid4().hex[:8]}"
    docker("network", "create", f"--label={_label()}", network)
    with (
        tempfile.TemporaryDirectory(prefix="invops-hosts-") as folder,
        ThreadPoolExecutor(4) as pool,
    ):
        client = _key(Path(folder))
        try:
            names = [f"{network}-{number}" for number in range(1, count + 1)]
            options = ("--tmpfs=/run", "--tmpfs=/run/lock") if bare else ()  # as systemd wants them
            made = list(pool.map(lambda name: _begin(name, tag, network, client, options), names))
            if not bare:
                list(pool.map(Host.wait_engine, made))
            yield made
        finally:
            _remove(network)


def _begin(name: str, tag: str, network: str, client: Path, options: Sequence[str]) -> Host:
    folder = client.parent / name
    folder.mkdir()
    (folder / "key").symlink_to(client)
    own = _key(folder / "host")
    public = own.with_suffix(".pub").read_text(encoding="utf-8")
    variables = {
        "AUTHORIZED_KEY": client.with_suffix(".pub").read_text(encoding="utf-8").strip(),
        "HOST_KEY": base64.b64encode(own.read_bytes()).decode(),
    }
    docker(
        *("run", "--detach", f"--name={name}", f"--hostname={name}", f"--network={network}"),
        *(f"--label={_label()}", "--publish=127.0.0.1::22", *NESTED, *options),
        *(f"--env={key}={value}" for key, value in variables.items()),
        tag,
    )
    port = int(docker("port", name, "22").split(":")[-1])
    host_key = " ".join(public.split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n", encoding="utf-8")
    listing = ["ssh-keygen", "-l", "-f", str(own.with_suffix(".pub"))]
    listed = subprocess.run(listing, capture_output=True, text=True, check=True)
    address = docker("exec", name, "hostname", "-i").strip()
    host = Host(name, address, port, folder, host_key, listed.stdout.split()[1])
    assert eventually(lambda: host.ssh("true").returncode == 0, PATIENCE_SECONDS), host.ssh("true")
    return host


def _key(folder: Path) -> Path:
    """Make a pair of keys and return the private one."""
    folder.mkdir(exist_ok=True)
    command = [
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-C",
        "tests",
        "-f",
        str(folder / "key"),
    ]
    subprocess.run(command, check=True)
    return folder / "key"


def _label() -> str:
    return f"{OWNER}={os.getpid()}:{processes.started(os.getpid())}"


def _remove(network: str) -> None:
    names = docker("ps", "--all", "--quiet", f"--filter=network={network}").split()
    if names:
        docker("rm", "--force", "--volumes", *names)
    docker("network", "rm", network)


def _remove_orphans() -> None:
    """Remove the hosts of test processes that were killed."""
    form = f'{{{{.Name}}}} {{{{.Label "{OWNER}"}}}}'
    for line in docker("network", "ls", f"--filter=label={OWNER}", f"--format={form}").splitlines():
        network, owner = line.split()
        pid, start = owner.split(":")
        if not processes.is_alive(int(pid), float(start)):
            _remove(network)
