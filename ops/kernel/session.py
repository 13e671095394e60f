"""Everything around a run: its log, its observers, its heartbeat, its audit records and its end."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ops.kernel import audit, engine, exits, log, redact, terminal
from ops.kernel.errors import Interrupted, OpsError, StepFailed, TakenOver, Unsettled
from ops.kernel.events import Event, Observer
from ops.kernel.history import History
from ops.kernel.invocation import Invocation
from ops.kernel.journal import Journal
from ops.kernel.lock import Held, Lock
from ops.kernel.plan import Plan
from ops.kernel.records import RunState
from ops.kernel.report import Report
from ops.kernel.settings import environ
from ops.kernel.signals import Abandoned, Signals
from ops.kernel.store import State

HEARTBEAT = 5.0
"""Seconds between two heartbeats; a run is free to take after three are missing."""

WAIT = 900.0
"""Seconds that `--wait` waits for a living holder of the lock."""

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
def hold(call: Invocation, lock: Lock) -> Iterator[Held]:
    """Hold the lock of the target, waiting for it if the call says so.

    Raises:
        Busy: Somebody else holds it.
    """
    wait = WAIT if call.options.wait else 0.0
    holder = lock.holder() if wait else None
    if holder is not None and not call.options.quiet:
        who = f"{holder.owner} ({holder.task}, process {holder.pid})"
        announce = log.console(sys.stderr, call.name, "INFO", call.format)
        announce(Event("note", message=f"waiting up to {wait / 60:g} min for {who}"))
    with lock.hold(call.name, call.context().actor, wait) as held:
        yield held


@contextmanager
def session(
    call: Invocation, state: State, plan: Plan, run_id: str, held: Held | None
) -> Iterator[Session]:
    """Open log, observers, heartbeat and signals for a run that is in the journal already.

    Raises:
        Interrupted: A second signal came; the journal says what is left to do.
        TakenOver: Another process has the lock or the run now; nothing more was touched.
    """
    settings = call.settings
    level = settings.options.log_level.upper() or log.KIND_LEVELS.get(call.task.kind, "INFO")
    run_log = log.RunLog(settings.ops_folder / "logs" / f"{run_id}.log", call.name, level)
    announce = _announcer([run_log.observe, _screen(call, level), *EXTRA_OBSERVERS])
    context = dataclasses.replace(
        call.context(),
        run_id=run_id,
        output=run_log.output,
        announce=announce,
        history=History(state),
    )
    journal = Journal(state)
    with Signals() as signals, _heartbeat(journal, run_id):
        run = engine.Run(run_id, plan, context, journal, held, signals, run_log.offset)
        opened = Session(run, audit.Audit(state), run_log, time.monotonic())
        try:
            yield opened
        except Abandoned as abandoned:
            run.announce("run.left", message=f"{plan.operation} {plan.environment}")
            raise Interrupted(
                f"left as it is by a second signal: run {run_id}",
                signal_number=abandoned.signal_number,
                hint=f"go on with `inv runs.resume {run_id}` or `inv runs.undo {run_id}`",
            ) from abandoned
        except TakenOver as error:
            with contextlib.suppress(
                OpsError
            ):  # of a run that is not ours the journal takes nothing more
                _finish(opened, "stopped", exits.GENERAL, str(error))
            raise
        finally:
            run_log.close()


def _screen(call: Invocation, level: str) -> Observer:
    options = call.options
    shown = "DEBUG" if options.verbose else "ERROR" if options.quiet else level
    plain = log.console(sys.stderr, call.name, shown, call.format)
    lines_only = call.format == "json" or options.verbose or options.quiet
    return plain if lines_only else terminal.observer(sys.stderr, plain)


def _announcer(observers: list[Observer]) -> Observer:
    def announce(event: Event) -> None:
        for observe in observers:
            # A terminal that was closed or a full disk must not stop a run, least of all its undo.
            with contextlib.suppress(OSError):
                observe(event)

    return announce


@contextmanager
def _heartbeat(journal: Journal, run_id: str) -> Iterator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT):
            with contextlib.suppress(
                OpsError
            ):  # the next one may succeed; a step says what is wrong
                journal.heartbeat(run_id)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def carry_out(opened: Session) -> Report:
    """Do every step that is not done yet and bring the run to an end: done, undone or stopped.

    Returns:
        The report of success.

    Raises:
        OpsError: The failure, after undo.
    """
    run = opened.run
    _record(opened, "started")
    run.announce("run.started", message=f"{run.plan.operation} {run.plan.environment}")
    try:
        engine.execute(run)
    except TakenOver:
        raise
    except OpsError as error:
        raise _after_failure(opened, error) from error
    _finish(opened, "done", exits.OK, "")
    run.announce("run.done", message=f"{run.plan.operation} {run.plan.environment}")
    return _success(opened, "done", {"results": run.results})


def take_back(opened: Session) -> Report:
    """Undo every step that was started, and end the run.

    Raises:
        OpsError: An irreversible step is in the way, or an undo failed.
    """
    run = opened.run
    _record(opened, "undo started")
    run.announce("run.started", message=f"undo {run.plan.operation} {run.plan.environment}")
    step = engine.stands_in_the_way(run)
    if step is not None:
        _finish(opened, "interrupted", exits.GENERAL, f"{step.title} cannot be undone")
        raise Unsettled(
            f"nothing was undone: {step.title} cannot be undone",
            hint=f"inv runs.resume {run.id}, or a new run",
        )
    failed = engine.undo(run)
    if failed:
        _finish(opened, "undo_failed", exits.GENERAL, f"undo failed for {', '.join(failed)}")
        raise StepFailed(f"undo failed for {', '.join(failed)}", hint=f"inv runs.show {run.id}")
    _finish(opened, "undone", exits.OK, "")
    run.announce("run.undone", message=f"{run.plan.operation} {run.plan.environment}")
    return _success(opened, "undone", {})


def _success(opened: Session, state: str, data: dict[str, object]) -> Report:
    run, seconds = opened.run, time.monotonic() - opened.began
    facts = {"run": run.id, "log": str(opened.log.path)}
    # The head of the audit trail belongs where this machine cannot change it, such as the log of a CI system.
    head = {"audit head": str(opened.audit.head())}
    return Report(
        summary=f"{run.plan.operation} {run.plan.environment}: {state} in {seconds:.1f} s",
        facts={**facts, **(head if environ.get("CI") else {})},
        data={**facts, **head, "seconds": round(seconds, 3), **data},
    )


def _after_failure(opened: Session, error: OpsError) -> OpsError:
    """Undo what was started, unless an irreversible step forbids it; return the error to show."""
    run = opened.run
    run.announce("run.failed", message=str(error))
    if isinstance(error, Unsettled):
        return _stopped(opened, error, "a step stopped halfway")
    try:
        in_the_way = engine.stands_in_the_way(run)
    except Exception as unknown:  # the database may be what failed: then nothing is undone
        return _stopped(opened, error, f"its state is unknown ({unknown})")
    if in_the_way is not None:
        return _stopped(opened, error, f"{in_the_way.title} cannot be undone")
    failed = engine.undo(run)
    if failed:
        _finish(opened, "undo_failed", exits.GENERAL, str(error))
        hint = f"inv runs.show {run.id}, then inv runs.undo {run.id}"
        return OpsError(str(error), why=f"and undo failed for {', '.join(failed)}", hint=hint)
    _finish(opened, "undone", error.exit_code, str(error))
    run.announce("run.undone", message=f"{run.plan.operation} {run.plan.environment}")
    error.hint = error.hint or f"inv runs.show {run.id}"
    return error


def _stopped(opened: Session, error: OpsError, reason: str) -> OpsError:
    run = opened.run
    _finish(opened, "stopped", exits.GENERAL, str(error))
    results = [each for each in run.results.values() if isinstance(each, dict)]
    restore = next((each["restore"] for each in results if each.get("restore")), "")
    hint = f"inv runs.show {run.id}" + (f"; the database as it was: {restore}" if restore else "")
    return OpsError(str(error), why=f"nothing was undone because {reason}", hint=hint)


def _finish(opened: Session, state: RunState, code: int, error: str) -> None:
    run = opened.run
    run.journal.finish(run.id, state, code, redact.CENTRAL.text(error))
    _record(opened, state)


def _record(opened: Session, result: str) -> None:
    plan = opened.run.plan
    opened.audit.append(
        opened.run.context.actor,
        plan.operation,
        f"{plan.environment}: {plan.target}",
        result,
        {"run": opened.run.id, **plan.recorded},
    )
