"""The journal: what a run intends, is doing and did, committed before and after every effect.

Each call is one committed transaction. A step's change names the states it may come from and the
process that owns the run, so a process whose run was taken over is stopped at its next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ops.kernel import guard, owner, records
from ops.kernel.errors import ConfigurationError, OpsError, TakenOver
from ops.kernel.owner import Owner
from ops.kernel.records import STALE_SECONDS, NewRun, NewStep, Run, RunState, StepRecord, StepState
from ops.kernel.store import State, journal_sql

__all__ = ["STALE_SECONDS", "Journal", "NewRun", "NewStep", "Run", "StepRecord"]


class Journal:
    """Runs and steps in the state database; may be used by several threads."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._owners: dict[str, Owner] = {}
        self._dry: set[str] = set()

    def begin(self, run: NewRun, steps: Sequence[NewStep] = ()) -> str:
        """Record a run of this process with all its steps, before anything is done.

        Returns:
            The run's identifier.
        """
        run_id = records.new_id()
        if run.dry_run:
            self._dry.add(run_id)
        self._allow(run_id)
        values = {
            **asdict(run),
            **_owner_columns(owner.current()),
            "id": run_id,
            "plan": records.canonical(dict(run.plan)),
            "target": records.plain(run.target),
            "actor": records.plain(run.actor),
        }
        rows = [
            {
                "run_id": run_id,
                "step_id": step.step_id,
                "position": position,
                "action": step.action,
                "arguments": records.canonical(dict(step.arguments)),
            }
            for position, step in enumerate(steps)
        ]
        with self._state.transaction() as connection:
            connection.execute(journal_sql.INSERT_RUN, values)
            if rows:
                connection.execute(journal_sql.INSERT_STEP, rows)
        return run_id

    def step_started(self, run_id: str, step_id: str, log_offset: int) -> None:
        """Record the intent, before any effect; `log_offset` is in bytes."""
        self._step(run_id, step_id, "started", log_offset=log_offset)

    def step_done(self, run_id: str, step_id: str, result: Any) -> None:
        """Record the effect and its result, JSON values only."""
        self._step(run_id, step_id, "done", result=_json_or_none(result))

    def step_skipped(self, run_id: str, step_id: str, note: str, result: Any) -> None:
        """Record that a look found nothing to do."""
        self._step(
            run_id, step_id, "skipped", note=records.plain(note), result=_json_or_none(result)
        )

    def step_failed(self, run_id: str, step_id: str, error: str) -> None:
        """Record a failure; `error` is redacted."""
        self._step(run_id, step_id, "failed", error=records.plain(error))

    def step_undoing(self, run_id: str, step_id: str) -> None:
        """Record the intent to take a step back."""
        self._step(run_id, step_id, "undoing")

    def step_undone(self, run_id: str, step_id: str) -> None:
        """Record that a step was taken back."""
        self._step(run_id, step_id, "undone")

    def step_undo_failed(self, run_id: str, step_id: str, error: str) -> None:
        """Record that a step could not be taken back; `error` is redacted."""
        self._step(run_id, step_id, "undo_failed", error=records.plain(error))

    def child(self, run_id: str, step_id: str, process_group: int, started: float) -> None:
        """Record the process group that a step started, so that a later process can end it."""
        self._allow(run_id)
        values = {"a_group": process_group, "a_started": started, **self._key(run_id, step_id)}
        if self._state.change(journal_sql.CHILD, values) != 1:
            raise self._refused(run_id, step_id, "get a process")

    def heartbeat(self, run_id: str) -> bool:
        """Give a sign of life; False when the run is not this process's any more, or has ended."""
        self._allow(run_id)
        return self._state.change(journal_sql.HEARTBEAT, self._run_key(run_id)) == 1

    def finish(self, run_id: str, state: RunState, exit_code: int, error: str = "") -> None:
        """Bring a run to its end; `error` is redacted."""
        self._allow(run_id)
        if state == "running":
            raise OpsError(f"run {run_id} cannot end as running")
        values = {
            "a_state": state,
            "a_code": exit_code,
            "a_error": records.plain(error),
            **self._run_key(run_id),
        }
        if self._state.change(journal_sql.FINISH, values) != 1:
            raise self._refused(run_id, "", state)

    def take(self, run_id: str, by: Owner | None = None) -> bool:
        """Make a run that lost its process this one's (or that of `by`); of two takers one gets it.

        Returns:
            False when it ended, its owner lives, or another process was faster.
        """
        guard.effect(f"take run {run_id}")
        run = self.get(run_id)
        if run.state not in records.TAKEABLE or (run.state == "running" and not run.lost):
            return False
        taker = by or owner.current()
        values = {
            **{f"a_{name}": value for name, value in _owner_columns(taker).items()},
            "b_run": run_id,
            "b_state": run.state,
            "b_heartbeat": run.heartbeat,
            **_owner_key(run.owner),
        }
        if self._state.change(journal_sql.TAKE, values) != 1:
            return False
        self._owners[run_id] = taker
        return True

    def get(self, run_id: str) -> Run:
        """Return one run.

        Raises:
            ConfigurationError: There is none.
        """
        found = self._state.rows(journal_sql.GET, {"b_run": records.plain(run_id)})
        if not found:
            raise ConfigurationError(
                f"there is no run {records.plain(run_id)}", hint="inv runs.list"
            )
        return journal_sql.run(found[0])

    def steps(self, run_id: str) -> list[StepRecord]:
        """Return the steps of a run in the order of its plan."""
        return [
            journal_sql.step(row) for row in self._state.rows(journal_sql.STEPS, {"b_run": run_id})
        ]

    def recent(
        self, limit: int, environment: str | None = None, before: str | None = None
    ) -> list[Run]:
        """Return runs, newest first; `before` is the last identifier of the page before."""
        names = [None if each is None else records.plain(each) for each in (environment, before)]
        rows = self._state.rows(journal_sql.newest(limit, *names))
        return [journal_sql.run(row) for row in rows]

    def unfinished(self, environment: str) -> list[Run]:
        """Return the runs that began and did not end, alive or not, oldest first."""
        return [
            journal_sql.run(row)
            for row in self._state.rows(journal_sql.UNFINISHED, {"b_environment": environment})
        ]

    def _step(self, run_id: str, step_id: str, to: StepState, **values: Any) -> None:
        self._allow(run_id)
        bound = {f"a_{name}": value for name, value in values.items()}
        if (
            self._state.change(journal_sql.STEP_CHANGES[to], bound | self._key(run_id, step_id))
            != 1
        ):
            raise self._refused(run_id, step_id, to)

    def _allow(self, run_id: str) -> None:
        """Ask the guard, except for the one record that a dry run may write."""
        if not (run_id in self._dry and guard.mode() is guard.Mode.DRY_RUN):
            guard.effect("write the journal")

    def _run_key(self, run_id: str) -> dict[str, Any]:
        return {"b_run": run_id, **_owner_key(self._owners.get(run_id) or owner.current())}

    def _key(self, run_id: str, step_id: str) -> dict[str, Any]:
        return {"b_step": step_id, **self._run_key(run_id)}

    def _refused(self, run_id: str, step_id: str, to: str) -> OpsError:
        """Say why a change met no row."""
        run = self.get(run_id)
        if run.owner != (self._owners.get(run_id) or owner.current()):
            who = f"process {run.pid} on {run.host}"
            return TakenOver(
                f"run {run_id} was taken over by {who}", hint=f"inv runs.show {run_id}"
            )
        if run.state != "running":
            return OpsError(f"run {run_id} is {run.state} already", hint=f"inv runs.show {run_id}")
        step = next((each for each in self.steps(run_id) if each.step_id == step_id), None)
        if step is None:
            return OpsError(f"run {run_id} has no step {step_id}")
        return OpsError(f"step {step_id} of run {run_id} is {step.state}, it cannot become {to}")


def _owner_columns(process: Owner) -> dict[str, Any]:
    return {"host": process.host, "pid": process.pid, "pid_started": process.started}


def _owner_key(process: Owner) -> dict[str, Any]:
    return {f"b_{name}": value for name, value in _owner_columns(process).items()}


def _json_or_none(value: Any) -> str | None:
    return None if value is None else records.canonical(value)
