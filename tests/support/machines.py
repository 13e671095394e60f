"""Machines for tests: this one and hosts over SSH, with an agent that has the verbs of `trial` as well."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from ops.hosts import agent_file, machines
from ops.hosts.agent import __main__ as command
from ops.hosts.machine import Machine, Place
from ops.hosts.this_machine import ThisMachine
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.events import Event
from ops.kernel.secrets import Secrets
from tests.support import trial
from tests.support.sshd import Sshd

ENVIRONMENT = "staging"


class World:
    """A project whose environment runs on machines.

    Args:
        folder: Of ops.toml, of the environment's folder and of whatever tests need.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output: list[bytes] = []
        self.events: list[Event] = []
        self._opened: list[Machine] = []

    @property
    def base(self) -> Path:
        """The environment's folder on its machines."""
        return self.folder / "base"

    def told(self, kind: str) -> list[str]:
        """Return the messages of all events of a kind."""
        return [event.message for event in self.events if event.kind == kind]

    def context(self, servers: Sequence[Sshd] = (), seconds: float = 60, **keys: Any) -> Context:
        """Return surroundings with these hosts, each pinned unless `host_keys` says otherwise.

        Args:
            servers: The hosts, none for this machine.
            seconds: Of the deadline.
            keys: Of the environment in ops.toml.
        """
        if servers:
            pins = {server.name: server.fingerprint for server in servers}
            usual = {"host_keys": pins, "ssh_key": f"file:{servers[0].key}"}
            keys = {"hosts": [server.address for server in servers], **usual, **keys}
        lines = [f"{name} = {_toml(value)}" for name, value in keys.items() if value is not None]
        text = (
            f'[app]\nname = "shop"\ndefault_environment = "{ENVIRONMENT}"\n'
            f'[environments.{ENVIRONMENT}]\ntarget = "compose"\nbase_folder = "{self.base}"\n'
            + "\n".join(lines)
        )
        file = self.folder / "ops.toml"
        if not file.exists() or file.read_text() != text:  # other threads may be reading it
            file.write_text(text)
        return Context(
            settings.load(start=self.folder, environ={}),
            Secrets(self.folder, environ={}),
            Deadline(seconds),
            output=self.output.append,
            announce=self.events.append,
        )

    def local(self) -> Machine:
        """Return this machine."""
        return self.opened(ThisMachine(self.place))

    def opened(self, machine: Machine) -> Machine:
        """Return a machine whose agents end with this world."""
        self._opened.append(machine)
        return machine

    def close(self) -> None:
        """End what this machine's agents are."""
        for machine in self._opened:
            machine.close()

    @property
    def place(self) -> Place:
        """Where the environment's folder is."""
        return Place(str(self.base), "shop", ENVIRONMENT)

    def holding(self, context: Context, machine: Machine) -> None:
        """Let a machine have the lease, for verbs that need it."""
        about: dict[str, Any] = {"owner": "anna", "task": "deploy", "host": "here"}
        about |= {"pid": os.getpid(), "started": 0.0, "processes": ""}
        arguments = {"run": "ours", "ttl": 60, "holder": about}
        told = machine.call(context, "lease.acquire", arguments, reads=False)
        machine.lease = {"run": "ours", "fencing": told["fencing"]}


@contextmanager
def world() -> Iterator[World]:
    """Give a project whose agent has the verbs of `trial`; afterwards nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="invops-machines-"))
    before = dict(machines._known)
    agent = agent_with({name: f"trial.{name}" for name in VERBS})
    try:
        with mock.patch.object(agent_file, "content", lambda **_: agent):
            one = World(folder)
            with contextlib.closing(one):
                yield one
    finally:
        for key in machines._known.keys() - before.keys():
            machines._known.pop(key).close()
        shutil.rmtree(folder)


VERBS = ("change", "crash", "echo", "killed", "noisy", "refuse", "work")


def agent_with(verbs: Mapping[str, str]) -> bytes:
    """Return the agent with more verbs, those of `trial`."""
    package = agent_file.PACKAGE.replace(".", "/")
    more = "".join(f'    "trial.{name}": "{where}",\n' for name, where in verbs.items())
    changed = {
        f"{package}/__main__.py": _source(command).replace("VERBS = {\n", f"VERBS = {{\n{more}"),
        f"{package}/trial.py": _source(trial),
    }
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(agent_file.content())) as whole,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        compiled = {f"{name}c" for name in changed}
        for name in sorted({*whole.namelist(), *changed} - compiled):
            archive.writestr(name, changed[name] if name in changed else whole.read(name))
    return made.getvalue()


def _source(module: Any) -> str:
    return Path(module.__file__).read_text(encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{key}" = {_toml(each)}' for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"'
