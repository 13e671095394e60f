"""Tasks without an application for the test Program: a plan with a group, its resume and its undo."""

from __future__ import annotations

from invoke.collection import Collection

from ops.kernel import recovery
from ops.kernel.context import Context
from ops.kernel.invocation import Invocation
from ops.kernel.plan import Plan, Ref
from ops.kernel.report import Report
from ops.kernel.task import WRITE, task
from tests.support import runs

FILES = ("first", "left", "middle", "right", "last")


def grouped_plan(context: Context, failing: bool) -> Plan:
    """Plan five files, three of them at the same time, and maybe a failure at the end."""
    steps = [
        runs.write.step("first", name="first", text="a"),
        *(runs.write.step(name, group="side", name=name, text="a") for name in FILES[1:4]),
        runs.write.step("last", name="last", text=Ref("write:middle", "path")),
        *([runs.fail.step(reason="the test")] if failing else []),
    ]
    return Plan("grouped", context.settings.name, "files", tuple(steps))


@task(level=WRITE, kind="deploy", help={"failing": "Fail at the end."})
def grouped(call: Invocation, failing: bool = False) -> Report:
    """Write the files."""
    return call.operate(grouped_plan, lock=runs.lock_of, failing=failing)


@task(level=WRITE, kind="deploy", help={"run_id": "Which run."})
def resume(call: Invocation, run_id: str) -> Report:
    """Finish a run."""
    return recovery.resume(call, run_id, runs.lock_of)


@task(level=WRITE, kind="deploy", help={"run_id": "Which run."})
def undo(call: Invocation, run_id: str) -> Report:
    """Take a run back."""
    return recovery.undo(call, run_id, runs.lock_of)


def collection() -> Collection:
    """Return the tasks."""
    made = Collection()
    for each in (grouped, resume, undo):
        made.add_task(each)
    return made
