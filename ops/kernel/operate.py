"""The way of every changing task: observe, plan, show, confirm, lock, observe again, journal, steps, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ops
from ops.kernel import exits, journal, policy, recovery, session, steps, terminal
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, StepFailed
from ops.kernel.invocation import Invocation
from ops.kernel.lock import Held, Lock
from ops.kernel.plan import SCHEMA, Plan
from ops.kernel.report import Report
from ops.kernel.store import State, open_state

LockOf = Callable[[Context], Lock]


def operate(
    call: Invocation, make: Callable[..., Plan], lock_of: LockOf | None, arguments: dict[str, Any]
) -> Report:
    """Run one operation from its plan to its report.

    Args:
        call: The task's call.
        make: `(context, **arguments) -> Plan`; it only reads.
        lock_of: Gives the lock of the target; None when the operation needs none.
        arguments: Handed to `make`.

    Raises:
        OpsError: Whatever failed, after undo.
    """
    context = call.context()
    policy.permit(call.task.level, call.name, call.settings)
    plan = _made(context, make, arguments)
    steps.check_references(plan.steps)
    if plan.nothing and call.options.dry_run:
        return replace(_nothing(plan), status="dry-run", exit_code=exits.DRY_RUN)
    if plan.nothing:
        _close_dead_runs(call)
        return _nothing(plan)
    if call.options.plan and call.options.plan != plan.digest:
        raise ConfigurationError(
            f"the plan is {plan.digest} now, not {call.options.plan}",
            why="the target or the arguments have changed",
            hint="look at the dry run again",
        )
    _show(call, plan)
    if call.options.dry_run:
        return Report(
            "dry run: nothing was changed",
            status="dry-run",
            facts={"plan": plan.digest},
            hints=(f"run exactly this with --plan {plan.digest}",),
            data={"plan": plan.to_json(), "digest": plan.digest, "seen": dict(plan.seen)},
            exit_code=exits.DRY_RUN,
        )
    policy.confirm(plan, call.settings, call.options)
    if lock_of is None:
        return _run(call, lambda _: plan, None)
    with session.hold(call, lock_of(context)) as held:
        return _run(
            call,
            lambda followed: _agreed(call, plan, _made(context, make, arguments), followed),
            held,
        )


def _made(context: Context, make: Callable[..., Plan], arguments: dict[str, Any]) -> Plan:
    """Return the plan, with the hosts that it leaves alone: they are kept with the run."""
    return replace(make(context, **arguments), left_out=dict(context.settings.left_out))


def _nothing(plan: Plan) -> Report:
    what, data = f"nothing to change: {plan.nothing}", {"environment": plan.environment}
    return Report(what, status="nothing", data=data)


def _show(call: Invocation, plan: Plan) -> None:
    if call.format != "json" and not call.options.quiet:
        terminal.show_plan(plan, call.out)


def _close_dead_runs(call: Invocation) -> None:
    state = call.state()
    if state is not None:
        with state:
            recovery.supersede(call, state)


def _agreed(call: Invocation, shown: Plan, now: Plan, followed: bool) -> Plan:
    """Return the plan as it is under the lock: the one that was shown, or one that was to be expected and is agreed to.

    Args:
        call: The task's call.
        shown: The plan that was agreed to.
        now: As it is under the lock.
        followed: Whether a dead run was closed: what it had begun on a host may have gone on until then.
    """
    if now.digest == shown.digest or now.nothing:
        return now
    if not (call.options.wait or followed) or call.options.plan:
        raise StepFailed(
            "the target has changed since the plan was shown; nothing was changed",
            hint="run it again and look at the new plan",
        )
    # Whoever waits for another run, or comes after one that was killed, expects that it changes the target.
    _show(call, now)
    policy.confirm(now, call.settings, call.options)
    return now


def _run(call: Invocation, plan_now: Callable[[bool], Plan], held: Held | None) -> Report:
    state = open_state(call.settings, create=True)
    assert state is not None
    with state:
        plan = plan_now(recovery.supersede(call, state))  # what dead runs left behind was ended
        if plan.nothing:
            return _nothing(plan)
        run_id = _begin(call, state, plan)
        with session.session(call, state, plan, run_id, held) as opened:
            return session.carry_out(opened)


def _begin(call: Invocation, state: State, plan: Plan) -> str:
    context = call.context()
    run = journal.NewRun(
        task=call.name,
        operation=plan.operation,
        environment=plan.environment,
        target=plan.target,
        actor=context.actor,
        invops_version=ops.__version__,
        plan_schema=SCHEMA,
        plan=plan.to_json(),
        seen=plan.digest,
    )
    new = [journal.NewStep(step.id, step.action, dict(step.arguments)) for step in plan.steps]
    return journal.Journal(state).begin(run, new)
