from __future__ import annotations

import pytest

from ops.deploy import finding
from ops.deploy.finding import Finding
from ops.kernel import exits
from ops.kernel.errors import ConfigurationError, ConnectionFailed, OpsError


def wrong(code: int, where: str = "web1") -> Finding:
    return Finding(where, "disk", "wrong", "0.1 GB free", "df -h", code)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], exits.OK),
        ([1], 1),
        ([1, 5], 5),
        ([1, 4, 5], 4),
        ([1, 2, 4, 5], 2),
        ([5, 2, 3, 4, 1], 3),
    ],
)
def test_worst_finding_gives_the_code(codes: list[int], expected: int) -> None:
    others = [finding.ok("web1", "lock", "free"), finding.warning("web1", "git", "not clean")]
    assert finding.worst([*others, *map(wrong, codes)]) == expected


def test_warnings_stop_nothing() -> None:
    finding.refuse([finding.warning("here", "git", "not clean"), finding.ok("a", "b", "c")], "")


def test_one_finding_is_one_line_with_its_own_hint() -> None:
    with pytest.raises(ConnectionFailed) as caught:
        finding.refuse([wrong(exits.CONNECTION)], "inv deploy.check")
    assert (str(caught.value), caught.value.hint) == ("web1: disk: 0.1 GB free", "df -h")


def test_several_findings_are_all_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        finding.refuse([wrong(1), wrong(3, "web2")], "inv deploy.check")
    assert caught.value.why.splitlines() == [
        "web1: disk: 0.1 GB free",
        "web2: disk: 0.1 GB free",
    ]
    assert caught.value.hint == "inv deploy.check"


def test_error_becomes_a_line() -> None:
    error = ConnectionFailed("web1: no engine", why="many\nlines\nthe last", hint="look")
    assert finding.of_error("web1", "engine", error) == Finding(
        "web1", "engine", "wrong", "no engine: the last", "look", 4
    )
    assert finding.of_error("here", "git", OpsError("no git")).found == "no git"
