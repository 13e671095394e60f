"""All machines of an environment: asked at the same time, every answer and every failure kept."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ops.hosts import home
from ops.hosts.machine import Machine, Place, ThisMachine
from ops.kernel.context import Context
from ops.kernel.errors import Interrupted, OpsError, TakenOver
from ops.kernel.settings import addresses
from ops.kernel.settings.models import Settings

if TYPE_CHECKING:
    import paramiko

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What all machines answered.

    Args:
        done: Results by machine.
        failed: Errors by machine.
    """

    done: dict[str, T]
    failed: dict[str, OpsError]

    def complete(self) -> dict[str, T]:
        """Return all results.

        Raises:
            OpsError: That of the machine that failed; for several, one of the first one's kind that names them all.
        """
        errors = list(self.failed.values())
        # What stops the whole run comes first, whoever else failed.
        for error in errors:
            if isinstance(error, TakenOver | Interrupted):
                raise error
        if len(errors) > 1:
            what = f"{len(errors)} of {len(errors) + len(self.done)} hosts failed"
            raise type(errors[0])(what, why="\n".join(map(str, errors)), hint=errors[0].hint)
        if errors:
            raise errors[0]
        return self.done


class Machines:
    """The machines of an environment, by name.

    Args:
        every: In the order of ops.toml.
    """

    def __init__(self, every: Sequence[Machine]) -> None:
        self._every = {machine.name: machine for machine in every}

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._every.values())

    def __len__(self) -> int:
        return len(self._every)

    def __getitem__(self, name: str) -> Machine:
        return self._every[name]

    def each(self, work: Callable[[Machine], T]) -> Outcome[T]:
        """Do `work` for all machines at the same time; all end before this returns."""
        outcome: Outcome[T] = Outcome({}, {})
        with ThreadPoolExecutor(max(len(self), 1)) as pool:
            jobs = {machine.name: pool.submit(work, machine) for machine in self}
        for name, job in jobs.items():
            try:
                outcome.done[name] = job.result()
            except OpsError as error:
                outcome.failed[name] = error
        return outcome

    def close(self) -> None:
        """End all connections."""
        for machine in self:
            machine.close()


_known: dict[Any, Machines] = {}


def of(context: Context) -> Machines:
    """Return the machines of the environment: always the same ones, so that their connections are used again."""
    settings = context.settings
    chosen = settings.environment
    pins = tuple(sorted(chosen.host_keys.items()))
    key = (settings.folder, settings.name, chosen.hosts, chosen.gateway, pins, chosen.ssh_key)
    found = _known.get((*key, chosen.base_folder))
    if found is None:
        found = Machines(_machines(context))
        _known[(*key, chosen.base_folder)] = found
        atexit.register(found.close)
    return found


def place(settings: Settings) -> Place:
    """Return where the environment's folder is on its machines."""
    base = settings.environment.base_folder
    if not base and not settings.environment.hosts and os.geteuid() != 0:
        base = str(home.of(settings).environment(settings.name))
    default = home.SYSTEM_ROOT / f"{settings.app.name}-{settings.name}"
    return Place(base or str(default), settings.app.name, settings.name)


def _machines(context: Context) -> list[Machine]:
    chosen, where = context.settings.environment, place(context.settings)
    if not chosen.hosts:
        return [ThisMachine(where)]
    from ops.hosts.ssh import keys
    from ops.hosts.ssh.link import Link
    from ops.hosts.ssh.machine import SshMachine

    def key() -> paramiko.PKey:
        text = context.secrets.resolve(chosen.ssh_key).get_secret_value()
        return keys.private(text, chosen.ssh_key)

    def link(text: str, gateway: Link | None) -> Link:
        address = addresses.parse(text)
        pinned = chosen.host_keys.get(address.name, "")
        return Link(address, pinned, key if chosen.ssh_key else None, gateway)

    gateway = link(chosen.gateway, None) if chosen.gateway else None
    return [SshMachine(link(text, gateway), where) for text in chosen.hosts]
