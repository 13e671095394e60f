"""The lock of an environment on its machines: a lease on each of them, all or none, renewed while we work."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.hosts import machines
from ops.hosts.detached import ConnectionLost
from ops.hosts.machine import Machine
from ops.hosts.machines import Machines
from ops.kernel import actor, guard, processes
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import Busy, OpsError, TakenOver
from ops.kernel.lock import Holder

TTL: Final = 30.0
"""Seconds until the lease of a holder that is not heard of is free."""
BEAT: Final = 10.0
"""Seconds between two renewals."""
LIMIT: Final = 30.0
"""Seconds for taking the leases of all machines, or looking at them."""
_RENEW: Final = 10.0
_RELEASE: Final = 5.0
_POLL: Final = 0.5


@dataclass(frozen=True)
class LeaseHolder(Holder):
    """Who holds the leases.

    Args:
        processes: The system and the namespace that its process id is of.
    """

    processes: str = ""

    @property
    def alive(self) -> bool:
        """Whether it may be alive: it is, as long as the lease lasts, unless we see that its process is gone."""
        return self.processes != _processes() or processes.is_alive(self.pid, self.started)


class Leases:
    """The leases of an environment's machines as one lock.

    Args:
        context: Gives the environment's name.
        every: The machines.
    """

    def __init__(self, context: Context, every: Machines) -> None:
        self._context = context
        self._machines = every

    @contextmanager
    def hold(self, task: str, owner: str, wait: float = 0) -> Iterator[_Held]:
        """Hold all leases for a block.

        Args:
            task: What will be done.
            owner: Who asks.
            wait: Seconds to wait for a living holder.

        Raises:
            Busy: Somebody else holds one.
            ConnectionFailed: A machine does not answer.
        """
        guard.effect(f"lock {self._context.settings.name}")
        held = self._acquire(task, owner, Deadline(wait))
        try:
            held.begin()
            yield held
        finally:
            held.end()

    def holder(self) -> LeaseHolder | None:
        """Return who holds a lease now, None when all are free."""
        asked = self._within(LIMIT)
        found = self._machines.each(lambda machine: _look(asked, machine)).complete()
        return next((found[name] for name in sorted(found) if found[name]), None)

    def break_(self) -> None:
        """Take all leases away from whoever holds them."""
        asked = self._within(LIMIT)
        self._machines.each(
            lambda machine: machine.call(asked, "lease.break", reads=False)
        ).complete()

    def _acquire(self, task: str, owner: str, until: Deadline) -> _Held:
        pid = os.getpid()
        about = {"owner": owner, "task": task, "host": actor.host(), "pid": pid}
        about |= {"started": processes.started(pid), "processes": _processes()}
        while True:
            held = _Held(self, self._machines, uuid.uuid4().hex, about)
            try:
                held.take()
                return held
            except Busy as error:
                held.end()
                if until.remaining() <= 0:
                    name = self._context.settings.name
                    hint = f"wait with --wait, or look: inv lock.status --env {name}"
                    raise Busy(f"{name} is busy", why=str(error), hint=hint) from error
                time.sleep(min(until.remaining(), _POLL + random.random() * _POLL))  # nosec B311
            except BaseException:
                held.end()
                raise

    def _within(self, seconds: float) -> Context:
        """Return surroundings with their own time: the lock is given back also when the work's time is used up."""
        return dataclasses.replace(self._context, deadline=Deadline(seconds))


class _Held:
    """Leases in our hands.

    Args:
        leases: Give the surroundings.
        every: The machines.
        run: Identifier of this holder.
        about: What it says about itself.
    """

    def __init__(self, leases: Leases, every: Machines, run: str, about: dict[str, Any]) -> None:
        self._leases = leases
        self._machines = every
        self._run = run
        self._about = about
        self._fresh: dict[str, float] = {}
        self._taken: OpsError | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> None:
        """Take the lease of each machine.

        Raises:
            Busy: Somebody else holds one; what was taken must be given back.
        """
        asked = self._leases._within(LIMIT)
        # The first one decides between two who come at the same time, or each might get half.
        first = min(self._machines, key=lambda machine: machine.name)
        Machines([first]).each(lambda machine: self._take(asked, machine)).complete()
        others = Machines([machine for machine in self._machines if machine is not first])
        others.each(lambda machine: self._take(asked, machine)).complete()

    def begin(self) -> None:
        """Renew the leases from now on."""
        self._thread.start()

    def check(self) -> None:
        """Raise TakenOver when somebody took a lease away, ConnectionFailed when a machine is out of reach too long."""
        if self._taken is not None:
            raise self._taken
        now = time.monotonic()
        late = [each for each in self._machines if now - self._fresh[each.name] > TTL]
        if late:
            self._renew(Machines(late)).complete()

    def end(self) -> None:
        """Give the leases back; one that cannot be given back ends by itself."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(_POLL)
        asked = self._leases._within(_RELEASE)
        self._machines.each(lambda machine: self._release(asked, machine))

    def _take(self, asked: Context, machine: Machine) -> None:
        arguments = {"run": self._run, "ttl": TTL, "holder": self._about}
        arguments["project"] = machine.place.project
        began = time.monotonic()
        # It is known before the answer comes, so that it is given back whatever happens to the answer.
        machine.lease = {"run": self._run, "fencing": 0}
        try:
            answer = _acquire(asked, machine, arguments)
        except Busy:
            now = _look(asked, machine)
            if now is None or now.alive:
                machine.lease = None
                raise
            answer = _acquire(asked, machine, {**arguments, "replacing": now.fencing})
        machine.lease = {"run": self._run, "fencing": int(answer["fencing"])}
        machine.known = {"tags": answer["tags"]}
        if answer["observed"]:
            machine.known["observed"] = answer["observed"]
            machine.known["model"] = {
                "model": answer["observed"]["document"],
                "files": answer["files"],
            }
        self._fresh[machine.name] = began

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            for error in self._renew(self._machines).failed.values():
                if isinstance(error, TakenOver):
                    self._taken = error

    def _renew(self, some: Machines) -> machines.Outcome[None]:
        asked = self._leases._within(_RENEW)

        def renew(machine: Machine) -> None:
            began = time.monotonic()
            machine.call(asked, "lease.renew", {"ttl": TTL}, reads=False)
            self._fresh[machine.name] = began

        return some.each(renew)

    def _release(self, asked: Context, machine: Machine) -> None:
        machine.known = {}
        if machine.lease is not None:
            with contextlib.suppress(OpsError):
                machine.call(asked, "lease.release", reads=False)
            machine.lease = None


def of(context: Context) -> Leases:
    """Return the lock of the environment on its machines."""
    return Leases(context, machines.of(context))


def _acquire(asked: Context, machine: Machine, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return machine.call(asked, "survey.locked", arguments, reads=False)
    except ConnectionLost:  # perhaps we have it; the same holder may take it again
        return machine.call(asked, "survey.locked", arguments, reads=False)


def _look(asked: Context, machine: Machine) -> LeaseHolder | None:
    found = machine.call(asked, "lease.look", reads=True)["holder"]
    return LeaseHolder(**found) if found else None


def _processes() -> str:
    """Return what tells our process ids from those of other machines and containers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux, so no containers either
        return f"{actor.host()} {uuid.getnode()}"
