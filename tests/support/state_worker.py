"""A second process on a state database: `python -m tests.support.state_worker '[place, verb, arguments]'`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from ops.kernel.audit import Audit
from ops.kernel.journal import Journal, NewStep
from ops.kernel.store import State
from ops.kernel.store.state import open_target
from tests.support.state import new_run, target


def opened(state: State) -> None:
    """Only open it."""
    print(state.version())


def append(state: State, actor: str, count: str) -> None:
    """Write audit records."""
    for number in range(int(count)):
        Audit(state).append(actor, "deploy", "local", "done", {"number": number})


def take(state: State, run_id: str) -> None:
    """Try to take a run when told to; live until told to end, or the run would be free again."""
    print("ready", flush=True)
    input()
    print(Journal(state).take(run_id), flush=True)
    input()


def hold(state: State) -> None:
    """Begin a run, then stay alive without a heartbeat."""
    print(Journal(state).begin(new_run(), [NewStep("build", "example.build")]), flush=True)
    time.sleep(600)


def write(state: State) -> None:
    """Write steps and audit records until killed; print each step that was committed."""
    journal, audit = Journal(state), Audit(state)
    run_id = journal.begin(new_run(), [NewStep(str(number), "x") for number in range(2_000)])
    print(run_id, flush=True)
    for number in range(2_000):
        journal.step_started(run_id, str(number), 0)
        journal.step_done(run_id, str(number), {"number": number})
        audit.append("writer", "step", str(number), "done")
        print(number, flush=True)


VERBS: dict[str, Callable[..., None]] = {
    each.__name__: each for each in (opened, append, take, hold, write)
}

if __name__ == "__main__":
    place, verb, arguments = json.loads(sys.argv[1])
    state = open_target(target(place))
    assert state is not None
    with state:
        VERBS[verb](state, *arguments)
