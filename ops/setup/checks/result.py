"""What a check is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from ops.hosts import account, home
from ops.hosts.account import Account
from ops.hosts.home import Home
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.settings.models import Settings

State = Literal["ok", "missing", "wrong", "warning"]


@dataclass(frozen=True)
class Result:
    """One line of the answer.

    Args:
        name: What was looked at.
        state: How it is.
        found: What was found, for a person.
        command: What to run to put it right, empty when there is nothing to do.
        code: Exit code that it leads to; 0 for what does not stop the application.
    """

    name: str
    state: State
    found: str
    command: str = ""
    code: int = exits.OK


@dataclass(frozen=True)
class Machine:
    """This machine, seen by one application.

    Args:
        context: Surroundings with the settings; its deadline is the limit of a check.
    """

    context: Context

    @property
    def settings(self) -> Settings:
        """The application's settings."""
        return self.context.settings

    @property
    def home(self) -> Home:
        """Its folders."""
        return home.of(self.settings)

    @property
    def account(self) -> Account | None:
        """Who its services run as, None when this process is not root."""
        return account.lookup()


@dataclass(frozen=True)
class Check:
    """An entry of the registry.

    Args:
        name: What it looks at, shown when it does not answer.
        look: The check.
        code: Exit code when it does not answer in time.
    """

    name: str
    look: Callable[[Machine], Iterable[Result]]
    code: int
