"""Keys of archives: age public keys that they are encrypted for, and the secret key that opens them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pyrage
from pydantic import SecretStr

from ops.backup.manifest import Manifest
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError

Recipient: TypeAlias = pyrage.x25519.Recipient | pyrage.ssh.Recipient
Identity: TypeAlias = pyrage.x25519.Identity | pyrage.ssh.Identity
_SECRET = "AGE-SECRET-KEY-"  # nosec B105
_SHOWN = 20


def recipients(texts: Sequence[str]) -> list[Recipient]:
    """Read public keys: "age1..." or a line of an SSH public key file.

    Raises:
        ConfigurationError: One is none of these; a secret key is not shown.
    """
    return [_recipient(text.strip(), number) for number, text in enumerate(texts, 1)]


def _recipient(text: str, number: int) -> Recipient:
    if text.upper().startswith(_SECRET):
        raise ConfigurationError(
            f"backup.recipients: key {number} is a secret key",
            why="archives are encrypted for public keys",
            hint="write the public key (age1...) there; who has read this one can open archives: inv backup.key",
        )
    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text)
    except pyrage.RecipientError as error:
        raise ConfigurationError(
            f"backup.recipients: key {number} is no public key: {short(text)}",
            why="age1... and ssh-ed25519 or ssh-rsa keys are",
            hint="make a pair: inv backup.key",
        ) from error


def identity(context: Context) -> SecretStr | None:
    """Return the text of the secret key file behind `backup.identity`, None when there is none.

    Raises:
        ConfigurationError: The file is missing.
        NotPermitted: It cannot be read, or everybody can read it.
    """
    reference = context.settings.backup.identity
    if not reference:
        return None
    text = context.secrets.resolve(reference)
    for line in text.get_secret_value().splitlines():
        # The file as a whole is hidden in output already, a line of it has to be as well.
        if line.startswith(_SECRET):
            context.secrets.redactor.add(line.strip())
    return text


def identities(text: SecretStr | None, manifest: Manifest) -> list[Identity]:
    """Read the secret keys of a file as `age-keygen` or `ssh-keygen` write it.

    Args:
        text: Content of the file.
        manifest: The backup that is to be opened, for the message.

    Raises:
        ConfigurationError: There is none, or it is no secret key.
    """
    if text is None:
        raise ConfigurationError(
            f"backup {manifest.id} is encrypted and backup.identity is not set",
            hint='write identity = "file:PATH" into [backup], the path of the secret key',
        )
    return parse(text)


def parse(text: SecretStr) -> list[Identity]:
    """Read the secret keys of a file.

    Raises:
        ConfigurationError: It holds none, or one with a passphrase.
    """
    plain = text.get_secret_value()
    try:
        if plain.lstrip().startswith("-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(f"{plain.strip()}\n".encode())]
        lines = [line.strip() for line in plain.splitlines()]
        found: list[Identity] = [
            pyrage.x25519.Identity.from_str(line)
            for line in lines
            if line and not line.startswith("#")
        ]
    except pyrage.IdentityError as error:
        raise ConfigurationError(
            "backup.identity is no secret key that can be used",
            why=str(error),
            hint="it needs an age key (AGE-SECRET-KEY-...) or an SSH key without a passphrase",
        ) from error
    if not found:
        raise ConfigurationError("backup.identity holds no secret key", hint="inv backup.key")
    return found


def short(recipient: str) -> str:
    """Return the beginning of a public key, enough to tell it from others."""
    return recipient if len(recipient) <= _SHOWN else f"{recipient[:_SHOWN]}…"
