"""Runs the steps of a plan: intent before effect, undo in reverse, everything announced.

The journal row "started" is committed before a step acts and "done" after it. Whatever kills the process in
between, another process can go on from the journal (`recovery`).
"""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ops.kernel import steps
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import OpsError, StepFailed
from ops.kernel.events import Event
from ops.kernel.journal import Journal
from ops.kernel.lock import Held
from ops.kernel.plan import Plan, Step
from ops.kernel.signals import Signals

DONE = ("done", "skipped")
TOUCHED = ("started", "done", "failed", "undoing", "undo_failed")


@dataclass
class Run:
    """A plan on its way.

    Args:
        id: Identifier in the journal.
        plan: The plan.
        context: Surroundings; each step gets a copy with its own time limit.
        journal: Where every step is recorded.
        held: The lock, None for an operation that needs none.
        signals: Says whether a person wants it to stop.
        log_offset: Returns the length of the run's log, in bytes.
        states: State of each step that has one.
        results: Recorded results, for references.
    """

    id: str
    plan: Plan
    context: Context
    journal: Journal
    held: Held | None
    signals: Signals
    log_offset: Callable[[], int]
    states: dict[str, str] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)

    def announce(self, kind: str, step: str = "", message: str = "", **data: Any) -> None:
        """Tell the observers."""
        self.context.announce(Event(kind, self.id, step, message, data))


def execute(run: Run) -> None:
    """Carry out every step that is not done yet.

    Raises:
        OpsError: A step failed; nothing is undone here.
    """
    for group in run.plan.groups():
        run.signals.check()
        if run.held is not None:
            run.held.check()
        waiting = [step for step in group if run.states.get(step.id) not in DONE]
        _together(waiting, lambda step: _perform(run, step))
        run.signals.settle()
    run.signals.check()


def undo(run: Run) -> list[str]:
    """Take back every step that was started, in reverse, the steps of a group at the same time.

    Returns:
        Ids of the steps whose undo failed; the others were undone all the same.

    Raises:
        TakenOver: Somebody else works on the target now.
    """
    failed: list[str] = []
    for group in reversed(list(run.plan.groups())):
        if run.held is not None:
            run.held.check()
        touched = [step for step in group if run.states.get(step.id) in TOUCHED]
        _together(touched, lambda step: _take_back(run, step, failed))
    return failed


def stands_in_the_way(run: Run) -> Step | None:
    """Return the irreversible step after which the old version does not work, None when undo may go ahead."""
    for step in run.plan.steps:
        if step.reversible or run.states.get(step.id) not in TOUCHED:
            continue
        action = steps.find(step.action)
        result = run.results.get(step.id)
        if result is None and action.check is not None:
            arguments = steps.resolve(dict(step.arguments), run.results)
            done = action.check(_context(run, step), **arguments)
            result = steps.result_json(done.result) if done else None
        if result is not None and not result.get("compatible", False):
            return step
    return None


def _perform(run: Run, step: Step) -> None:
    action = steps.find(step.action)
    context = _context(run, step)
    try:
        arguments = steps.resolve(dict(step.arguments), run.results)
        done = action.check(context, **arguments) if action.check else None
        if done is not None and run.states.get(step.id) not in TOUCHED:
            _skip(run, step, done)
            return
        run.journal.step_started(run.id, step.id, run.log_offset())
        run.states[step.id] = "started"
        run.announce(
            "step.started", step.id, step.title, limit=step.limit, deadline=context.deadline
        )
        if action.interruptible:
            run.signals.interruptible(context.deadline)
        # A look-first that finds what a killed process of this run did: it is ours, and undo must take it back.
        made = action.function(context, **arguments) if done is None else done.result
        result = steps.result_json(made)
        run.announce("step.acted", step.id, step.title)
        context.deadline.check(step.title)
        run.journal.step_done(run.id, step.id, result)
        run.states[step.id], run.results[step.id] = "done", result
        run.announce("step.done", step.id, step.title)
    except Exception as error:
        failure = _failure(run, step, error)
        run.journal.step_failed(run.id, step.id, str(failure))
        run.states[step.id] = "failed" if run.states.get(step.id) == "started" else "pending"
        run.announce("step.failed", step.id, step.title, error=str(failure))
        raise failure from error


def _skip(run: Run, step: Step, done: steps.Done) -> None:
    result = steps.result_json(done.result)
    run.journal.step_skipped(run.id, step.id, done.note, result)
    run.states[step.id], run.results[step.id] = "skipped", result
    run.announce("step.skipped", step.id, step.title, note=done.note)


def _take_back(run: Run, step: Step, failed: list[str]) -> None:
    action = steps.find(step.action)
    if action.undo is None:
        return
    run.journal.step_undoing(run.id, step.id)
    run.states[step.id] = "undoing"
    run.announce("step.undoing", step.id, step.title)
    try:
        arguments = steps.resolve(dict(step.arguments), run.results)
        action.undo(_context(run, step), run.results.get(step.id), **arguments)
    except Exception as error:
        failure = _failure(run, step, error)
        failed.append(step.id)
        run.journal.step_undo_failed(run.id, step.id, str(failure))
        run.states[step.id] = "undo_failed"
        run.announce("step.undo_failed", step.id, step.title, error=str(failure))
        return
    run.journal.step_undone(run.id, step.id)
    run.states[step.id] = "undone"
    run.announce("step.undone", step.id, step.title)


def _context(run: Run, step: Step) -> Context:
    return dataclasses.replace(
        run.context,
        run_id=run.id,
        step_id=step.id,
        deadline=Deadline(step.limit),
        child=lambda group, started: run.journal.child(run.id, step.id, group, started),
    )


def _failure(run: Run, step: Step, error: Exception) -> OpsError:
    """Return the error of the tree; the traceback of any other goes to the run's log."""
    if isinstance(error, OpsError):
        return error
    run.context.output("".join(traceback.format_exception(error)).encode())
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return StepFailed(
        f"{step.title}: unexpected error",
        why=f"{type(error).__name__}: {text}",
        hint=f"inv runs.show {run.id}",
    )


def _together(group: Sequence[Step], work: Callable[[Step], None]) -> None:
    """Do the work for one step here, for several at the same time; all end before the first error is raised."""
    if len(group) <= 1:
        for step in group:
            work(step)
        return
    with ThreadPoolExecutor(len(group)) as pool:
        jobs = [pool.submit(work, step) for step in group]
    for job in jobs:
        job.result()
