"""Everything around a run: its log, its observers, its heartbeat, its audit records and its end."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops.kernel import audit, engine, exits, log, redact, terminal
from ops.kernel.context import Context
from ops.kernel.errors import Interrupted, OpsError, Unsettled
from ops.kernel.events import Event, Observer
from ops.kernel.invocation import Invocation
from ops.kernel.journal import Journal
from ops.kernel.lock import Held
from ops.kernel.plan import Plan
from ops.kernel.records import RunState
from ops.kernel.report import Report
from ops.kernel.signals import Abandoned, Signals
from ops.kernel.store import State

HEARTBEAT = 5.0
"""Seconds between two heartbeats; a run is free to take after three are missing."""

EXTRA_OBSERVERS: list[Observer] = []
"""Observers of every run besides log, screen and audit: plug-ins and the fault tests."""


@dataclass(frozen=True)
class Session:
    """An open run: the engine's run and what the end needs."""

    run: engine.Run
    audit: audit.Audit
    log: log.RunLog
    began: float


@contextmanager
def session(call: Invocation, state: State, plan: Plan, run_id: str, held: Held | None) -> Iterator[Session]:
    """Open log, observers, heartbeat and signals for a run that is in the journal already."""
    settings = call.settings
    level = settings.options.log_level.upper() or log.KIND_LEVELS.get(call.task.kind, "INFO")
    run_log = log.RunLog(settings.ops_folder / "logs" / f"{run_id}.log", call.name, level)
    shown = "DEBUG" if call.options.verbose else "ERROR" if call.options.quiet else level
    plain = log.console(sys.stderr, call.name, shown, "json" if call.format == "json" else "text")
    screen = plain if call.format == "json" or call.options.verbose or call.options.quiet else terminal.observer(sys.stderr, plain)
    observers: list[Observer] = [run_log.observe, screen, *EXTRA_OBSERVERS]

    def announce(event: Event) -> None:
        for observe in observers:
            observe(event)

    context = dataclasses.replace(call.context(), run_id=run_id, output=run_log.output, announce=announce)
    journal = Journal(state)
    with Signals() as signals, _heartbeat(journal, run_id):
        run = engine.Run(run_id, plan, context, journal, held, signals, run_log.offset)
        try:
            yield Session(run, audit.Audit(state), run_log, time.monotonic())
        finally:
            run_log.close()


@contextmanager
def _heartbeat(journal: Journal, run_id: str) -> Iterator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT):
            journal.heartbeat(run_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def carry_out(opened: Session, work: Callable[[engine.Run], None]) -> Report:
    """Do the work of a run and bring it to an end: done, undone, stopped, or left to another process.

    Args:
        opened: The open run.
        work: `engine.execute`, or another way through the steps.

    Returns:
        The report of success.

    Raises:
        OpsError: The failure, after undo.
        Interrupted: After a second signal, with what to run next.
    """
    run = opened.run
    _record(opened, "started")
    run.announce("run.started", message=f"{run.plan.operation} {run.plan.environment}")
    try:
        work(run)
    except OpsError as error:
        raise _after_failure(opened, error) from error
    except Abandoned as abandoned:
        raise Interrupted(
            f"left as it is by a second signal: run {run.id}",
            signal_number=abandoned.signal_number,
            hint=f"go on with `inv runs.resume {run.id}` or `inv runs.undo {run.id}`",
        ) from abandoned
    _finish(opened, "done", exits.OK, "")
    run.announce("run.done", message=f"{run.plan.operation} {run.plan.environment}")
    seconds = time.monotonic() - opened.began
    return Report(
        summary=f"{run.plan.operation} {run.plan.environment}: done in {seconds:.1f} s",
        facts={"run": run.id, "log": str(opened.log.path)},
        data={"run": run.id, "seconds": round(seconds, 3), "results": run.results, "log": str(opened.log.path)},
    )


def _after_failure(opened: Session, error: OpsError) -> OpsError:
    """Undo what was started, unless an irreversible step forbids it; return the error to show."""
    run = opened.run
    run.announce("run.failed", message=str(error))
    in_the_way = None
    if not isinstance(error, Unsettled):
        try:
            in_the_way = engine.stands_in_the_way(run)
        except Exception as unknown:  # the database may be what failed: then nothing is undone
            return _stopped(opened, error, f"its state is unknown ({unknown})")
    if isinstance(error, Unsettled) or in_the_way is not None:
        reason = f"{in_the_way.title} cannot be undone" if in_the_way else "a step stopped halfway"
        return _stopped(opened, error, reason)
    try:
        failed = engine.undo(run)
    except Abandoned as abandoned:
        hint = f"go on with `inv runs.undo {run.id}`"
        return Interrupted("undo left by a signal", signal_number=abandoned.signal_number, hint=hint)
    if failed:
        _finish(opened, "undo_failed", exits.GENERAL, str(error))
        return OpsError(str(error), why=f"and undo failed for {', '.join(failed)}", hint=f"inv runs.show {run.id}")
    _finish(opened, "undone", error.exit_code, str(error))
    run.announce("run.undone", message=f"{run.plan.operation} {run.plan.environment}")
    error.hint = error.hint or f"inv runs.show {run.id}"
    return error


def _stopped(opened: Session, error: OpsError, reason: str) -> OpsError:
    run = opened.run
    _finish(opened, "stopped", exits.GENERAL, str(error))
    backup = next((r["path"] for r in run.results.values() if isinstance(r, dict) and r.get("path")), "")
    hint = f"inv runs.show {run.id}" + (f"; the backup before it: {backup}" if backup else "")
    return OpsError(str(error), why=f"nothing was undone because {reason}", hint=hint)


def _finish(opened: Session, state: RunState, code: int, error: str) -> None:
    run = opened.run
    run.journal.finish(run.id, state, code, redact.CENTRAL.text(error))
    _record(opened, state)


def _record(opened: Session, result: str) -> None:
    plan = opened.run.plan
    opened.audit.append(
        opened.run.context.actor, plan.operation, f"{plan.environment}: {plan.target}", result, {"run": opened.run.id}
    )
