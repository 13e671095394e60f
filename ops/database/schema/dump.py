"""The objects of a database: pg_dump's text in normal form, and what pg_dump leaves out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from psycopg import conninfo
from pydantic import SecretStr

from ops.database import sql
from ops.database.schema.definitions import Key, objects
from ops.database.schema.look import Look
from ops.hosts import pipes
from ops.kernel.context import Context
from ops.kernel.errors import NotPermitted, OpsError, StepFailed

BOOKKEEPING: Final = ("schema_migrations", "alembic_version", "invops_migrations")
"""Tables of those who run migrations; in whatever schema they are."""
_OPTIONS: Final = (
    "--schema-only",
    "--no-password",
    "--encoding=UTF8",
    "--no-tablespaces",  # a machine's disks
    "--no-subscriptions",  # only a superuser sees them
    "--lock-wait-timeout=10000",  # milliseconds: a migration that runs just now
    *(f"--exclude-table=*.{each}" for each in BOOKKEEPING),
)


def read(
    context: Context, program: Path, url: SecretStr, seen: Look, schemas: Sequence[str]
) -> dict[Key, str]:
    """Return the objects of a database.

    Args:
        context: Gives the deadline and the log.
        program: pg_dump of at least the server's major version; for two sides the same one.
        url: The database.
        seen: What it says of itself.
        schemas: Schemas that count; what is in no schema counts as well.

    Raises:
        NotPermitted: A table may not be read.
        StepFailed: pg_dump failed otherwise.
    """
    others = [each for each in seen.schemas if each not in schemas]
    left_out = [f'--exclude-schema="{each.replace(chr(34), chr(34) * 2)}"' for each in others]
    text = _dump(context, [str(program), *_OPTIONS, *left_out], url)
    return completed(objects(text), seen, schemas)


def completed(found: dict[Key, str], seen: Look, schemas: Sequence[str]) -> dict[Key, str]:
    """Return the objects with the versions of extensions and the invalid indexes."""
    versions = {
        key: f"{text}\nversion {seen.extensions[key.name].version}"
        for key, text in found.items()
        if key.kind == "extension" and key.name in seen.extensions
    }
    invalid = {key: text for key, text in seen.invalid.items() if key.schema in schemas}
    return {**found, **versions, **invalid}


def with_same_defaults(
    left: Mapping[Key, str], right: Mapping[Key, str], ours: Look, theirs: Look
) -> dict[Key, str]:
    """Return the left side with the right one's versions where each is the newest that its server knows.

    Nobody asked for a version then; two machines only have other packages.
    """
    made = dict(left)
    for name in ours.extensions.keys() & theirs.extensions.keys():
        key, both = Key("extension", "", name), (ours.extensions[name], theirs.extensions[name])
        if key in left and key in right and all(each.version == each.default for each in both):
            made[key] = re.sub(r"version \S+\Z", f"version {both[1].version}", left[key])
    return made


def _dump(context: Context, argv: Sequence[str], url: SecretStr) -> str:
    sql.describe(url)  # one that is no URL is refused here, without showing it
    plain = re.sub(r"^postgres(ql)?\+\w+://", "postgresql://", url.get_secret_value())
    parts = {
        key: str(value)
        for key, value in conninfo.conninfo_to_dict(plain).items()
        if value is not None
    }
    password = parts.pop("password", "")
    variables = {"PGPASSWORD": password} if password else {}
    command = [*argv, f"--dbname={conninfo.make_conninfo('', **parts)}"]
    chunks = []
    try:
        with pipes.reading(context, command, environment=variables) as output:
            while chunk := output.read():
                chunks.append(chunk)
    except StepFailed as error:
        raise _explained(error, sql.describe(url)) from error
    return b"".join(chunks).decode("utf-8", "replace")


def _explained(error: StepFailed, where: str) -> OpsError:
    """Return pg_dump's own words in one line, in place of its command."""
    said = re.search(r"pg_dump: error: (.*?)(?=\npg_dump: |\Z)", error.why, re.DOTALL)
    if said is None:
        return error
    what, why = f"cannot read the schema of {where}", " ".join(said[1].split())
    if "permission denied" in why:
        return NotPermitted(
            what, why=why, hint="every table must belong to the owner: inv db.init repairs it"
        )
    if "lock timeout" in why:
        return StepFailed(what, why=why, hint="somebody changes the schema just now: try again")
    return StepFailed(what, why=why)
