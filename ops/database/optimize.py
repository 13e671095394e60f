"""Vacuum, analyse and rebuild what needs it by measure, worst first; never VACUUM FULL, which locks everybody out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ops.database import optimize_bloat, optimize_need, optimize_statement
from ops.database import optimize_steps as work
from ops.database import sql, target
from ops.database.migrations import obstacles
from ops.database.optimize_bloat import Index
from ops.database.optimize_need import Table
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.plan import Plan, Step
from ops.kernel.report import Report
from ops.kernel.settings.data import Maintenance


class Planner:
    """Makes the plan once: under the lock the first one stays. Counters never stand still; steps look first."""

    def __init__(self) -> None:
        self._made: Plan | None = None

    def __call__(self, context: Context) -> Plan:
        """Measure the database and plan what it needs.

        Raises:
            ConnectionFailed: The database does not answer.
            NotPermitted: All that needs work belongs to somebody else.
        """
        if self._made is None:
            self._made = plan(context)
        return self._made


def plan(context: Context) -> Plan:
    """Plan the maintenance of an environment's database; see `Planner`."""
    database = target.described(context)
    if database.engine != "postgres":
        raise ConfigurationError(
            "inv maintenance.optimize is for PostgreSQL", hint="MySQL: mysqlcheck --optimize"
        )
    url, limits = target.owner_url(context), context.settings.maintenance
    with optimize_statement.looking(url) as connection:
        left = any(each.rebuilt for each in obstacles.invalid(connection, []))
        tables = optimize_need.tables(connection, database.schemas)
        found = optimize_bloat.indexes(connection, tables, work.floors(context))
        due, exact = optimize_bloat.measured(connection, found, limits.bloat)
    steps = _steps(tables, due, limits)
    others = [each.shown for each in tables if not each.allowed and _needs(each, due, limits)]
    if others and not steps:
        raise NotPermitted(
            f"{_few(others)} of somebody else need maintenance",
            hint=f"migration_url of [environments.{context.settings.name}] must be their owner's",
        )
    where = sql.describe(url)
    if not steps and not left:
        why = f"no table or index of {where} needs it"
        return Plan("optimize", context.settings.name, where, (), nothing=why)
    first = [work.sweep.step("before")] if left else []
    last = [work.sweep.step("after", when="a rebuild was broken off")] if due else []
    return Plan(
        "optimize",
        context.settings.name,
        where,
        (*first, *steps, *last),
        summary=_summary(limits, others, [] if exact else due),
    )


def concluded(report: Report) -> Report:
    """Return the report of a run: what was skipped makes it fail, with the reasons."""
    results = report.data.get("results", {}).values()
    outcomes = [each for each in results if isinstance(each, dict) and "skipped" in each]
    skipped = [each for each in outcomes if each["skipped"]]
    if not skipped:
        return report
    why = "".join(f"\n  {each['what']}: {each['skipped']}" for each in skipped)
    return replace(
        report,
        summary=f"{len(skipped)} of {len(outcomes)} tables and indexes were left as they are",
        status="error",
        facts={"why": why},
        hints=("inv maintenance.optimize again, when that is over",),
        exit_code=exits.GENERAL,
    )


def _steps(tables: Sequence[Table], due: Sequence[Index], limits: Maintenance) -> list[Step]:
    """Return the work: old tables first, then by wasted space; a table before its indexes."""
    waste = {
        each.oid: each.wasted() + sum(index.wasted() for index in due if index.table == each.oid)
        for each in tables
    }
    found: list[Step] = []
    for table in sorted(tables, key=lambda each: (not each.freeze(), -waste[each.oid])):
        if table.allowed:
            found += _of_table(table, limits)
            found += [_rebuild(table, each, limits) for each in due if each.table == table.oid]
    return found


def _of_table(table: Table, limits: Maintenance) -> list[Step]:
    dead, old, changed = table.vacuum(limits), table.freeze(), table.analyse(limits)
    limit = limits.table_limit + work.MARGIN
    if dead or old:
        return [
            work.vacuum.step(
                table.shown,
                limit=limit,
                schema=table.schema,
                table=table.name,
                reason=", ".join(filter(None, [old, dead])),
                freeze=bool(old),
            )
        ]
    if changed:
        return [
            work.analyse.step(
                table.shown, limit=limit, schema=table.schema, table=table.name, reason=changed
            )
        ]
    return []


def _rebuild(table: Table, index: Index, limits: Maintenance) -> Step:
    return work.reindex.step(
        index.shown,
        limit=limits.table_limit + work.MARGIN,
        schema=index.schema,
        table=table.name,
        name=index.name,
        reason=index.reason(),
    )


def _needs(table: Table, due: Sequence[Index], limits: Maintenance) -> bool:
    return bool(_of_table(table, limits)) or any(each.table == table.oid for each in due)


def _summary(limits: Maintenance, others: list[str], estimated: Sequence[Index]) -> dict[str, str]:
    found = {
        "from": f"{limits.dead_rows:g} % dead rows, {limits.changed_rows:g} % changed rows,"
        f" {limits.bloat:g} % of an index unused ([maintenance])"
    }
    if others:
        found["left out"] = f"{_few(others)}: they belong to somebody else"
    if estimated:
        found["to be exact"] = optimize_bloat.command(estimated[0])
    return found


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
