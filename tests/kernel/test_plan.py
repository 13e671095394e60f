"""A plan is data that another process can finish."""

from __future__ import annotations

import json

import pytest

from ops.kernel.plan import Plan, Ref, Step, as_ref


def make(identifier: str, group: str = "", **arguments: object) -> Step:
    return Step(identifier, "sample.write", arguments, f"Do {identifier}", 10, group=group)


def test_a_plan_survives_the_journal_unchanged() -> None:
    plan = Plan(
        "deploy",
        "local",
        "here",
        (make("a"), make("b", x=Ref("a", "path").to_json())),
        summary={"release": "1"},
    )
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again.to_json() == plan.to_json()
    assert again.steps[1].results_needed() == [Ref("a", "path")]


@pytest.mark.parametrize(
    "other",
    [
        Plan("deploy", "local", "here", (make("a"),), {"slot": "green"}),
        Plan("deploy", "local", "here", (make("a", x=1),), {"slot": "blue"}),
        Plan("deploy", "other", "here", (make("a"),), {"slot": "blue"}),
    ],
)
def test_the_digest_changes_with_what_was_seen_and_with_what_is_done(other: Plan) -> None:
    plan = Plan("deploy", "local", "here", (make("a"),), {"slot": "blue"})
    assert plan.digest != other.digest
    assert plan.digest == Plan("deploy", "local", "here", (make("a"),), {"slot": "blue"}).digest


def test_steps_of_one_group_next_to_each_other_run_together() -> None:
    steps = (make("a"), make("b", "x"), make("c", "x"), make("d"), make("e", "y"), make("f", "x"))
    groups = [tuple(step.id for step in group) for group in Plan("o", "e", "t", steps).groups()]
    assert groups == [("a",), ("b", "c"), ("d",), ("e",), ("f",)]


def test_the_limit_of_a_run_is_the_sum_of_its_steps() -> None:
    assert Plan("o", "e", "t", (make("a"), make("b"))).limit == 20


@pytest.mark.parametrize("value", ["text", {"$ref": "a.b", "more": 1}, {"ref": "a.b"}, 3, None])
def test_only_the_exact_form_is_a_reference(value: object) -> None:
    assert as_ref(value) is None


def test_a_reference_may_name_a_step_with_a_sub_key() -> None:
    assert as_ref({"$ref": "start:web-1.path"}) == Ref("start:web-1", "path")


def test_a_plan_without_steps_has_no_groups() -> None:
    assert list(Plan("deploy", "local", "here", ()).groups()) == []


def test_the_digest_is_the_same_when_only_the_summary_says_something_else() -> None:
    one, other = (
        Plan("backup", "local", "here", (make("a"),), summary={"dump": size})
        for size in ("about 43.4 MB", "about 43.5 MB")
    )
    assert one.digest == other.digest
