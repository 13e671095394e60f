"""Secrets are references until the moment of use: `env:NAME`, `file:PATH`, and added schemes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ops.kernel import redact
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.settings import environ as process
from ops.kernel.settings.faults import did_you_mean, one_of

_OTHERS_READ: Final = 0o004


class Secrets:
    """Resolves references; every value that it returns is hidden in all output from then on.

    Args:
        folder: Where a relative `file:` reference starts: the folder of ops.toml.
        environ: Variables; default: those of this process.
        redactor: Who hides the values; default: the central one.
    """

    def __init__(
        self,
        folder: Path = Path("."),
        *,
        environ: Mapping[str, str] | None = None,
        redactor: redact.Redactor = redact.CENTRAL,
    ) -> None:
        self.folder = folder
        self.environ = process.variables() if environ is None else environ
        self.redactor = redactor

    def resolve(self, reference: str) -> SecretStr:
        """Return the value behind a reference.

        Raises:
            ConfigurationError: It is no reference, the value is missing or too short to be hidden.
            NotPermitted: The file cannot be read, or everybody can read it.
        """
        wrong = fault(reference)
        if wrong:
            raise ConfigurationError(f"a secret {wrong}")
        scheme, _, rest = reference.partition(":")
        value = _schemes[scheme](rest, self)
        if len(value) < redact.SHORTEST:
            raise ConfigurationError(
                f"secret {reference} has fewer than {redact.SHORTEST} characters",
                why="it could not be hidden in output without garbling other text",
                hint="use a longer one: openssl rand -hex 16",
            )
        self.redactor.add(value)
        return SecretStr(value)


Resolver = Callable[[str, Secrets], str]
"""Turns what stands after the colon into the value."""


def register_scheme(name: str, resolver: Resolver) -> None:
    """Add a kind of reference, e.g. "vault" for `vault:path`.

    Raises:
        ValueError: The name is taken or not a word.
    """
    if name in _schemes or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise ValueError(f"scheme {name!r} is taken or not a word")
    _schemes[name] = resolver


def fault(reference: str) -> str:
    """Say what is wrong with a reference, as the end of a sentence; empty when it is one.

    The text of the reference is not shown: somebody may have written the secret itself.
    """
    scheme, colon, rest = reference.partition(":")
    known = one_of([f"{name}:{_SHAPES.get(name, '...')}" for name in _schemes])
    if (
        not colon
        or not re.fullmatch(r"[a-z][a-z0-9-]*", scheme)
        or rest.startswith("//")
        or "\0" in rest
    ):
        return f"must be a reference, not the secret itself: {known}"
    if scheme not in _schemes:
        return (
            f"has an unknown kind of reference: known are {known}{did_you_mean(scheme, _schemes)}"
        )
    if scheme == "env" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", rest):
        return "must name a variable after env:"
    return "" if rest.strip() else f"names nothing after {scheme}:"


def _from_variable(name: str, secrets: Secrets) -> str:
    value = secrets.environ.get(name, "")
    if not value:
        raise ConfigurationError(
            f"secret env:{name} is missing",
            why=f"variable {name} is not set",
            hint=f"export {name}=...",
        )
    return value


def _from_file(name: str, secrets: Secrets) -> str:
    path = secrets.folder / name
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS_READ:
            raise NotPermitted(
                f"secret file:{name} can be read by everybody", hint=f"chmod 600 {path}"
            )
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"secret file:{name} is missing", why=f"there is no file {path}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"secret file:{name} is not text in UTF-8") from error
    except OSError as error:
        raise NotPermitted(f"cannot read secret file:{name}", why=str(error.strerror)) from error
    # Editors end a file with a line break that is not part of the secret.
    return text.removesuffix("\n").removesuffix("\r")


_schemes: Final[dict[str, Resolver]] = {"env": _from_variable, "file": _from_file}
_SHAPES: Final = {"env": "NAME", "file": "PATH"}
