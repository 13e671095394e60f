"""All machines of an environment: asked at the same time, every answer and every failure kept."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ops.hosts import home, runner
from ops.hosts.machine import Machine, Place
from ops.hosts.this_machine import ThisMachine
from ops.kernel.context import Context
from ops.kernel.errors import Interrupted, OpsError, TakenOver
from ops.kernel.settings.models import Settings

A = TypeVar("A")
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
        self._open = contextlib.ExitStack()
        self._ways: dict[tuple[str, str, int], tuple[str, int]] = {}

    def __iter__(self) -> Iterator[Machine]:
        return iter(self._every.values())

    def __len__(self) -> int:
        return len(self._every)

    def __getitem__(self, name: str) -> Machine:
        return self._every[name]

    def each(self, work: Callable[[Machine], T]) -> Outcome[T]:
        """Do `work` for all machines at the same time; all end before this returns."""
        jobs = {machine.name: begun(work, machine) for machine in self}
        wait(jobs.values())
        outcome: Outcome[T] = Outcome({}, {})
        for name, job in jobs.items():
            try:
                outcome.done[name] = job.result()
            except OpsError as error:
                outcome.failed[name] = error
        return outcome

    def without(self, names: Collection[str]) -> Machines:
        """Return the same machines without some of them."""
        return Machines([machine for machine in self if machine.name not in names])

    def way(self, machine: Machine, host: str, port: int) -> tuple[str, int]:
        """Return an address here that leads to a TCP port as a machine sees it, until `close`."""
        key = (machine.name, host, port)
        if key not in self._ways:
            self._ways[key] = self._open.enter_context(machine.tunnel(host, port))
        return self._ways[key]

    def close(self) -> None:
        """End all connections."""
        self._ways.clear()
        self._open.close()
        for machine in self:
            machine.close()


_known: dict[Any, Machines] = {}


def of(context: Context) -> Machines:
    """Return the machines that this run is about, of `--limit` or all that are up: the one place where that holds.

    They are always the same ones, so that their connections are used again.
    """
    key, every = _all(context)
    gone = frozenset(context.settings.left_out)
    if not gone:
        return every
    found = _known.get((*key, gone))
    if found is None:
        found = _known[(*key, gone)] = every.without(gone)
        atexit.register(found.close)
    return found


def left_out(context: Context) -> Machines:
    """Return the machines of the environment that this run leaves alone."""
    return _all(context)[1].without({machine.name for machine in of(context)})


def _all(context: Context) -> tuple[tuple[Any, ...], Machines]:
    settings = context.settings
    chosen = settings.environment
    pins = tuple(sorted(chosen.host_keys.items()))
    way = (chosen.hosts, chosen.gateway, pins, chosen.ssh_key)
    key = (settings.folder, settings.name, way, chosen.base_folder)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Machines(_machines(context))
        atexit.register(found.close)
    return key, found


def begun(work: Callable[[A], T], about: A) -> Future[T]:
    """Begin work in a thread that a second signal does not wait for."""
    job: Future[T] = Future()

    def run() -> None:
        try:
            job.set_result(work(about))
        except BaseException as error:
            job.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return job


def place(settings: Settings) -> Place:
    """Return where the environment's folder is on its machines."""
    base = settings.environment.base_folder
    if not base and not settings.environment.hosts and os.geteuid() != 0:
        base = str(home.of(settings).environment(settings.name))
    default = home.SYSTEM_ROOT / f"{settings.app.name}-{settings.name}"
    return Place(base or str(default), settings.app.name, settings.name)


def _repository(context: Context) -> str:
    """Return the first commit of the application's repository; a shallow clone does not know it."""
    if _git(context, "rev-parse", "--is-shallow-repository") != "false":
        return ""
    return _git(context, "rev-list", "--first-parent", "--max-parents=0", "HEAD")


def _git(context: Context, *words: str) -> str:
    quiet = dataclasses.replace(
        context, output=lambda _: None
    )  # a folder that is no repository is right, too
    found = runner.run(quiet, ["git", *words], cwd=context.settings.folder, reads=True, check=False)
    return found.stdout.strip() if found.code == 0 else ""


def _machines(context: Context) -> Sequence[Machine]:
    where = dataclasses.replace(place(context.settings), repository=_repository(context))
    if not context.settings.environment.hosts:
        return [ThisMachine(where)]
    from ops.hosts.ssh import machine

    return machine.every(context, where)
