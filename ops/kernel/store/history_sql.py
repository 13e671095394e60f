"""The statements of the histories, built once."""

from __future__ import annotations

from typing import Final, TypeAlias

import sqlalchemy as sa

from ops.kernel.tables import Now, health, migrations

Insert: TypeAlias = sa.Insert


def _insert(table: sa.Table) -> sa.Insert:
    values = {each.name: sa.bindparam(each.name) for each in table.c if each.name != "recorded"}
    return sa.insert(table).values(values | {"recorded": Now()})


MIGRATION: Final = _insert(migrations)
HEALTH: Final = _insert(health)
