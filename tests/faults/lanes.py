"""Lanes: small applications that are deployed and harmed, several beside each other, each again and again."""

from __future__ import annotations

import os
import queue
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ops.deploy import observe
from ops.hosts import envlock, orphans
from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.journal import Journal, Run, StepRecord
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets
from ops.kernel.store import open_state
from tests.support import forks
from tests.support import project as projects
from tests.support.local import eventually, lives
from tests.support.project import Project, Ran, finish

QUICK = 60.0
"""Seconds that one run may take."""
BESIDE = 4
"""Lanes at a time: a deploy mostly waits."""
FULL = os.environ.get("INVOPS_FAULTS") == "full"
"""Whether all that can be harmed is, beyond the time that CI has."""
DONE = ("step.started", "step.acted", "step.done") if FULL else ("step.acted",)
"""Moments of a step that has something to do, in order; the worst is the one before what it did is written down."""


@dataclass
class Lane(Project):
    """A project whose runs can be harmed."""

    def __post_init__(self) -> None:
        """Run the test Program."""
        self.program = [sys.executable, "-m", "tests.faults.run"]

    def begin(self, *words: str, fault: str = "", **variables: str) -> forks.Process:
        """Start a run on this environment, with a fault."""
        return self.start(*words, FAULT=fault, **variables)

    def run(self, *words: str, **variables: str) -> Ran:
        """Run a task to its end."""
        return finish(self.begin(*words, "--quiet", **variables), QUICK)

    def harmed(self, fault: str, *words: str, **variables: str) -> Ran:
        """Deploy with a fault."""
        return finish(self.begin("deploy", "--quiet", *words, fault=fault, **variables), QUICK)

    def change(self) -> str:
        """Commit a new version with a migration of its own; return its release id."""
        number = len(self.migrations()) + 1
        row = f"INSERT INTO orders (item) VALUES ('migration {number}')"
        self.put(f"db/{number}_more.sql", f"CREATE TABLE more_{number} (id bigint);\n{row};\n")
        return self.commit(f"version {number}")

    def migrations(self) -> list[str]:
        """Return the versions of the migrations in the repository."""
        return sorted(each.name.partition("_")[0] for each in (self.folder / "db").glob("*.sql"))

    def context(self) -> Context:
        """Return a context to look at the environment with."""
        loaded = settings.load(
            self.environment, start=self.folder, environ={"OPS_HOME": str(self.base)}
        )
        secrets = Secrets(self.folder, environ={}, redactor=Redactor())
        return Context(loaded, secrets, Deadline(30))

    def observed(self) -> observe.Observed:
        """Look at the environment as a plan does."""
        return observe.observe(self.context())

    def runs(self) -> list[Run]:
        """Return its runs, newest first."""
        state = open_state(self.context().settings, create=False)
        if state is None:
            return []
        with state:
            return Journal(state).recent(100, self.environment)

    def steps(self) -> list[StepRecord]:
        """Return the steps of the newest run."""
        state = open_state(self.context().settings, create=False)
        assert state is not None
        with state:
            journal = Journal(state)
            (run,) = journal.recent(1, self.environment)
            return journal.steps(run.id)

    def states(self) -> dict[str, str]:
        """Return the state of each step of the newest run."""
        return {each.step_id: each.state for each in self.steps()}


@dataclass(frozen=True)
class Moment:
    """A moment of a run: an event of a step, or of the run itself when the step is empty."""

    event: str
    step: str = ""

    def __str__(self) -> str:
        return f"{self.event}:{self.step}"


def moments(lane: Lane) -> list[Moment]:
    """Deploy and return every moment of it: the steps are the plan's, so a new one is there by itself."""
    dry = lane.run("deploy", "--dry-run", "--format", "json")
    assert dry.code == 10, dry.text
    steps = [each["id"] for each in dry.json["plan"]["steps"]]
    ran = lane.deploy()
    assert ran.code == 0, ran.text
    states = lane.states()
    assert list(states) == steps
    found = [Moment("run.started")]
    for step in steps:
        events = DONE if states[step] == "done" else ("step.skipped",)
        found += [Moment(event, step) for event in events]
    return [*found, Moment("run.done")]


def assert_serves(lane: Lane, release: str) -> None:
    """Assert that a release serves alone: one set of processes, no orphan, nothing half made, no lock."""
    answer = lane.get("/health")
    assert (answer.status, answer.json["version"]) == (200, release), answer
    now = lane.observed()
    assert now.release == release and now.daemon and now.proxy, now
    assert_processes(lane, {"proxy": 2, f"{now.active}-web": 1})
    assert not lane.half_made(), lane.half_made()
    assert envlock.of(lane.context()).holder() is None


