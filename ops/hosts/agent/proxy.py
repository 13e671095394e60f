"""HAProxy of an environment: what it says, and moving traffic without losing a request.

It runs in a container and listens for commands on a socket in a folder that is mounted from the host
(`<base>/proxy/run`), so the socket never leaves the host. Which slot serves is what HAProxy answers; its file says
what it would come back with.

Source: HAProxy management guide 2.6, 9.3 and 9.4 (master CLI).
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.hosts.agent import base
from ops.hosts.agent.errors import Refused
from ops.hosts.agent.routes import digest_in, pinned
from ops.hosts.agent.servers import TOLD, Server, read, serving

POLL_SECONDS = 0.05
ANSWER_SECONDS = 5.0
CONFIG = "haproxy.cfg"
MAINTENANCE = "maintenance.map"
PROBE = "probe.sock"
"""Socket beside that of the commands: it asks one service of one slot, whatever that slot is told."""
PROBED = "x-invops-server"
"""Header of such a request: `backend-blue`."""
MOUNTED = "/etc/invops"
"""Where the container sees the folder of both files."""
KEEP_ALIVE_SECONDS = 15
"""How long a client may keep an idle connection, see `timeout http-keep-alive` of the configuration."""


class Proxy:
    """The HAProxy of an environment.

    Args:
        folder: `<base>/proxy`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def running(self) -> bool:
        """Say whether it answers."""
        try:
            self.structure()
        except Refused:
            return False
        return True

    def structure(self) -> str:
        """Return the digest of the structure that is really loaded."""
        found = re.search(r"^description: \S+ (\w+)$", self.ask("show info"), re.MULTILINE)
        if not found:
            raise Refused("failed", "the proxy does not say what it runs")
        return found[1]

    def text(self) -> str:
        """Return the configuration that it would come back with, empty when there is none."""
        try:
            return (self.folder / CONFIG).read_text("utf-8")
        except FileNotFoundError:
            return ""

    def write(self, text: str) -> None:
        """Write the configuration atomically; the container's user reads it, nobody else reaches the folder."""
        base.record(self.folder / CONFIG, text, 0o644)

    def servers(self, slot: str = "") -> list[Server]:
        """Return the state of each server, of one slot or of both."""
        found = read(self.ask("show stat -1 4 -1"), self.ask("show servers state"))
        return [each for each in found if not slot or each.slot == slot]

    def serving(self) -> str:
        """Return the slot that gets requests: blue, green, `mixed` when both do, empty for none."""
        return serving(self.servers())

    def tell(self, slot: str, order: str, *, of: Sequence[str] = TOLD) -> None:
        """Give an order to the servers of a slot.

        Args:
            slot: The slot.
            order: `state ready`, `state drain`, `state maint` or `weight 5`.
            of: Only to those that were told one of these before.
        """
        for server in self.servers(slot):
            if server.told in of:
                self._change(f"set server {server.name} {order}")

    def count_anew(self) -> None:
        """Begin to count at zero: also the means are then of the requests from now on."""
        self._change("clear counters all")

    def close_sessions(self, slot: str) -> None:
        """Cut the requests of a slot that did not end in time, also those in workers from before a reload."""
        for server in self.servers(slot):
            self._change(f"shutdown sessions server {server.name}")
        for worker in self.old_workers():
            for line in self._send(f"@!{worker} show sess").splitlines():
                if re.search(rf" srv={slot}\d* ", line):
                    self._send(f"@!{worker} shutdown session {line.partition(':')[0]}")

    def old_workers(self) -> list[str]:
        """Return the process ids of workers from before a reload that still finish requests."""
        _, _, after = self._send("show proc").partition("# old workers")
        rows = [line.split() for line in after.partition("# programs")[0].splitlines()]
        return [row[0] for row in rows if len(row) > 1 and row[1] == "worker"]

    def reload(self, text: str, until: float) -> None:
        """Load a new configuration without losing a request; the new worker starts with the slots as in the text.

        The new worker gets the addresses that are known: one that looks names up first answers 503 until then (one
        request in six reloads at 200 a second). They are not for later, so the file is written again without them.

        Raises:
            Refused: It goes on with the old structure.
        """
        wanted = digest_in(text)
        self.write(pinned(text, {each.name: each.address for each in self.servers()}))
        self._send("reload")

        def loaded() -> bool:
            try:
                return self.structure() == wanted
            except Refused:  # the master is starting itself anew
                return False

        took = wait(loaded, until)
        self.write(text)
        if not took:
            raise Refused(
                "failed",
                "the proxy did not take its new configuration and goes on with the old one",
            )

    def maintain(self, retry_after: int) -> None:
        """Answer everything with 503 and `Retry-After`, until told 0; a proxy that restarts does the same."""
        base.record(self.folder / MAINTENANCE, f"retry-after {retry_after}\n", 0o644)
        if self.running():
            self._change(f"set map {MOUNTED}/{MAINTENANCE} retry-after {retry_after}")

    def maintained(self) -> int:
        """Return the seconds of `Retry-After` while requests are answered with 503, else 0."""
        for line in self.ask(f"show map {MOUNTED}/{MAINTENANCE}").splitlines():
            if line.split()[1:2] == ["retry-after"]:
                return int(line.split()[2])
        return 0

    def maintained_on_disk(self) -> int:
        """Return the same of the file that it would come back with."""
        try:
            found = (self.folder / MAINTENANCE).read_text("utf-8").split()
        except FileNotFoundError:
            return 0
        return int(found[1]) if found[1:] and found[1].isdigit() else 0

    def ask(self, command: str) -> str:
        """Send one command to the current worker and return the answer.

        Raises:
            Refused: Nobody listens, or the answer takes too long.
        """
        answer = self._send(f"@1 {command}")
        if answer.startswith("Can't find the target PID"):
            raise Refused("failed", "the proxy has no worker", hint="look at its log")
        return answer

    def _change(self, command: str) -> None:
        if answer := self.ask(command):
            raise Refused("failed", f"the proxy refused: {command}", answer)

    def _send(self, line: str) -> str:
        answer = b""
        try:
            with connected(self.folder / "run" / "admin.sock", ANSWER_SECONDS) as connection:
                connection.sendall(f"{line}\n".encode())
                # The master would wait for the next command: only this ends its answer.
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    answer += part
                    if answer.startswith(b"Can't find the target PID"):
                        break
        except OSError as error:
            raise Refused(
                "failed", "the proxy does not answer", error.strerror or str(error)
            ) from error
        return answer.decode(errors="replace").strip()


def of(arguments: dict[str, Any]) -> Proxy:
    """Return the proxy of the environment that the arguments name."""
    return Proxy(base.of(arguments) / "proxy")


@contextmanager
def connected(path: Path, seconds: float) -> Iterator[socket.socket]:
    """Connect to a Unix socket, however long its path is (a socket's address has about 100 characters)."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(f"/proc/self/fd/{folder}/{path.name}")
            yield connection
    finally:
        os.close(folder)


def wait(happened: Callable[[], bool], until: float, every: float = POLL_SECONDS) -> bool:
    """Wait until something happened; say whether it did before `until` of the monotonic clock."""
    while not happened():
        if time.monotonic() >= until:
            return False
        time.sleep(min(every, max(0.0, until - time.monotonic())))
    return True
