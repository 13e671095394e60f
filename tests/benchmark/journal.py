"""What the journal costs for each step, against a bare sqlite3 loop with as many commits."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ops.kernel.journal import Journal, NewRun, NewStep
from ops.kernel.store.engine import sqlite
from ops.kernel.store.state import open_target

STEPS = 300
ROUNDS = 5


def measure() -> dict[str, float]:
    """Return medians over rounds that take turns, because the disk's speed changes under our feet.

    Returns:
        `journal_step_ms` and `bare_step_ms`: milliseconds for a step, two commits each, safe against
        power loss; `journal_ratio`: the first by the second; `state_open_ms`: opening a current state.
    """
    pairs = []
    with tempfile.TemporaryDirectory(prefix="invops-benchmark-") as name:
        for number in range(ROUNDS):
            folder = Path(name) / str(number)
            pairs.append((_journal(folder / ".ops"), _bare(folder / "bare.db")))
        opening = _open(Path(name) / "0" / ".ops")
    return {
        "journal_step_ms": 1000 * statistics.median(ours for ours, _ in pairs),
        "bare_step_ms": 1000 * statistics.median(bare for _, bare in pairs),
        "journal_ratio": statistics.median(ours / bare for ours, bare in pairs),
        "state_open_ms": 1000 * opening,
    }


def _journal(folder: Path) -> float:
    state = open_target(sqlite(folder))
    assert state is not None
    with state:
        journal = Journal(state)
        steps = [NewStep(str(number), "example.step", {"a": 1}) for number in range(STEPS)]
        run = NewRun("deploy", "deploy", "local", "here", "anna", "0", 1, {}, "")
        run_id = journal.begin(run, steps)
        begin = time.perf_counter()
        for step in steps:
            journal.step_started(run_id, step.step_id, 0)
            journal.step_done(run_id, step.step_id, {"ok": True})
        return (time.perf_counter() - begin) / STEPS


def _bare(file: Path) -> float:
    connection = sqlite3.connect(file)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE steps (id INTEGER PRIMARY KEY, state, at, result)")
        rows = [(number, "pending", 0.0, None) for number in range(STEPS)]
        connection.executemany("INSERT INTO steps VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        begin = time.perf_counter()
        for number in range(STEPS):
            connection.execute(
                "UPDATE steps SET state = 'started', at = ? WHERE id = ?", (time.time(), number)
            )
            connection.commit()
            connection.execute(
                "UPDATE steps SET state = 'done', at = ?, result = ? WHERE id = ?",
                (time.time(), '{"ok":true}', number),
            )
            connection.commit()
        return (time.perf_counter() - begin) / STEPS
    finally:
        connection.close()


def _open(folder: Path) -> float:
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        state = open_target(sqlite(folder))
        times.append(time.perf_counter() - begin)
        assert state is not None
        state.close()
    return statistics.median(times)


if __name__ == "__main__":
    for name, value in measure().items():
        sys.stdout.write(f"{name:<16} {value:8.3f}\n")
