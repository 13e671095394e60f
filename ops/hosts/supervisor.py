"""The project's supervisor daemon: starts, restarts and stops its programs, and outlives this process.

supervisor 4.3, commanded through its Unix socket. Each program is started through `launch.py`, which reads a 0600
file and becomes the program.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from ops.hosts import account as accounts
from ops.hosts import home as homes
from ops.hosts import interpreter, orphans, runner
from ops.hosts.account import Account
from ops.hosts.daemon_files import DaemonFiles
from ops.hosts.home import Home
from ops.hosts.programs import Program, ProgramState
from ops.hosts.rpc import Client
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, StepFailed

__all__ = ["Daemon", "Program", "ProgramState", "daemon_of"]

_ITSELF = "supervisord"
_POLL = 0.05
_ENDED = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}
_FAILED_STARTS = 3


def daemon_of(context: Context) -> Daemon:
    """Return the daemon of the project."""
    return Daemon(context, homes.of(context.settings), accounts.lookup())


class Daemon:
    """The daemon of one home.

    Args:
        context: Gives the deadline of every wait.
        home: Its home.
        account: The service user when this process is root.
    """

    def __init__(self, context: Context, home: Home, account: Account | None) -> None:
        self.context = context
        self.home = home
        self.account = account
        self._files = DaemonFiles(home, account)
        self._client = Client(self._files.socket)
        self._failed_starts: set[tuple[str, int]] = set()

    def running(self) -> bool:
        """Say whether the daemon answers."""
        try:
            return bool(self._client.ask("getPID"))
        except ConnectionFailed:
            return False

    def ensure(self) -> None:
        """Start the daemon unless it answers; what a killed one left running is ended first.

        Raises:
            StepFailed: It does not start.
        """
        if self.running():
            return
        if self.account is not None and not self.account.exists:
            self.account = accounts.ensure(self.context)
            self._files = DaemonFiles(self.home, self.account)
        homes.create(self.home, self.account.owner if self.account else None)
        with homes.locked(self.home.supervisor, self.context.deadline):
            if not self.running():
                orphans.end(self.home, None, self._files.stop_signal)
                # supervisor waits seconds for the socket of a killed one.
                files.remove(self._files.socket)
                self._files.write_own()
                self._start_itself()

    def programs(self) -> list[ProgramState]:
        """Return what the daemon says about its programs; nothing when it does not run."""
        try:
            answer = self._client.ask("getAllProcessInfo")
        except ConnectionFailed:
            return []
        return [
            ProgramState(
                group=each["group"],
                name=each["name"],
                state=each["statename"],
                pid=each["pid"],
                started=each["start"],
                uptime_seconds=float(each["now"] - each["start"]) if each["pid"] else 0.0,
                exit_status=each["exitstatus"],
            )
            for each in answer
        ]

    def add(self, group: str, programs: Sequence[Program]) -> bool:
        """Run a group of programs; one that has the same definition already is left alone, or started.

        A changed definition replaces the whole group: supervisor knows no other way.

        Returns:
            Whether anything was started or replaced.
        """
        python = interpreter.find(self.account)
        self._failed_starts.clear()
        if self._members(group):
            if self._files.is_written(group, programs, python):
                return self._start_ended(group)
            self.remove(group)
        with homes.locked(self.home.supervisor, self.context.deadline):
            self._files.write_group(group, programs, python)
            self._client.change("read the configuration", "reloadConfig")
            self._client.change(f"add the programs of {group}", "addProcessGroup", group)
        self._start_ended(group)
        return True

    def remove(self, group: str) -> None:
        """Stop a group and forget it; its logs stay."""
        if not self.home.supervisor.is_dir():
            return
        self._stop(group)
        with homes.locked(self.home.supervisor, self.context.deadline):
            self._files.remove_group(group)
            if self._members(group):
                self._client.change(f"remove the programs of {group}", "removeProcessGroup", group)
                self._client.change("read the configuration", "reloadConfig")

    def start(self, group: str) -> None:
        """Start a group that was stopped."""
        self._failed_starts.clear()
        self._start_ended(group)

    def stop(self, group: str) -> None:
        """Stop a group; it stays stopped when the daemon starts again."""
        self._files.set_autostart(group, on=False)
        self._stop(group)

    def signal(self, program: str, name: str) -> None:
        """Send a signal such as "USR1" to a program's process."""
        group = next((each.group for each in self.programs() if each.name == program), program)
        what = f"send {name} to {program}"
        self._client.change(what, "signalProcess", f"{group}:{program}", name)

    def shutdown(self) -> None:
        """Stop all programs and the daemon."""
        with contextlib.suppress(ConnectionFailed, psutil.NoSuchProcess):
            process = psutil.Process(self._client.ask("getPID"))
            self._client.change(f"stop the daemon of {self.home.path}", "shutdown")
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                self.context.deadline.check("stopping the daemon")
                time.sleep(_POLL)
        orphans.end(self.home, None, self._files.stop_signal)

    def stop_signal(self, program: str) -> int:
        """Return the signal that ends a program."""
        return self._files.stop_signal(program)

    def definition(self, program: str) -> dict[str, Any]:
        """Return what a program was started with: argv, cwd, environment, stop_signal; nothing when it is unknown."""
        return self._files.definition(program)

    def log_path(self, program: str) -> Path:
        """Return the log of a program, both outputs together; older parts end in .1 to .3."""
        return self._files.log(program)

    def wait_running(self, group: str, deadline: Deadline | None = None) -> None:
        """Wait until all programs of a group have stayed up for a second.

        Args:
            group: The group.
            deadline: How long to wait, the context's when missing.

        Raises:
            StepFailed: One of them ends again and again; the last lines of its log are the reason.
            TimeLimitReached: The time is used up.
        """
        limit = deadline or self.context.deadline
        while True:
            self.fail_if_given_up(group)
            members = self._members(group)
            if members and all(each.state == "RUNNING" for each in members):
                return
            limit.check(f"starting {group}")
            time.sleep(_POLL)

    def fail_if_given_up(self, group: str) -> None:
        """Look whether a program has failed to start three times, for those who poll for its health.

        Raises:
            StepFailed: It has; the last lines of its log are the reason.
        """
        members = self._members(group)
        self._failed_starts |= {
            (each.name, each.started) for each in members if each.state == "BACKOFF"
        }
        for each in members:
            failed = sum(1 for name, _ in self._failed_starts if name == each.name)
            if each.state == "FATAL" or failed >= _FAILED_STARTS:
                raise self._failure(each.name)

    def _members(self, group: str) -> list[ProgramState]:
        return [each for each in self.programs() if each.group == group]

    def _start_ended(self, group: str) -> bool:
        if not any(each.state in _ENDED for each in self._members(group)):
            return False
        self._files.set_autostart(group, on=True)
        # The daemon's own loop would start a new group only at its next round, up to a second later.
        self._client.change(f"start the programs of {group}", "startProcessGroup", group, False)
        return True

    def _stop(self, group: str) -> None:
        members = self._members(group)
        if any(each.state not in _ENDED for each in members):
            self._client.change(f"stop the programs of {group}", "stopProcessGroup", group, False)
        while any(each.state not in _ENDED for each in self._members(group)):
            self.context.deadline.check(f"stopping {group}")
            time.sleep(_POLL)
        orphans.end(self.home, {each.name for each in members}, self._files.stop_signal)

    def _failure(self, program: str) -> StepFailed:
        return StepFailed(
            f"{program} does not stay up",
            why=self._files.last_lines(program) or "it wrote nothing",
            hint=f"read its log: {self.log_path(program)}",
        )

    def _start_itself(self) -> None:
        """Start the daemon; its starter ends once it listens and has become a daemon."""
        command = [sys.executable, "-I", "-m", "supervisor.supervisord"]
        runner.run(
            self.context,
            [*command, "-c", str(self._files.configuration)],
            cwd=self.home.supervisor,
            environment={orphans.VARIABLE: orphans.marker(self.home, _ITSELF)},
        )
        while not self.running():
            self.context.deadline.check("starting the supervisor")
            time.sleep(_POLL)
