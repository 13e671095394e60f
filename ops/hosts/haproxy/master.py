"""The socket of HAProxy's master process: it reaches the current worker and those that still finish requests.

Source: HAProxy management guide 2.6, 9.4; tried with 2.6.12 and 2.8.25.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConnectionFailed, NotPermitted

ANSWER_SECONDS: Final = 5.0
"""How long one answer may take; it is usually below 10 ms."""
_GONE: Final = "Can't find the target PID"


class Master:
    """A line to the master process.

    Args:
        path: Its Unix socket (`-S` on the command line).
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, command: str) -> str:
        """Send one command to the current worker and return the answer.

        Raises:
            ConnectionFailed: Nobody listens, or the answer takes too long.
            NotPermitted: The socket belongs to somebody else.
        """
        answer = self._send(f"@1 {command}")
        if answer.startswith(_GONE):
            raise ConnectionFailed(f"the proxy at {self.path} has no worker", hint="inv logs")
        return answer

    def ask_worker(self, process_id: str, command: str) -> str:
        """Send one command to a worker that was before a reload; empty when it has ended meanwhile."""
        answer = self._send(f"@!{process_id} {command}")
        return "" if answer.startswith(_GONE) else answer

    def reload(self) -> None:
        """Load the configuration file anew, as SIGUSR2 does."""
        self._send("reload")

    def old_workers(self) -> list[str]:
        """Return the process ids of workers from before a reload that still finish requests."""
        _, _, after = self._send("show proc").partition("# old workers")
        rows = [line.split() for line in after.partition("# programs")[0].splitlines()]
        return [row[0] for row in rows if len(row) > 1 and row[1] == "worker"]

    def _send(self, line: str) -> str:
        try:
            return self._exchange(line)
        except PermissionError as error:
            raise NotPermitted(
                f"may not use the proxy's socket {self.path}", why=str(error)
            ) from error
        except OSError as error:
            raise ConnectionFailed(
                f"the proxy does not answer at {self.path}",
                why=error.strerror or str(error),
                hint="see whether it runs: inv status",
            ) from error

    def _exchange(self, line: str) -> str:
        deadline = Deadline(ANSWER_SECONDS)
        answer = b""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self.path))
            connection.sendall(f"{line}\n".encode())
            # The master would wait for the next command: only this ends its answer.
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                answer += part
                # 2.8 does not hang up after this one.
                if answer.startswith(_GONE.encode()):
                    break
                connection.settimeout(max(0.01, deadline.remaining()))
        return answer.decode(errors="replace").strip()
