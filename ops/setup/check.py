"""`inv setup.check`: looks at everything at once, each check for a limited time, and changes nothing."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

from ops.kernel import exits, redact
from ops.kernel import settings as kernel_settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, OpsError
from ops.kernel.report import Report, Table
from ops.kernel.secrets import Secrets
from ops.kernel.settings.faults import WrongSettings
from ops.setup.checks import machine, services
from ops.setup.checks.result import Check, Machine, Result

LIMIT: Final = 1.3
"""Seconds that a check may take; all run at the same time, so this is also the whole."""

CHECKS: Final = (
    Check("Python", machine.python, exits.DEPENDENCY),
    Check("git", machine.git, exits.DEPENDENCY),
    Check("tools", machine.programs, exits.DEPENDENCY),
    Check("disk", machine.disk, exits.DEPENDENCY),
    Check("service user", machine.service_user, exits.DEPENDENCY),
    Check("secrets", services.secrets, exits.CONFIGURATION),
    Check("ports", services.free_ports, exits.CONFIGURATION),
    Check("state", services.state, exits.CONNECTION),
    Check("daemon", services.daemon, exits.CONNECTION),
    Check("database", services.database, exits.CONNECTION),
)
_WORST_FIRST: Final = (exits.CONFIGURATION, exits.DEPENDENCY, exits.CONNECTION)


def run(environment: str = "") -> Report:
    """Check this machine for an environment; wrong settings are a result like others.

    Args:
        environment: Its name; empty: ENVIRONMENT, then the default in ops.toml.
    """
    began = time.monotonic()
    try:
        settings = kernel_settings.load(environment)
    except WrongSettings as error:
        faults = [
            Result("settings", "wrong", str(each), code=exits.CONFIGURATION)
            for each in error.faults
        ]
        faults[-1] = dataclasses.replace(faults[-1], command="inv config.check")
        return report(faults, "", began)
    except ConfigurationError as error:
        missing = Result("settings", "missing", str(error), "invops init", exits.CONFIGURATION)
        return report([missing], "", began)
    services_of = ", ".join(settings.services) or "none"
    counts = f"right: services {services_of}; environments {', '.join(settings.environments)}"
    context = Context(settings, Secrets(settings.folder), Deadline(LIMIT))
    found = look(CHECKS, Machine(context), LIMIT)
    return report([Result("settings", "ok", counts), *found], settings.name, began)


def look(checks: Sequence[Check], here: Machine, limit: float) -> list[Result]:
    """Run checks at the same time; one that hangs is named and left behind.

    Args:
        checks: Which.
        here: What they look at.
        limit: Seconds for all of them.
    """
    answers: dict[int, list[Result]] = {}

    def work(number: int, check: Check) -> None:
        answers[number] = _answer(check, here)

    # Daemon threads: a pool would wait for the hanging one when the process ends.
    threads = [
        threading.Thread(target=work, args=(number, check), daemon=True, name=check.name)
        for number, check in enumerate(checks)
    ]
    end = time.monotonic() + limit
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return [
        each
        for at, check in enumerate(checks)
        for each in answers.get(at) or _late(at, check, answers, limit)
    ]


def report(results: Sequence[Result], environment: str, began: float) -> Report:
    """Turn results into the task's answer; the code of wrong settings wins, then what is missing.

    Args:
        results: All of them.
        environment: For which environment, empty when the settings could not be read.
        began: Moment on the monotonic clock.
    """
    codes = {each.code for each in results}
    code = next(
        (each for each in _WORST_FIRST if each in codes), exits.GENERAL if codes - {0} else exits.OK
    )
    commands = dict.fromkeys(each.command for each in results if each.command)
    return Report(
        summary=_summary(results, environment),
        status="ok" if code == exits.OK else "difference",
        tables=[
            Table(
                ("check", "state", "found"),
                [(e.name, e.state, redact.text(e.found)) for e in results],
            )
        ],
        hints=list(commands),
        data={
            "environment": environment,
            "seconds": round(time.monotonic() - began, 3),
            "checks": [dataclasses.asdict(e) | {"found": redact.text(e.found)} for e in results],
        },
        exit_code=code,
    )


def _answer(check: Check, here: Machine) -> list[Result]:
    try:
        return list(check.look(here))
    except OpsError as error:
        return [Result(check.name, "wrong", str(error), error.hint, error.exit_code)]
    except Exception as error:  # a check that breaks must not hide the others
        return [
            Result(
                check.name,
                "wrong",
                f"cannot be checked: {type(error).__name__}: {error}",
                code=check.code,
            )
        ]


def _late(
    number: int, check: Check, answers: dict[int, list[Result]], limit: float
) -> Iterable[Result]:
    if number in answers:  # it had nothing to say
        return []
    return [Result(check.name, "wrong", f"no answer within {limit:g} s", code=check.code)]


def _summary(results: Sequence[Result], environment: str) -> str:
    counts = {
        state: sum(each.state == state for each in results)
        for state in ("missing", "wrong", "warning")
    }
    said = ", ".join(
        f"{count} {state}{'s' if state == 'warning' and count > 1 else ''}"
        for state, count in counts.items()
        if count
    )
    if not environment:
        return f"{said}; everything else is checked once the settings are right"
    return f"{environment}: {said}" if said else f"{environment}: nothing is missing"
