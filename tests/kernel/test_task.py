"""Declaring a task."""

from __future__ import annotations

from typing import Any

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from ops.kernel.invocation import Invocation
from ops.kernel.report import Report
from ops.kernel.task import ADMIN, CHANGING, KIND_LIMITS, READ, SHARED, WRITE, Level, task


@task(level=READ, kind="verification", help={"name": "Which one."})
def look(call: Invocation, name: str, all_of_them: bool = False) -> Report:
    """Look at one."""
    return Report(name)


@task(level=WRITE, kind="deploy")
def change(call: Invocation, wait: str = "long") -> Report:
    """Change something."""
    return Report(wait)


def names(made: Any) -> list[str]:
    return [argument.name for argument in made.get_arguments()]


def test_own_arguments_come_first_then_those_that_all_share() -> None:
    assert names(look) == ["name", "all_of_them", *SHARED]


def test_a_changing_task_has_more_of_them() -> None:
    assert set(names(change)) >= {*SHARED, *CHANGING}


def test_an_own_argument_of_the_same_name_stays() -> None:
    assert next(each for each in change.get_arguments() if each.name == "wait").value == "long"


def test_no_argument_has_a_short_flag() -> None:
    # Invoke gives them by position: a new parameter would change the command line of old ones.
    assert all(
        len(name) > 1
        for made in (look, change)
        for each in made.get_arguments()
        for name in each.names
    )


def test_the_help_is_there_each_time_it_is_read() -> None:
    for _ in range(2):
        texts = {each.name: each.help for each in look.get_arguments()}
        assert (texts["name"], texts["env"]) == ("Which one.", SHARED["env"][1])


def test_help_for_a_parameter_that_is_not_there_is_a_mistake() -> None:
    @task(level=READ, kind="verification", help={"nmae": "Which one."})
    def wrong(call: Invocation, name: str) -> None:
        """Look."""

    with pytest.raises(ValueError, match="nmae"):
        wrong.get_arguments()


def test_it_keeps_the_name_and_the_text_of_its_function() -> None:
    assert (look.name, look.__doc__, look.level, look.kind) == (
        "look",
        "Look at one.",
        READ,
        "verification",
    )
    assert Collection(look)["look"] is look


@pytest.mark.parametrize("arguments", [(), (Context(),), (Context(), "x")])
def test_a_call_that_is_not_the_executors_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Exit) as caught:
        look(*arguments)
    assert caught.value.code == 3
    assert "look was not started by the executor of invops: invoke.yaml must say" in str(
        caught.value.message
    )


@pytest.mark.parametrize("token", [None, object(), "TOKEN"])
def test_nobody_else_has_the_token(token: object) -> None:
    with pytest.raises(Exit):
        look.perform(token, None, name="x")


def test_levels_are_ordered() -> None:
    assert READ < WRITE < ADMIN
    assert [level.name for level in Level] == ["READ", "WRITE", "ADMIN"]


def test_time_limits_of_kinds_are_those_of_the_contract() -> None:
    assert KIND_LIMITS == {
        "verification": 30,
        "migration": 300,
        "benchmark": 600,
        "security": 1800,
        "test": 3600,
    }


def test_the_body_that_invoke_sees_is_never_run() -> None:
    with pytest.raises(AssertionError, match="perform"):
        look.body(None)
