"""What a check before a deploy found: one line, how bad it is, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ops.kernel import exits
from ops.kernel.errors import (
    ConfigurationError,
    ConnectionFailed,
    DependencyError,
    NotPermitted,
    OpsError,
)

HERE: Final = "here"
"""The machine that deploys."""
State = Literal["ok", "warning", "wrong"]
_WORST_FIRST: Final = (
    exits.CONFIGURATION,
    exits.DEPENDENCY,
    exits.CONNECTION,
    exits.PERMISSION,
    exits.GENERAL,
)
_ERRORS: Final[dict[int, type[OpsError]]] = {
    exits.CONFIGURATION: ConfigurationError,
    exits.DEPENDENCY: DependencyError,
    exits.CONNECTION: ConnectionFailed,
    exits.PERMISSION: NotPermitted,
    exits.GENERAL: OpsError,
}


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Args:
        where: Name of the machine, or `here`.
        check: What was looked at.
        state: `ok`, `warning` (a deploy works all the same) or `wrong` (it does not).
        found: What was found, for a person.
        hint: What to do about it.
        code: Exit code that it leads to when it is wrong.
    """

    where: str
    check: str
    state: State
    found: str
    hint: str = ""
    code: int = exits.GENERAL


def ok(where: str, check: str, found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(where, check, "ok", found, code=exits.OK)


def warning(where: str, check: str, found: str, hint: str = "") -> Finding:
    """Return something that a person should know and that stops no deploy."""
    return Finding(where, check, "warning", found, hint, exits.OK)


def of_error(where: str, check: str, error: OpsError) -> Finding:
    """Return an error as a finding."""
    # The last line of what another program printed says what happened.
    why = error.why.strip().splitlines()[-1] if error.why.strip() else ""
    found = f"{error.what.removeprefix(f'{where}: ')}: {why}" if why else error.what
    return Finding(where, check, "wrong", found, error.hint, error.exit_code)


def worst(findings: Iterable[Finding]) -> int:
    """Return the exit code of the worst finding, 0 when nothing stops a deploy."""
    codes = {each.code for each in findings if each.state == "wrong"}
    return next((each for each in _WORST_FIRST if each in codes), exits.GENERAL if codes else 0)


def refuse(findings: Sequence[Finding], hint: str) -> None:
    """Refuse to begin when something would stop a deploy half-way.

    Args:
        findings: What was found.
        hint: What to run to see everything.

    Raises:
        OpsError: Something is wrong; of the class of the worst finding, with one line for each.
    """
    wrong = [each for each in findings if each.state == "wrong"]
    if not wrong:
        return
    kind = _ERRORS[worst(wrong)]
    if len(wrong) == 1:
        only = wrong[0]
        raise kind(f"{only.where}: {only.check}: {only.found}", hint=only.hint or hint)
    lines = [f"{each.where}: {each.check}: {each.found}" for each in wrong]
    raise kind(f"{len(wrong)} findings stop this before it begins", why="\n".join(lines), hint=hint)
