"""Wrong steps fail while the plan is made, before anything is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from ops.kernel import steps
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Ref
from tests.support import runs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "x"}, "missing ['text']"),
        ({"name": "x", "text": "y", "mode": 3}, "unknown ['mode']"),
        ({"name": "x", "text": 7}, "text=7 is not a"),
        ({"name": "x", "text": SecretStr("geheim")}, "text is a secret"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message.replace("[", r"\[").replace("]", r"\]")):
        runs.write.step(**arguments)


def test_a_step_is_named_after_its_function_with_a_sub_key() -> None:
    made = runs.write.step("web-1", name="x", text="y")
    assert (made.id, made.title, made.limit, made.reversible) == (
        "write:web-1",
        "Write x",
        10,
        True,
    )


@pytest.mark.parametrize(
    "ref", [Ref("write:9", "path"), Ref("write:1", "colour"), Ref("write:2", "path")]
)
def test_a_reference_must_name_a_field_of_an_earlier_step(ref: Ref) -> None:
    plan = (runs.write.step("1", name="a", text="x"), runs.write.step("2", name="b", text=ref))
    with pytest.raises(ConfigurationError, match="does not exist"):
        steps.check_references(plan)


def test_two_steps_with_one_name_are_refused() -> None:
    twice = (runs.write.step(name="a", text="x"), runs.write.step(name="b", text="x"))
    with pytest.raises(ConfigurationError, match="two steps are called write"):
        steps.check_references(twice)


def test_a_name_from_the_database_is_looked_up_and_never_imported() -> None:
    with pytest.raises(ConfigurationError, match=r"no step 'os\.system'"):
        steps.find("os.system")


def test_references_are_replaced_by_recorded_results() -> None:
    arguments = {"name": "b", "text": Ref("write:1", "path").to_json()}
    assert steps.resolve(arguments, {"write:1": {"path": "/x"}}) == {"name": "b", "text": "/x"}
    assert steps.resolve(arguments, {"write:1": None}) == {"name": "b", "text": None}


@dataclass
class Leaky:
    """A result that holds a secret."""

    password: SecretStr


def test_a_result_that_is_a_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="returned a secret"):
        steps.result_json(Leaky(SecretStr("geheim")))
