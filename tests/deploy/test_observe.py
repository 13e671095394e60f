from __future__ import annotations

import pytest

from ops.deploy.observe import Observed, choose
from ops.deploy.slots import Content


def observed(active: str, blue: str = "", green: str = "") -> Observed:
    contents = [Content(each, "digest", bool(each), not each) for each in (blue, green)]
    return Observed(True, True, active, contents[0], contents[1], ())


@pytest.mark.parametrize(
    ("now", "slots"),
    [
        (observed(""), ("blue", "")),
        (observed("blue", "old"), ("green", "blue")),
        (observed("green", "", "old"), ("blue", "green")),
        (observed("mixed", "new", "old"), ("blue", "green")),
        (observed("mixed", "old", "new"), ("green", "blue")),
        (observed("mixed", "other", "old"), ("green", "blue")),
    ],
    ids=["first", "blue serves", "green serves", "half switched", "half switched", "foreign"],
)
def test_slot_to_prepare_and_slot_before(now: Observed, slots: tuple[str, str]) -> None:
    assert choose(now, "new") == slots


def test_nothing_serves_without_a_proxy() -> None:
    assert observed("blue", "old").release == "old"
    assert Observed(True, False, "blue", Content("old"), Content(), ()).release == ""


@pytest.mark.parametrize(
    ("active", "running", "comes_back", "last"),
    [
        ("blue", True, "blue", "old"),
        ("blue", False, "blue", "old"),
        ("mixed", True, "green", "new"),
        ("mixed", True, "blue", "old"),
        ("", False, "", ""),
    ],
)
def test_what_served_last(active: str, running: bool, comes_back: str, last: str) -> None:
    slots = (Content("old"), Content("new"))
    assert Observed(True, running, active, *slots, (), comes_back).last == last


@pytest.mark.parametrize(
    ("now", "ending"),
    [
        (observed("blue", "old"), ""),
        (observed("blue", "old", "new"), "new"),
        (observed("green", "old", "new"), "old"),
        (observed("mixed", "old", "new"), ""),
        (observed(""), ""),
    ],
)
def test_release_whose_slot_was_not_ended(now: Observed, ending: str) -> None:
    assert now.ending == ending
