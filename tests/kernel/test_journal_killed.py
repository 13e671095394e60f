"""A process killed while it writes: what was committed is there, the rest is not, and others go on."""

from __future__ import annotations

import pytest

from ops.kernel.audit import Audit
from ops.kernel.journal import Journal
from tests.support.state import Place

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
def test_a_killed_writer_leaves_everything_that_it_committed(place: Place) -> None:
    place.open().close()
    written = 0
    for lines in (3, 40, 90):
        worker = place.worker("write")
        assert worker.stdout is not None
        run_id = worker.stdout.readline().strip()
        for _ in range(lines):
            worker.stdout.readline()
        worker.kill()
        seen = lines + len(worker.communicate()[0].splitlines())
        with place.open() as state:
            journal = Journal(state)
            states = [step.state for step in journal.steps(run_id)]
            done = states.count("done")
            # Killed between the commit and the line that tells of it.
            assert seen <= done <= seen + 1
            assert states[:done] == ["done"] * done
            assert set(states[done + 1 :]) == {"pending"}
            verdict = Audit(state).verify()
            assert verdict.ok
            assert written + seen <= verdict.rows <= written + done
            written = verdict.rows
            assert journal.take(run_id)
            journal.step_started(run_id, str(done), 0)
            journal.finish(run_id, "interrupted", 1)
