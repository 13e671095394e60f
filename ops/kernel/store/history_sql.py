"""The statements of the histories, built once."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from ops.kernel.tables import Now, health, migrations

Insert: TypeAlias = sa.Insert


def _insert(table: sa.Table, *without: str) -> sa.Insert:
    names = [each.name for each in table.c if each.name not in without]
    values: dict[str, Any] = {name: sa.bindparam(name) for name in names}
    return sa.insert(table).values(values | {"recorded": Now()})


MIGRATION: Final = _insert(migrations, "finished")
MIGRATION_ENDED: Final = (
    sa.update(migrations)
    .where(migrations.c.id == sa.bindparam("record"))
    .values(result=sa.bindparam("how"), finished=Now(), seconds=Now() - migrations.c.recorded)
)
MIGRATIONS: Final = (
    sa.select(migrations.c.version, migrations.c.result, migrations.c.run_id, migrations.c.finished)
    .where(
        migrations.c.environment == sa.bindparam("environment"),
        migrations.c.target == sa.bindparam("target"),
    )
    .order_by(migrations.c.id)
)
HEALTH: Final = _insert(health)