def assert_processes(lane: Lane, expected: dict[str, int]) -> None:
    """Assert how many processes each program of the environment has; none in the home belongs to an unknown one."""
    wanted = {f"{lane.environment}-{name}": count for name, count in expected.items()}
    found: dict[str, int] = {}

    def as_wanted() -> bool:
        found.clear()
        found.update({name: len(pids) for name, pids in lane.processes().items()})
        return found == wanted

    assert eventually(as_wanted, 5), f"{found} in place of {wanted}"
    values = [
        each.environ().get(orphans.VARIABLE, "") for each in orphans.find(lane.home) if lives(each)
    ]
    others = {value.rpartition(":")[2] for value in values} - {"supervisord", "postgres", *wanted}
    assert not any(each.startswith(f"{lane.environment}-") for each in others), others
    assert values.count(orphans.marker(lane.home, "supervisord")) <= 1, values


def assert_migrated_once(lane: Lane) -> None:
    """Assert that each migration of the repository was applied exactly once."""
    rows = lane.query("select version from schema_migrations")
    assert sorted(version for (version,) in rows) == lane.migrations()
    items = [item for (item,) in lane.query("select item from orders order by id")]
    assert len(items) == len(set(items)) == len(lane.migrations()), items


def assert_dead_run_is_closed(lane: Lane, again: Ran) -> None:
    """Assert that the journal holds no open run after a killed one and the `deploy` that followed."""
    states = [each.state for each in lane.runs()]
    assert "running" not in states, states
    if (
        "nothing to change" in again.text
    ):  # killed when all was done, at the last moment even in the journal
        assert states[0] in ("interrupted", "done"), states
    else:
        assert states[:2] == ["done", "interrupted"], states


def assert_clear(ran: Ran, code: int, *words: str) -> None:
    """Assert an exit code and one clear error: what, why, what to do; no traceback."""
    assert ran.code == code, ran.text
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in ran.text, ran.text
    assert "unexpected" not in errors[0], ran.text
    for word in words:
        assert re.search(word, ran.text), f"no {word!r} in {ran.text}"


class Lanes:
    """Does the cases of a test on several lanes at a time.

    Args:
        place: Gives a home for each.
        beside: How many at a time.
    """

    def __init__(
        self,
        place: Callable[[], AbstractContextManager[Path]] = projects.place,
        beside: int = BESIDE,
    ) -> None:
        self._place = place
        self._beside = beside
        self._idle: queue.LifoQueue[tuple[Lane, ExitStack]] = queue.LifoQueue()

    def each(self, cases: Sequence[Any], work: Callable[[Lane, Any], None]) -> None:
        """Do the work for every case and fail with all failures at once; a lane with a failure is not used again."""
        assert cases
        with ThreadPoolExecutor(self._beside) as pool:
            results = list(pool.map(lambda case: self._one(case, work), cases))
        print(*(f"{case}: {result}" for case, result in zip(cases, results, strict=True)), sep="\n")
        failures = [
            f"{case}: {result}"
            for case, result in zip(cases, results, strict=True)
            if result[:2] != "ok"
        ]
        assert not failures, f"{len(failures)} of {len(cases)} failed:\n" + "\n".join(failures)

    @contextmanager
    def one(self) -> Iterator[Lane]:
        """Give one lane with a release that serves."""
        lane, stack = self._take()
        try:
            yield lane
        except BaseException:
            self._drop(stack)
            raise
        self._idle.put((lane, stack))

    def close(self) -> None:
        """End all lanes; none may leave a process."""
        stacks = []
        while not self._idle.empty():
            stacks.append(self._idle.get()[1])
        with ThreadPoolExecutor(self._beside) as pool:
            list(pool.map(lambda each: each.close(), stacks))

    def _one(self, case: object, work: Callable[[Lane, Any], None]) -> str:
        began = time.monotonic()
        try:
            with self.one() as lane:
                work(lane, case)
        except Exception as error:
            return f"FAILED {type(error).__name__}: {error}"
        return f"ok {time.monotonic() - began:.1f} s"

    def _take(self) -> tuple[Lane, ExitStack]:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            with ExitStack() as stack:
                base = stack.enter_context(self._place())
                lane = stack.enter_context(application(base))
                assert (ran := lane.deploy()).code == 0, ran.text
                return lane, stack.pop_all()

    @staticmethod
    def _drop(stack: ExitStack) -> None:
        try:
            stack.close()
        except AssertionError as left:  # what failed is said already
            print(left)


@contextmanager
def application(base: Path) -> Iterator[Lane]:
    """Give the tiny application in an environment of its own in a home."""
    with projects.project("tiny", base) as made:
        yield Lane(**{each.name: getattr(made, each.name) for each in fields(Project)})
