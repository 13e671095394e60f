"""Which tasks run, with which arguments, in which order."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.tasks import Call

from ops.kernel import guard
from ops.kernel.errors import ConnectionFailed, DependencyError
from ops.kernel.invocation import Invocation
from ops.kernel.report import Report
from ops.kernel.task import READ, WRITE, OpsTask, task
from tests.support.commands import Command

SAME = '''
from ops.kernel.task import READ, task

@task(level=READ, kind="verification")
def check(call, env=""):
    """Check."""
    SEEN.append((__name__, env))
'''


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture
def seen() -> list[Any]:
    return []


def recorder(seen: list[Any], name: str, *parameters: str, **options: Any) -> OpsTask:
    """Make a task that records its arguments: `env` is among the parameters only when it is named."""
    own = ", ".join(f'{each}=""' for each in parameters)
    scope: dict[str, Any] = {"seen": seen}
    values = ", ".join(f"{each!r}: {each}" for each in parameters)
    exec(f"def {name}(call, {own}): seen.append(({name!r}, call.options.env, {{{values}}}))", scope)
    made = task(level=options.pop("level", READ), kind="verification", **options)(scope[name])
    made.__doc__ = "Record."
    return made


def test_arguments_reach_pre_tasks_through_the_whole_chain(run: Command, seen: list[Any]) -> None:
    bottom = recorder(seen, "bottom", "host")
    middle = recorder(seen, "middle", pre=[bottom])  # knows nothing of `host`
    top = recorder(seen, "top", "host", pre=[middle])
    assert run("top", "--env", "x", "--host", "web-1", tasks=(top,)).code == 0
    assert seen == [
        ("bottom", "x", {"host": "web-1"}),
        ("middle", "x", {}),
        ("top", "x", {"host": "web-1"}),
    ]


def test_an_explicit_argument_of_a_pre_task_wins_and_comes_down_from_there(
    run: Command, seen: list[Any]
) -> None:
    bottom = recorder(seen, "bottom")
    middle = recorder(seen, "middle", pre=[bottom])
    top = recorder(seen, "top", pre=[Call(middle, kwargs={"env": "staging"})])
    assert run("top", "--env", "x", tasks=(top,)).code == 0
    assert [(name, env) for name, env, _ in seen] == [
        ("bottom", "staging"),
        ("middle", "staging"),
        ("top", "x"),
    ]


def test_a_dry_run_and_the_format_come_down_as_well(run: Command) -> None:
    found: list[tuple[str, bool, str]] = []

    @task(level=READ, kind="verification")
    def look(call: Invocation) -> None:
        found.append(("look", call.options.quiet, call.format))

    @task(level=WRITE, kind="deploy", pre=[look])
    def change(call: Invocation) -> None:
        found.append(("change", call.options.dry_run, call.format))

    assert run("change", "--dry-run", "--quiet", "--format", "json", tasks=(change,)).code == 0
    assert found == [("look", True, "json"), ("change", True, "json")]


def test_independent_reading_pre_tasks_run_at_the_same_time(run: Command) -> None:
    both = threading.Barrier(2, timeout=10)  # breaks unless two wait at once

    @task(level=READ, kind="verification")
    def one(call: Invocation) -> Report:
        both.wait()
        return Report("one is fine")

    @task(level=READ, kind="verification")
    def two(call: Invocation) -> Report:
        both.wait()
        return Report("two is fine")

    @task(level=WRITE, kind="deploy", pre=[one, two])
    def deploy(call: Invocation) -> Report:
        assert guard.mode() is guard.Mode.CHANGE
        return Report("deployed")

    answer = run("deploy", tasks=(deploy,))
    assert (answer.code, answer.out.split("\n")) == (
        0,
        ["one is fine", "two is fine", "deployed", ""],
    )


def test_changing_pre_tasks_run_one_after_the_other(run: Command) -> None:
    running: list[str] = []
    most: list[int] = []

    def changing(name: str) -> OpsTask:
        def body(call: Invocation) -> None:
            running.append(name)
            most.append(len(running))
            threading.Event().wait(0.05)
            running.remove(name)

        body.__name__ = name
        return task(level=WRITE, kind="deploy")(body)

    top = task(level=WRITE, kind="deploy", pre=[changing("a"), changing("b")])(lambda call: None)
    assert run("top", tasks=Collection(top=top)).code == 0
    assert most == [1, 1]


def test_equal_tasks_run_once_and_others_each_time(run: Command, seen: list[Any]) -> None:
    check = recorder(seen, "check")
    migrate = recorder(seen, "migrate", pre=[check])
    deploy = recorder(seen, "deploy", pre=[check, migrate])
    assert run("migrate", "--env", "x", "deploy", "--env", "x", tasks=(migrate, deploy)).code == 0
    assert [name for name, _, _ in seen] == ["check", "migrate", "deploy"]
    seen.clear()
    assert run("migrate", "--env", "x", "deploy", "--env", "y", tasks=(migrate, deploy)).code == 0
    assert [(name, env) for name, env, _ in seen] == [
        ("check", "x"), ("migrate", "x"), ("check", "y"), ("migrate", "y"), ("deploy", "y"),
    ]  # fmt: skip


def test_tasks_of_two_modules_that_look_alike_both_run(run: Command, seen: list[Any]) -> None:
    # Invoke compares name and byte code, and would run one of them (issue 536).
    checks = []
    for name in ("first", "second"):
        module = ModuleType(name)
        module.__dict__["SEEN"] = seen
        exec(compile(SAME, "same.py", "exec"), module.__dict__)
        checks.append(module.check)
    assert checks[0] == checks[1]
    top = recorder(seen, "top", pre=checks)
    assert run("top", tasks=(top,)).code == 0
    assert [each[0] for each in seen] == ["first", "second", "top"]


def test_a_failed_pre_task_stops_the_task_with_its_code(run: Command, seen: list[Any]) -> None:
    @task(level=READ, kind="verification")
    def check(call: Invocation) -> None:
        raise DependencyError("npm is missing", hint="apt-get install npm")

    deploy = recorder(seen, "deploy", pre=[check])
    answer = run("deploy", tasks=(deploy,))
    assert (answer.code, answer.err, seen) == (
        2,
        "error: npm is missing\n  try: apt-get install npm\n",
        [],
    )


def test_of_parallel_pre_tasks_all_end_and_the_first_failure_decides(
    run: Command, seen: list[Any]
) -> None:
    @task(level=READ, kind="verification")
    def first(call: Invocation) -> None:
        raise ConnectionFailed("no answer")

    second = recorder(seen, "second")
    top = recorder(seen, "top", pre=[first, second])
    assert run("top", tasks=(top,)).code == 4
    assert [name for name, _, _ in seen] == ["second"]


def test_a_task_after_it_runs_also_when_it_failed(run: Command, seen: list[Any]) -> None:
    tidy = recorder(seen, "tidy")

    @task(level=READ, kind="verification", post=[tidy])
    def broken(call: Invocation) -> None:
        raise ConnectionFailed("no answer")

    assert run("broken", "--env", "x", tasks=(broken,)).code == 4
    assert seen == [("tidy", "x", {})]


def test_a_failure_after_a_success_counts(run: Command, seen: list[Any]) -> None:
    @task(level=READ, kind="verification")
    def after(call: Invocation) -> None:
        raise DependencyError("npm is missing")

    top = recorder(seen, "top", post=[after])
    assert run("top", tasks=(top,)).code == 2


def test_a_failure_stops_the_tasks_that_were_named_after_it(run: Command, seen: list[Any]) -> None:
    @task(level=READ, kind="verification")
    def broken(call: Invocation) -> None:
        raise ConnectionFailed("no answer")

    assert run("broken", "other", tasks=(broken, recorder(seen, "other"))).code == 4
    assert seen == []


def test_a_plain_invoke_task_is_refused(run: Command) -> None:
    from invoke.tasks import task as plain

    @plain
    def old(c: Any) -> None:
        raise AssertionError("it ran")

    answer = run("old", tasks=Collection(old))
    assert (answer.code, answer.err) == (
        3, "error: old is a plain Invoke task\n  try: declare it with ops.kernel.task.task\n",
    )  # fmt: skip


def test_what_stands_after_two_dashes_reaches_the_task_that_takes_it(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[tuple[str, ...]] = []

    @task(level=READ, kind="verification", takes_words=True)
    def say(call: Invocation) -> None:
        """Say."""
        got.append(call.words)

    @task(level=READ, kind="verification")
    def other(call: Invocation) -> None:
        """Take nothing."""

    words = ["say", "--", "sh", "-c", "echo 'a  b' --env x"]
    monkeypatch.setattr("sys.argv", ["inv", *words])
    assert run(*words, tasks=(say, other)).code == 0
    assert run("say", tasks=(say, other)).code == 0
    assert got == [("sh", "-c", "echo 'a  b' --env x"), ()]
    for refused in (["other", "--", "x"], ["say", "other", "--", "x"]):
        answer = run(*refused, tasks=(say, other))
        assert (answer.code, "nothing is known after --" in answer.err) == (3, True)
    assert len(got) == 2


def test_limit_may_be_repeated_and_is_no_argument_of_the_task(run: Command) -> None:
    seen: list[tuple[str, ...]] = []

    @task(level=READ, kind="verification", limited=True)
    def look(call: Invocation) -> None:
        """Look."""
        seen.append(call.options.hosts)

    @task(level=READ, kind="verification")
    def listed(call: Invocation, limit: str = "20") -> None:
        """List: a limit of another kind."""
        seen.append((limit, *call.options.hosts))

    assert run("look", "--limit", "a", "--limit", "b", tasks=(look,)).code == 0
    assert run("look", tasks=(look,)).code == 0
    assert run("listed", "--limit", "5", tasks=(listed,)).code == 0
    assert seen == [("a", "b"), (), ("5",)]
