"""Names of databases beside another one, and which of them a killed restore has left."""

from __future__ import annotations

import pytest

from ops.backup import beside
from tests.backup.manifests import ID


def test_name_says_what_and_of_which_backup() -> None:
    assert beside.name("shop", "restored", ID) == "shop_restored_3fa2c1"
    assert beside.name("shop", "before", ID, 2) == "shop_before_3fa2c1_2"


@pytest.mark.parametrize("database", ["x" * 63, "ü" * 31, "x" * 40])
def test_name_fits_and_ends_as_it_should(database: str) -> None:
    found = beside.name(database, "restoring", ID)
    assert len(found.encode()) <= beside.LONGEST
    assert found.endswith("_restoring_3fa2c1")
    assert beside.left_overs(database, {found: ""}) == [found]


def test_free_name_is_the_first_that_nobody_has() -> None:
    taken = {"shop_before_3fa2c1", "shop_before_3fa2c1_2"}
    assert beside.free("shop", "before", ID, set()) == "shop_before_3fa2c1"
    assert beside.free("shop", "before", ID, taken) == "shop_before_3fa2c1_3"


@pytest.mark.parametrize(
    ("name", "mark", "ours"),
    [
        ("shop_restoring_3fa2c1", "", True),
        ("shop_restoring_3fa2c1", f"{beside.MARK} {ID}, half", True),
        ("shop_restoring_3fa2c1", f"{beside.MARK} {ID}, whole", True),
        ("shop_restoring_3fa2c1", "kept by Anna", False),
        ("shop_restored_3fa2c1", "", False),
        ("shop_before_3fa2c1", f"{beside.MARK} replaced by backup {ID}", False),
        ("shop_restoring_3fa2c1_2", "", False),
        ("shop_restoring_later1", "", False),
        ("workshop_restoring_3fa2c1", "", False),
        ("shop", "", False),
    ],
)
def test_left_over_is_known_by_name_and_mark(name: str, mark: str, ours: bool) -> None:
    assert beside.left_overs("shop", {name: mark}) == ([name] if ours else [])
