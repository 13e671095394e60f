"""TCP ports of this machine."""

from __future__ import annotations

import secrets
import socket

LOWEST, _HIGHEST = 20_000, 32_000


def is_free(port: int) -> bool:
    """Say whether nobody listens on 127.0.0.1:port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free(taken: set[int]) -> int:
    """Return a port that nobody listens on and that is not in `taken`.

    It is below those that the system gives to outgoing connections (Linux: from 32768 on): under load one of these
    would sit on a service's port when it starts.
    """
    while True:
        port = LOWEST + secrets.randbelow(_HIGHEST - LOWEST)
        if port not in taken and is_free(port):
            return port
