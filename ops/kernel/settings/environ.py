"""The only reader of the process environment. Light: the launch path imports it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ops.kernel.errors import ConfigurationError

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def get(name: str, default: str = "") -> str:
    """Return a variable's value, or `default` when it is missing."""
    return os.environ.get(name, default)


def variables() -> Mapping[str, str]:
    """Return all variables of this process."""
    return os.environ


def truth(text: str) -> bool | None:
    """Read yes or no the way a person means it (Invoke's own reading takes "false" for true).

    Returns:
        None when it is neither; an empty text is no.
    """
    word = text.strip().lower()
    return word in _TRUE if word in _TRUE or word in _FALSE else None


def flag(name: str) -> bool:
    """Read a yes-or-no variable.

    Raises:
        ConfigurationError: It is neither.
    """
    value = truth(get(name))
    if value is None:
        raise ConfigurationError(
            f"{name}={get(name)!r} is neither true nor false", hint=f"export {name}=true"
        )
    return value
