"""Speaks with the supervisor daemon: what reads, and what changes.

Its XML comes from our own daemon through a socket that only its owner may open.
"""

from __future__ import annotations

import contextlib
import xmlrpc.client  # nosec B411
from pathlib import Path
from typing import Any

from ops.kernel import guard
from ops.kernel.errors import ConnectionFailed, StepFailed

_ANSWER = 10.0
"""Seconds for an answer: the daemon never waits for a program before it answers."""


class Client:
    """The daemon's interface.

    Args:
        socket: Its Unix socket.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def ask(self, method: str, *arguments: object) -> Any:
        """Call a method that changes nothing.

        Raises:
            ConnectionFailed: The daemon does not answer.
            StepFailed: It refuses.
        """
        from supervisor.xmlrpc import SupervisorTransport  # most commands never ask the daemon

        # A connection for each call: steps that run in parallel must not share one.
        transport = SupervisorTransport(serverurl=f"unix://{self._socket}")
        transport._get_connection = self._connect
        proxy = xmlrpc.client.ServerProxy("http://daemon", transport=transport)
        try:
            with contextlib.closing(transport):
                return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StepFailed(f"the supervisor refused {method}", why=fault.faultString) from fault
        except (OSError, xmlrpc.client.Error) as error:
            raise ConnectionFailed(
                f"the supervisor does not answer at {self._socket}",
                why=str(error),
                hint="inv start",
            ) from error

    def change(self, what: str, method: str, *arguments: object) -> Any:
        """Call a method that changes something; `what` says it for a person.

        Raises:
            EffectRefused: Nothing may change now.
        """
        guard.effect(what)
        return self.ask(method, *arguments)

    def _connect(self) -> Any:
        from supervisor.xmlrpc import UnixStreamHTTPConnection

        connection = UnixStreamHTTPConnection("localhost")
        connection.socketfile = str(self._socket)
        try:
            connection.connect()
        except OSError:
            connection.close()
            raise
        connection.sock.settimeout(_ANSWER)
        return connection
