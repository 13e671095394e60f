"""The statements of the histories, built once."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from ops.kernel.tables import Now, health, migrations

Insert: TypeAlias = sa.Insert


def _insert(table: sa.Table) -> sa.Insert:
    values: dict[str, Any] = {each.name: sa.bindparam(each.name) for each in table.c}
    return sa.insert(table).values(values | {"recorded": Now()})


MIGRATION: Final = _insert(migrations)
HEALTH: Final = _insert(health)
