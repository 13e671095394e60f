"""The project's own tests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from ops.kernel import exits
from ops.kernel.task import WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report

_SHOWN: Final = 30
"""Failed tests that are named."""


@task(
    level=WRITE,
    kind="test",
    help={
        "install": "Install the system packages that the tests lack (always with CI=true).",
        "session": "Only this nox session; may be repeated.",
    },
    iterable=["session"],
)
def test(call: Invocation, install: bool = False, session: list[str] | None = None) -> Report:
    """Run every check and test of invops itself: lint, types, tests, integration, faults, coverage."""
    from ops import testing
    from ops.hosts import runner
    from ops.kernel.report import Report
    from ops.kernel.settings import environ

    preparation = testing.prepare(install=install or environ.flag("CI"), sessions=session or [])
    if call.options.dry_run:
        commands = [*preparation.commands, testing.nox_command("python", preparation.sessions)]
        lines = [" ".join(command) for command in commands]
        return Report(
            "\n".join(["would run:", *(f"  {line}" for line in lines)]),
            status="dry-run",
            data={"missing": list(preparation.missing), "commands": lines},
            exit_code=exits.DRY_RUN,
        )
    code = testing.run(
        preparation,
        announce=lambda text: print(text, file=sys.stderr, flush=True),
        execute=runner.foreground,
    )
    if code == exits.OK:
        return Report("all sessions passed", data={"sessions": list(preparation.sessions)})
    failed = testing.failed()
    names = [f"  {each}" for each in failed[:_SHOWN]]
    names += [f"  and {len(failed) - _SHOWN} more"] if len(failed) > _SHOWN else []
    return Report(
        "\n".join(["a session failed", *(["tests that failed last:", *names] if names else [])]),
        status="error",
        hints=("see its output above; one session alone: inv test --session NAME",),
        data={"sessions": list(preparation.sessions), "failed": failed},
        exit_code=code,
    )
