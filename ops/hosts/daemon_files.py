"""The daemon's files: its configuration, that of each group, and the 0600 file of each service.

No value of any environment stands in the configuration: a `%` would stop the daemon, and a secret would be in
a file that is not its own.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import signal
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ops.hosts import orphans
from ops.hosts.account import Account
from ops.hosts.home import Home
from ops.hosts.programs import Program
from ops.kernel import files
from ops.kernel.errors import ConfigurationError

RETRIES = 10
"""Failed starts in a row until the daemon gives a program up; it waits one second longer before each."""
_UNUSABLE = ("%", " ;", " #", "[", "]", "*", "?", "\n", "\r")
_LINES = 15
_BYTES = 16 * 1024


class DaemonFiles:
    """The files of the daemon of one home.

    Args:
        home: Its home.
        account: The service user when this process is root.
    """

    def __init__(self, home: Home, account: Account | None) -> None:
        self._home = home
        self._account = account
        self._launcher = home.supervisor / "launch.py"
        self._groups = home.supervisor / "conf.d"
        self._services = home.supervisor / "services"
        self._logs = home.supervisor / "logs"
        self.configuration = home.supervisor / "supervisord.conf"
        self.socket = home.sockets / "supervisor.sock"

    def write_own(self) -> None:
        """Write the daemon's own files."""
        for folder in (self._groups, self._services, self._logs):
            self._make_folder(folder)
        self._write_launcher()
        files.write(self.configuration, self._daemon_text())

    def write_group(self, group: str, programs: Sequence[Program], python: Path) -> None:
        """Write the files of a group, its configuration last."""
        self._write_launcher()
        self._make_folder(self._services / group)
        for each in programs:
            user = each.account or self._account
            owner = user.owner if user else None
            files.write(self._service(group, each), self._service_text(each), owner=owner)
        files.write(self._group(group), self._group_text(group, programs, python))

    def is_written(self, group: str, programs: Sequence[Program], python: Path) -> bool:
        """Say whether the files of a group are what `write_group` would write, running or stopped."""
        expected = {self._service(group, each): self._service_text(each) for each in programs}
        expected[self._group(group)] = self._group_text(group, programs, python)
        try:
            written = {path: path.read_text(encoding="utf-8") for path in expected}
        except OSError:
            return False
        started = written[self._group(group)].replace("autostart=false", "autostart=true")
        return {**written, self._group(group): started} == expected

    def remove_group(self, group: str) -> None:
        """Remove the files of a group; logs stay."""
        files.remove(self._group(group))
        files.remove(self._services / group)

    def set_autostart(self, group: str, *, on: bool) -> None:
        """Write down whether a group starts with the daemon."""
        path = self._group(group)
        before, after = f"autostart={not on}".lower(), f"autostart={on}".lower()
        with contextlib.suppress(FileNotFoundError):
            files.write(path, path.read_text(encoding="utf-8").replace(before, after))

    def stop_signal(self, program: str) -> int:
        """Return the signal that ends a program."""
        with contextlib.suppress(KeyError, AttributeError):
            return int(getattr(signal, f"SIG{self.definition(program)['stop_signal']}"))
        return signal.SIGTERM

    def definition(self, program: str) -> dict[str, Any]:
        """Return what a program was started with: argv, cwd, environment, stop_signal; nothing when it is unknown."""
        for path in self._services.glob(f"*/{program}.json"):
            with contextlib.suppress(OSError, ValueError):
                return dict(json.loads(path.read_text(encoding="utf-8")))
        return {}

    def log(self, program: str) -> Path:
        """Return the log of a program; older parts end in .1 to .3."""
        return self._logs / f"{program}.log"

    def last_lines(self, program: str) -> str:
        """Return the end of a program's log."""
        try:
            with self.log(program).open("rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - _BYTES))
                text = stream.read().decode(errors="replace")
        except OSError:
            text = ""
        return "\n".join(text.splitlines()[-_LINES:])

    def _group(self, name: str) -> Path:
        return self._groups / f"{name}.conf"

    def _service(self, group: str, program: Program) -> Path:
        return self._services / group / f"{program.name}.json"

    def _make_folder(self, path: Path) -> None:
        files.make_folder(path, mode=0o755 if self._account else 0o700)

    def _write_launcher(self) -> None:
        source = resources.files("ops.hosts").joinpath("launch.py").read_bytes()
        files.write(self._launcher, source, mode=0o644)

    def _daemon_text(self) -> str:
        """Return the daemon's configuration. Source: supervisor's documentation, "Configuration File"."""
        folder = self._home.supervisor
        lines = [
            "[supervisord]",
            f"logfile={_value(folder / 'supervisord.log')}",
            "logfile_maxbytes=10MB",
            "logfile_backups=3",
            f"pidfile={_value(folder / 'supervisord.pid')}",
            f"directory={_value(folder)}",
            "umask=077",
            "nocleanup=true",
            *(["user=root"] if self._account else []),
            "",
            "[unix_http_server]",
            f"file={_value(self.socket)}",
            "chmod=0700",
            "",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            "",
            "[include]",
            "files=conf.d/*.conf",
        ]
        return "\n".join(lines) + "\n"

    def _group_text(self, group: str, programs: Sequence[Program], python: Path) -> str:
        lines = [f"[group:{group}]", f"programs={','.join(each.name for each in programs)}"]
        for each in programs:
            service = self._service(group, each)
            command = [str(python), "-I", str(self._launcher), str(service)]
            user = each.account or self._account
            lines += [
                "",
                f"[program:{each.name}]",
                f"command={_value(shlex.join(command))}",
                f"directory={_value(self._home.supervisor)}",
                *([f"user={user.name}"] if user else []),
                "autostart=true",
                "autorestart=true",
                "startsecs=1",
                f"startretries={RETRIES}",
                f"stopsignal={each.stop_signal}",
                f"stopwaitsecs={math.ceil(each.stop_seconds)}",
                "stopasgroup=true",
                "killasgroup=true",
                "redirect_stderr=true",
                f"stdout_logfile={_value(self.log(each.name))}",
                "stdout_logfile_maxbytes=10MB",
                "stdout_logfile_backups=3",
            ]
        return "\n".join(lines) + "\n"

    def _service_text(self, program: Program) -> str:
        marker = orphans.marker(self._home, program.name)
        service = {
            "argv": list(program.argv),
            "cwd": str(program.cwd),
            "environment": {**program.environment, orphans.VARIABLE: marker},
            "stop_signal": program.stop_signal,
        }
        return json.dumps(service, indent=1, sort_keys=True)


def _value(value: Path | str) -> str:
    """Return a value as supervisor's file takes it.

    Raises:
        ConfigurationError: It cannot be written there.
    """
    text = str(value)
    if any(sign in text for sign in _UNUSABLE):
        raise ConfigurationError(
            f"the supervisor cannot use the path {text!r}",
            why="it contains one of % [ ] * ? or a space before ; or #",
            hint="set OPS_HOME to a folder with a plain name",
        )
    return text
