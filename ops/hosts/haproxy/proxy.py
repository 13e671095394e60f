"""The front proxy at run time: which slot gets requests, and moving them without losing one.

After a reload the old worker still finishes requests, invisible on a worker's own socket; a backend that is
stopped under it loses them (16 of 16,818 measured). It cannot be told to use the other slot either ("Proxy is
disabled"), so a slot is idle only when no old worker is left.

Source: HAProxy management guide 2.6, 9.3; tried with 2.6.12 and 2.8.25.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.hosts.haproxy.master import Master
from ops.hosts.polling import wait_for
from ops.kernel import guard
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, StepFailed

POLL_SECONDS: Final = 0.05
# Bits of srv_admin_state: told by an operator, inherited, or by name resolution.
_MAINTENANCE: Final = 0x01 | 0x02 | 0x20
_DRAIN: Final = 0x08 | 0x10


@dataclass(frozen=True)
class ServerState:
    """What the proxy says about one slot of one service.

    Args:
        status: Result of its checks: `UP`, `UP 2/3` (on its way down), `DOWN`, `MAINT`, `DRAIN`.
        admin: What it was told: `ready`, `drain` or `maint`.
        current: Requests being answered now.
        queued: Requests waiting for it.
        check: Last result of the liveness check, e.g. `L7OK 200`; empty when it is not checked.
    """

    status: str
    admin: str
    current: int
    queued: int
    check: str

    @property
    def alive(self) -> bool:
        """Whether it passed a check: a slot that leaves maintenance counts as UP before its first one."""
        return self.status == "UP" and self.check.startswith("L7OK")

    def __str__(self) -> str:
        return f"{self.status} ({self.check})" if self.check else self.status


class Proxy:
    """A running HAProxy with two slots for each service.

    Args:
        admin_socket: Unix socket of its master process, see `config.command`.
    """

    def __init__(self, admin_socket: Path) -> None:
        self._master = Master(admin_socket)

    def running(self) -> bool:
        """Say whether it answers."""
        try:
            self.structure()
        except ConnectionFailed:
            return False
        return True

    def structure(self) -> str:
        """Return the digest of the structure that is really loaded, see `config.structure_digest`."""
        for line in self._master.ask("show info").splitlines():
            name, _, value = line.partition(": ")
            if name == "description":
                return value.split()[-1]
        raise ConnectionFailed(f"the proxy at {self._master.path} does not say what it runs")

    def states(self) -> dict[tuple[str, str], ServerState]:
        """Return the state of each slot of each service, by (service, slot)."""
        admin = self._admin_states()
        rows = csv.DictReader(self._master.ask("show stat -1 4 -1").lstrip("# ").splitlines())
        return {
            (row["pxname"], row["svname"]): ServerState(
                status=row["status"],
                admin=admin.get((row["pxname"], row["svname"]), "maint"),
                current=int(row["scur"]),
                queued=int(row["qcur"]),
                check=f"{row['check_status']} {row['check_code']}".strip(),
            )
            for row in rows
        }

    def active_slot(self) -> str | None:
        """Return the slot that serves all services, `mixed` when they differ or both serve, None for none."""
        serving: dict[str, set[str]] = {}
        for (service, slot), admin in self._admin_states().items():
            serving.setdefault(service, set()).update({slot} if admin == "ready" else ())
        slots = set().union(*serving.values())
        if not slots:
            return None
        together = len(slots) == 1 and all(serving.values())
        return slots.pop() if together else "mixed"

    def ready(self, slot: str) -> None:
        """Let a slot get requests."""
        self._tell(slot, "set server {server} state ready", "let requests go to")

    def drain(self, slot: str) -> None:
        """Give a slot no new requests; those that it has go on."""
        self._tell(slot, "set server {server} state drain", "drain")

    def maintenance(self, slot: str) -> None:
        """Take a slot out: no requests and no checks."""
        self._tell(slot, "set server {server} state maint", "take out")

    def close_sessions(self, slot: str) -> None:
        """Cut the requests of a slot that did not end in time, also those in old workers."""
        self._tell(slot, "shutdown sessions server {server}", "cut the requests of")
        for worker in self._master.old_workers():
            guard.effect(f"cut the requests of {slot} in the proxy's old worker {worker}")
            # It refuses the command by server: "Proxy is disabled".
            for line in self._master.ask_worker(worker, "show sess").splitlines():
                if f" srv={slot} " in line:
                    self._master.ask_worker(worker, f"shutdown session {line.partition(':')[0]}")

    def wait_up(self, slot: str, deadline: Deadline) -> None:
        """Wait until the proxy's own checks find every service of a slot alive.

        Raises:
            StepFailed: They do not within `deadline`.
        """

        def down() -> list[str]:
            members = [
                (service, state) for (service, its), state in self.states().items() if its == slot
            ]
            return [f"{service} is {state}" for service, state in members if not state.alive]

        if not wait_for(lambda: not down(), deadline, every=POLL_SECONDS):
            raise StepFailed(
                f"the proxy does not find slot {slot} alive within {deadline.seconds:g} s",
                why=", ".join(down()),
                hint="it asks the path `live` of ops.toml; look at the service's log: inv logs",
            )

    def wait_idle(self, slot: str, deadline: Deadline) -> bool:
        """Wait until a drained slot has no request left, in this worker and in those before a reload.

        After a reload give it more than `config.KEEP_ALIVE_SECONDS`: an old worker stays while a client keeps an
        idle connection to it, and the next request on that connection would still go to the old slot.

        Returns:
            Whether that happened within `deadline`.
        """

        def idle() -> bool:
            members = [state for (_, its), state in self.states().items() if its == slot]
            return (
                not any(each.current or each.queued for each in members)
                and not self._master.old_workers()
            )

        return wait_for(idle, deadline, every=POLL_SECONDS)

    def wait_answering(self, deadline: Deadline) -> None:
        """Wait until a proxy that was just started answers.

        Raises:
            ConnectionFailed: It does not within `deadline`.
        """
        if not wait_for(self.running, deadline, every=POLL_SECONDS):
            raise ConnectionFailed(
                f"the proxy does not answer at {self._master.path} within {deadline.seconds:g} s",
                hint="look at its log: inv logs",
            )

    def reload(self, digest: str, deadline: Deadline) -> None:
        """Load the configuration file anew without losing a request; the same as SIGUSR2 to the master process.

        The new worker starts with the slots as in the file, so the file must name the slot that serves.

        Args:
            digest: `config.structure_digest` of the new file: how to know that it is loaded.
            deadline: When to give up.

        Raises:
            StepFailed: The proxy still runs with the old structure.
        """
        guard.effect(f"reload the proxy at {self._master.path}")
        self._master.reload()

        def loaded() -> bool:
            try:
                return self.structure() == digest
            except ConnectionFailed:  # the master is starting itself anew
                return False

        if not wait_for(loaded, deadline, every=POLL_SECONDS):
            raise StepFailed(
                "the proxy did not take its new configuration and goes on with the old one",
                hint="look at its log: inv logs",
            )

    def _admin_states(self) -> dict[tuple[str, str], str]:
        # Not from `show stat`: there a drained server that is down looks like any other that is down.
        _, names, *lines = self._master.ask("show servers state").splitlines()
        rows = [
            dict(zip(names.lstrip("# ").split(), line.split(), strict=True))
            for line in lines
            if line
        ]
        return {
            (row["be_name"], row["srv_name"]): _told(int(row["srv_admin_state"])) for row in rows
        }

    def _servers(self, slot: str) -> Iterator[str]:
        yield from (f"{service}/{its}" for service, its in self._admin_states() if its == slot)

    def _tell(self, slot: str, command: str, verb: str) -> None:
        for server in self._servers(slot):
            guard.effect(f"{verb} {server} at the proxy")
            if answer := self._master.ask(command.format(server=server)):
                raise StepFailed(f"the proxy refused to {verb} {server}", why=answer)


def _told(flags: int) -> str:
    if flags & _MAINTENANCE:
        return "maint"
    return "drain" if flags & _DRAIN else "ready"
