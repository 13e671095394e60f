"""What a restore brought against what the manifest says."""

from __future__ import annotations

from typing import Any

import pytest

from ops.backup import compare
from ops.backup.engines import Differs
from ops.backup.manifest import Inventory, Table
from tests.backup.manifests import manifest

TABLES = (Table("public", "a", 1), Table("public", "b", 2000))


def found(*tables: Table, **values: Any) -> Inventory:
    return Inventory("1/1", "15.9", tables, **values)


def test_the_same_in_another_order_is_no_difference() -> None:
    compare.check(manifest(tables=TABLES), found(*reversed(TABLES)))


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([TABLES[0]], "table public.b is missing"),
        (
            [TABLES[0], Table("public", "b", 1999)],
            "public.b has 1,999 rows, the manifest says 2,000",
        ),
        ([*TABLES, Table("other", "c", 0)], "table other.c is not in the manifest"),
        ([Table("other", "a", 1), TABLES[1]], "table public.a is missing; table other.a is not"),
        ([], "table public.a is missing; table public.b is missing"),
    ],
)
def test_difference_is_named(tables: list[Table], said: str) -> None:
    with pytest.raises(Differs, match=said):
        compare.check(manifest(tables=TABLES), found(*tables))


def test_many_differences_are_counted() -> None:
    tables = tuple(Table("public", f"t{number}", 1) for number in range(9))
    with pytest.raises(Differs, match="t4 is missing and 4 more"):
        compare.check(manifest(tables=tables), found())


def test_large_objects_count() -> None:
    with pytest.raises(Differs, match="7 large objects, the manifest says 0"):
        compare.check(manifest(tables=TABLES), found(*TABLES, large_objects=7))


def test_database_of_mysql_may_have_another_name() -> None:
    wanted = manifest(engine="mysql", tables=(Table("shop", "a", 1),))
    compare.check(wanted, found(Table("shop_restored", "a", 1)))
