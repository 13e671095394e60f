"""One connection to one host: made when it is needed, checked, kept alive, shared by everything that talks to it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Final

import fabric
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from ops.hosts.ssh import keys
from ops.kernel.errors import ConnectionFailed, NotPermitted, OpsError
from ops.kernel.settings.addresses import Address

AT_ONCE: Final = 10
"""Connections that are made at the same time: sshd begins to drop them there (MaxStartups 10:30:100)."""
CONNECT: Final = 10.0
"""Seconds for each part of making a connection: TCP, greeting, keys, log-in."""
AGAIN: Final = 8.0
"""Seconds during which a server that hangs up instead of greeting is asked again."""
ALIVE: Final = 5
"""Seconds between two signs of life; they keep the connection open in routers."""
DEAD: Final = 20_000
"""Milliseconds without any answer of the other side's system after which the connection is lost."""
BROKEN: Final = (paramiko.SSHException, EOFError, OSError)
"""What paramiko raises when a connection does not hold."""
_BANNER: Final = "Error reading SSH protocol banner"
# What goes wrong is told by our errors; without this, paramiko's tracebacks would be printed as well.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
_starting = threading.BoundedSemaphore(AT_ONCE)


class Link:
    """A connection to a host.

    Args:
        address: Where it is.
        pinned: Fingerprint of its key in ops.toml, empty when known_hosts decides.
        key: Gives our private key; None for those of the agent and of ~/.ssh.
        gateway: The host to go through.
    """

    def __init__(
        self,
        address: Address,
        pinned: str = "",
        key: Callable[[], paramiko.PKey] | None = None,
        gateway: Link | None = None,
    ) -> None:
        self.address = address
        self._pinned = pinned
        self._key = key
        self._gateway = gateway
        self._lock = threading.Lock()
        self._open: fabric.Connection | None = None
        self.opened: Callable[[paramiko.Transport], None] = lambda _: None
        """Called with each new connection."""

    def transport(self) -> paramiko.Transport:
        """Return the open connection, made anew when there is none.

        Raises:
            ConnectionFailed: The host does not answer.
            NotPermitted: Its key is not the one we know, or it does not take ours.
        """
        with self._lock:
            if not self.connected():
                again = Retrying(
                    retry=retry_if_exception(lambda error: _hung_up(error) or self._cut_off(error)),
                    wait=wait_random_exponential(multiplier=0.2, max=2),
                    stop=stop_after_delay(AGAIN),
                    reraise=True,
                )
                with _translated(self.address, via=self._gateway):
                    self._open = again(self._connect)
                self.opened(self._open.transport)
            assert self._open is not None  # nosec B101
            transport: paramiko.Transport = self._open.transport
            return transport

    def connected(self) -> bool:
        """Say whether it is open, as far as is known."""
        return self._open is not None and bool(self._open.is_connected)

    def connection(self) -> fabric.Connection:
        """Return the open connection as Fabric has it, for a host behind this one."""
        self.transport()
        assert self._open is not None  # nosec B101
        return self._open

    def close(self) -> None:
        """End the connection; what waits on it ends with an error."""
        if self._open is not None:
            self._open.client.close()

    def _cut_off(self, error: BaseException) -> bool:
        """Say whether the gateway's connection was dead: only what goes through it finds that out."""
        if self._gateway is None or not isinstance(error, BROKEN):
            return False
        return isinstance(error, EOFError) or not self._gateway.connected()

    def _connect(self) -> fabric.Connection:
        """Connect as ops.toml says; ~/.ssh/config does not count, whoever deploys from wherever gets the same."""
        gateway = self._gateway.connection() if self._gateway else None
        key = self._key() if self._key else None
        connection = _Connection(
            self.address.host,
            user=self.address.user,
            port=self.address.port,
            gateway=gateway or False,
            config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
            connect_kwargs={
                **{f"{part}timeout": CONNECT for part in ("", "banner_", "auth_", "channel_")},
                **({"pkey": key} if key else {}),
                "allow_agent": key is None,
                "look_for_keys": key is None,
            },
        )
        keys.trust(connection.client, self.address.name, self._pinned)
        try:
            with _starting:
                connection.open()
        except BaseException:
            connection.client.close()
            raise
        transport: paramiko.Transport = connection.transport
        transport.set_keepalive(ALIVE)
        # Linux only; elsewhere the long polls notice it, a little later.
        if isinstance(transport.sock, socket.socket) and hasattr(socket, "TCP_USER_TIMEOUT"):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD)
        return connection


class _Connection(fabric.Connection):  # type: ignore[misc]
    """A connection whose gateway is a `Link`: Fabric would open that anew for each host that finds it dead."""

    def open_gateway(self) -> paramiko.Channel:
        """Return the way through the gateway; it says nothing when it ends because the gateway is gone.

        A thread of paramiko would die of that, and print how.
        """
        there = (self.host, int(self.port))
        way: paramiko.Channel = self.gateway.transport.open_channel(
            "direct-tcpip", there, ("", 0), timeout=CONNECT
        )
        close = way.close

        def quietly() -> None:
            with contextlib.suppress(*BROKEN):
                close()

        way.close = quietly  # type: ignore[method-assign]
        return way


def _hung_up(error: BaseException) -> bool:
    """Say whether a server ended the connection before it greeted: it has too many of them just now."""
    if isinstance(error, ConnectionResetError):
        return True
    return isinstance(error, paramiko.SSHException) and _BANNER in str(error)


@contextlib.contextmanager
def _translated(address: Address, via: Link | None) -> Iterator[None]:
    where = f"{address.name} (through {via.address.name})" if via else address.name
    try:
        yield
    except OpsError:
        raise
    except paramiko.BadHostKeyException as error:
        raise keys.changed(address.name, error) from error
    except paramiko.AuthenticationException as error:
        raise _refused(address, str(error)) from error
    except TimeoutError as error:
        raise ConnectionFailed(
            f"{where} does not answer",
            why=f"no connection within {CONNECT:g} s",
            hint=_try(address),
        ) from error
    except socket.gaierror as error:
        raise ConnectionFailed(
            f"{where} is not known", why=str(error.strerror), hint="look for a mistake in hosts"
        ) from error
    except (OSError, EOFError) as error:
        raise ConnectionFailed(
            f"cannot connect to {where}", why=_why(error), hint=_try(address)
        ) from error
    except paramiko.SSHException as error:
        if "No authentication methods" in str(error):
            raise _refused(address, "there is no key in the SSH agent or in ~/.ssh") from error
        raise ConnectionFailed(
            f"cannot connect to {where}", why=str(error), hint=_try(address)
        ) from error


def _why(error: OSError | EOFError) -> str:
    """Return the reason in words, without numbers; of a name with several addresses that of each."""
    found = error.errors.values() if isinstance(error, NoValidConnectionsError) else [error]
    reasons = (each.strerror if isinstance(each, OSError) else "" for each in found)
    return "; ".join(dict.fromkeys(filter(None, reasons))) or str(error)


def _refused(address: Address, why: str) -> NotPermitted:
    return NotPermitted(
        f"{address.name} does not let {address.user} in",
        why=why.rstrip("."),
        hint=f"let it know the key: ssh-copy-id -p {address.port} {address.user}@{address.host}; "
        "or name the right one with ssh_key in ops.toml",
    )


def _try(address: Address) -> str:
    return f"ssh -v -p {address.port} {address.user}@{address.host}"
