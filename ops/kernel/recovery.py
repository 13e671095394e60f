"""Go on with a run that lost its process: resume it, undo it, or clear up before a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import ops
from ops.kernel import engine, exits, policy, processes, records, session, settings, terminal
from ops.kernel.errors import Busy, ConfigurationError
from ops.kernel.invocation import Invocation
from ops.kernel.journal import Journal, Run
from ops.kernel.plan import SCHEMA, Plan
from ops.kernel.report import Report
from ops.kernel.settings import limit
from ops.kernel.store import State

if TYPE_CHECKING:
    from ops.kernel.operate import LockOf


def supersede(call: Invocation, state: State) -> bool:
    """Before a new run: end what dead runs of this environment left behind and close them in the journal.

    Returns:
        Whether there was one: what it had begun may have gone on while the new run was planned.
    """
    journal, found = Journal(state), False
    for run in journal.unfinished(call.settings.name):
        if journal.take(run.id):
            found = True
            end_left_overs(journal, run)
            journal.finish(
                run.id, "interrupted", exits.GENERAL, "its process ended; a newer run took over"
            )
    return found


def end_left_overs(journal: Journal, run: Run) -> None:
    """End the process groups that a dead run's steps started."""
    for step in journal.steps(run.id):
        if step.process_group and step.state in ("started", "undoing"):
            processes.end_group(step.process_group, step.process_started or 0.0)


def resume(call: Invocation, run_id: str, lock_of: LockOf) -> Report:
    """Finish a run whose process is gone: steps that are done stay done.

    Args:
        call: The task's call; without `--env` it gets the run's environment.
        run_id: Which run.
        lock_of: Gives the lock of the environment.

    Raises:
        ConfigurationError: Unknown, finished, followed by another run, or of another version.
        Busy: The lock is held, perhaps by this very run.
    """
    return _continue(call, run_id, "resume", lock_of)


def undo(call: Invocation, run_id: str, lock_of: LockOf) -> Report:
    """Take back every step that a dead run started; see `resume`."""
    return _continue(call, run_id, "undo", lock_of)


def _continue(
    call: Invocation, run_id: str, verb: Literal["resume", "undo"], lock_of: LockOf
) -> Report:
    state = call.state()
    if state is None:
        raise ConfigurationError(f"there is no run {records.plain(run_id)}", hint="inv runs.list")
    with state:
        journal = Journal(state)
        run = journal.get(run_id)
        _choose_environment(call, run, verb)
        _check(journal, run, verb)
        plan = Plan.from_json(run.plan)
        call.settings = limit.without(call.settings, plan.left_out)
        policy.permit(call.task.level, call.name, call.settings)
        if call.format != "json" and not call.options.quiet:
            terminal.show_plan(plan, call.out)
        if call.options.dry_run:
            summary = f"dry run: would {verb} run {run.id}"
            return Report(summary, status="dry-run", data={"run": run.id}, exit_code=exits.DRY_RUN)
        policy.confirm(plan, call.settings, call.options)
        with session.hold(call, lock_of(call.context())) as held:
            if not journal.take(run.id):
                raise Busy(f"run {run.id} is still alive", hint=f"inv runs.show {run.id}")
            end_left_overs(journal, run)
            with session.session(call, state, plan, run.id, held) as opened:
                _restore(opened.run, journal)
                return session.carry_out(opened) if verb == "resume" else session.take_back(opened)


def _choose_environment(call: Invocation, run: Run, verb: str) -> None:
    if call.options.env not in ("", run.environment):
        raise ConfigurationError(
            f"run {run.id} belongs to {run.environment}", hint=f"inv runs.{verb} {run.id}"
        )
    if call.settings.name != run.environment:
        call.settings = settings.load(run.environment)


def _check(journal: Journal, run: Run, verb: str) -> None:
    if run.dry_run or run.state not in records.TAKEABLE:
        raise ConfigurationError(
            f"run {run.id} is {run.state}, there is nothing to {verb}", hint="inv runs.list"
        )
    newer = [each for each in journal.recent(1, run.environment) if each.id != run.id]
    if newer:
        raise ConfigurationError(
            f"run {run.id} was followed by {newer[0].id}",
            why="the target has moved on",
            hint="start a new run",
        )
    if (run.invops_version, run.plan_schema) != (ops.__version__, SCHEMA):
        raise ConfigurationError(
            f"run {run.id} was planned by invops {run.invops_version}, this is {ops.__version__}",
            hint="use that version, or start a new run",
        )


def _restore(run: engine.Run, journal: Journal) -> None:
    for step in journal.steps(run.id):
        if step.state != "pending":
            run.states[step.step_id] = step.state
        if step.result is not None:
            run.results[step.step_id] = step.result
