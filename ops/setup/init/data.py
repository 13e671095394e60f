"""The database and its migrations."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Final

from ops.kernel.settings.values import DATABASE_PATTERN
from ops.setup.init.compose import DATABASE_URL
from ops.setup.init.dependencies import Dependencies
from ops.setup.init.draft import Draft, Section
from ops.setup.init.repository import Repository
from ops.setup.init.survey import Survey

_DRIVERS: Final = ("psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary", "asyncpg", "pg8000")
_NUMBERED: Final = re.compile(r"\d+_.+\.sql")
_FLYWAY: Final = re.compile(r"[VU]\d[\w.]*__.+\.sql")
_FOLDERS: Final = ("migrations", "migration", "db", "sql", "database", "schema")
_OTHER_TOOLS: Final = {
    "schema.prisma": "npx prisma migrate deploy",
    "knexfile.js": "npx knex migrate:latest",
    "knexfile.ts": "npx knex migrate:latest",
    "drizzle.config.ts": "npx drizzle-kit migrate",
}


def describe(draft: Draft, survey: Survey) -> None:
    """Add [database] and [migrations] where there is a sign of PostgreSQL."""
    repository, dependencies, compose = survey.repository, survey.dependencies, survey.compose
    migrations = _migrations(draft, repository, dependencies)
    driver = next((each for each in _DRIVERS if dependencies.has(each)), "")
    read = next((each for each in survey.code.variables if DATABASE_URL.fullmatch(each.what)), None)
    if not (compose.postgres or driver or migrations):
        return
    made = Section("database")
    made.put("engine", "postgres")
    variable = read.what if read else compose.variable
    if variable and variable != "DATABASE_URL":
        made.put("variable", variable, read.where if read else compose.postgres)
    if read:
        draft.find(f"variable {read.what}", read.where, "[database] variable")
    if re.fullmatch(DATABASE_PATTERN, compose.database):
        made.put("name", compose.database)
    if driver and not compose.postgres:
        draft.find(f"PostgreSQL driver {driver}", dependencies.file or "dependencies", "[database]")
    if not variable:
        draft.decide(
            "no variable with the URL of the database found: services get it in DATABASE_URL"
        )
    draft.sections.append(made)
    if migrations:
        draft.sections.append(migrations)


def _migrations(draft: Draft, repository: Repository, dependencies: Dependencies) -> Section | None:
    found = _alembic(draft, repository, dependencies) or _sql(draft, repository)
    for name, command in _OTHER_TOOLS.items():
        for path in repository.named(name)[:1]:
            draft.find(f"migrations of {path.name}", path, "nothing: alembic and SQL files only")
            draft.decide(
                f"{path}: invops does not run these migrations; run `{command}` yourself before a deploy"
            )
    if dependencies.has("django"):
        for path in repository.named("manage.py")[:1]:
            draft.find("Django", path, "nothing: alembic and SQL files only")
            draft.decide(
                f"invops does not run Django's migrations; run `python {path} migrate` yourself before a deploy"
            )
    return found


def _alembic(draft: Draft, repository: Repository, dependencies: Dependencies) -> Section | None:
    paths = repository.named("alembic.ini")
    if not paths:
        return None
    made = Section("migrations")
    made.put("kind", "alembic")
    made.put("path", str(paths[0]))
    if dependencies.file is None:
        made.off = "it needs [python]"
    draft.find("Alembic migrations", paths[0], "[migrations]")
    for other in paths[1:]:
        draft.find("Alembic migrations", other, "nothing: one set of migrations only")
    text = repository.text(paths[0])
    location = re.search(r"^script_location\s*=\s*(.+)$", text, re.MULTILINE)
    folder = (
        location[1].strip().replace("%(here)s/", "").replace("%(here)s", ".")
        if location
        else "migrations"
    )
    environment = paths[0].parent / folder / "env.py"
    fixed = re.search(r"^sqlalchemy\.url\s*=\s*\S", text, re.MULTILINE)
    if (
        fixed
        and repository.has(environment)
        and not re.search(
            r"environ|settings|config\.\w+url", repository.text(environment), re.IGNORECASE
        )
    ):
        draft.decide(
            f"{paths[0]} has its URL fixed: {environment} must read the database's variable"
        )
    return made


def _sql(draft: Draft, repository: Repository) -> Section | None:
    numbered: dict[PurePosixPath, int] = defaultdict(int)
    others: set[PurePosixPath] = set()
    for path in repository.named("*.sql"):
        if _NUMBERED.fullmatch(path.name):
            numbered[path.parent] += 1
        else:
            others.add(path.parent)
            if _FLYWAY.fullmatch(path.name):
                draft.decide(
                    f"{path.parent}: Flyway's names are not understood; rename the files to <number>_<name>.sql"
                )
    whole = sorted((each for each in numbered if each not in others), key=_rank)
    for mixed in sorted(set(numbered) & others):
        draft.find("SQL files", mixed, "nothing: some are not named <number>_<name>.sql")
    if not whole:
        return None
    made = Section("migrations")
    made.put("kind", "sql")
    made.put("path", str(whole[0]))
    draft.find(f"SQL migrations ({numbered[whole[0]]})", whole[0], "[migrations]")
    for other in whole[1:]:
        draft.find(f"SQL files ({numbered[other]})", other, "nothing: one set of migrations only")
        draft.decide(f"{other} looks like migrations as well; [migrations] uses {whole[0]}")
    down = [each.name for each in repository.named("*.down.sql") if each.parent == whole[0]]
    if down:
        made.off = f"{down[0]} would be applied as well"
        draft.decide(
            f"{whole[0]} has files that undo (*.down.sql): move them away, then uncomment [migrations]"
        )
    return made


def _rank(path: PurePosixPath) -> tuple[int, int, str]:
    """Known names first, then the top before the deep."""
    known = _FOLDERS.index(path.name) if path.name in _FOLDERS else len(_FOLDERS)
    return known, len(path.parts), str(path)
