"""Whom we believe to be a host, and who we are for it.

Fabric takes every host key that it does not know. Here a key must be in known_hosts or be the one that ops.toml pins.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import paramiko
from paramiko.hostkeys import InvalidHostKey

from ops.kernel import files
from ops.kernel.errors import ConfigurationError, NotPermitted

KNOWN_HOSTS: Final = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
ON_THE_HOST: Final = "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done"
_KINDS: Final = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


def trust(client: paramiko.SSHClient, name: str, pinned: str) -> None:
    """Let a client accept one host only by the key that we know.

    Args:
        client: Before it connects.
        name: What ops.toml calls the host.
        pinned: Fingerprint in ops.toml; when there is one, known_hosts does not count.
    """
    client.set_missing_host_key_policy(_Strict(name, pinned))
    if not pinned:
        for path in KNOWN_HOSTS:
            if path.expanduser().is_file():
                _load(client, path.expanduser())


def changed(name: str, error: paramiko.BadHostKeyException) -> NotPermitted:
    """Return the error of a host that shows another key than the one in known_hosts."""
    return _other(
        name, error.key, error.expected_key.fingerprint, f'ssh-keygen -R "{_known(name)}"'
    )


def private(text: str, reference: str) -> paramiko.PKey:
    """Read a private key.

    Args:
        text: The key itself.
        reference: Where it is from, for messages.

    Raises:
        ConfigurationError: It is none, or it needs a passphrase.
    """
    for kind in _KINDS:
        try:
            return kind.from_private_key(io.StringIO(text + "\n"))
        except paramiko.PasswordRequiredException as error:
            raise ConfigurationError(
                f"the key {reference} has a passphrase",
                hint="load it into the SSH agent (ssh-add) and leave ssh_key out",
            ) from error
        except (paramiko.SSHException, ValueError, IndexError):
            continue
    raise ConfigurationError(
        f"{reference} is no private key of SSH", hint="make one: ssh-keygen -t ed25519 -f KEY"
    )


def _load(client: paramiko.SSHClient, path: Path) -> None:
    try:
        with files.translated(f"cannot read {path}"):
            client.load_system_host_keys(str(path))
    except InvalidHostKey as error:
        raise ConfigurationError(
            f"{path} has a line that is no host key", why=error.line, hint="remove that line"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is no text", why=str(error)) from error


class _Strict(paramiko.MissingHostKeyPolicy):
    def __init__(self, name: str, pinned: str) -> None:
        self._name = name
        self._pinned = pinned

    def missing_host_key(self, _: object, __: str, key: paramiko.PKey) -> None:
        """Accept the pinned key, refuse every other."""
        if not self._pinned:
            raise NotPermitted(
                f"the host key of {self._name} is not known",
                why=f"it shows {_shown(key)}",
                hint=f"compare on the host ({ON_THE_HOST}), then write into its environment in ops.toml: "
                f'host_keys = {{ "{self._name}" = "{key.fingerprint}" }}, '
                f"or add to ~/.ssh/known_hosts: {_known(self._name)} {key.get_name()} {key.get_base64()}",
            )
        if key.fingerprint != self._pinned:
            raise _other(self._name, key, self._pinned, "change host_keys in ops.toml")


def _other(name: str, key: paramiko.PKey, expected: str, then: str) -> NotPermitted:
    return NotPermitted(
        f"{name} shows another host key than the one that is known",
        why=f"known is {expected}, it shows {_shown(key)}: the host was installed anew, or somebody is in between",
        hint=f"compare on the host ({ON_THE_HOST}); only if it is the same: {then}",
    )


def _shown(key: paramiko.PKey) -> str:
    return f"{key.fingerprint} ({key.get_name()})"


def _known(name: str) -> str:
    host, _, port = name.rpartition(":")
    return (
        f"[{host.strip('[]')}]:{port}"
        if host and port.isdigit() and not name.endswith("]")
        else name
    )
