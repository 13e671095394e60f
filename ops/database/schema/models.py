"""The schema as the models say it, and how it compares: only what SQLAlchemy metadata can say counts."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ops.database import sql
from ops.database.migrations.model import Source
from ops.database.schema.definitions import Key
from ops.database.schema.entries import IDENTIFIER, QUALIFIED, parts
from ops.hosts import runner
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, OpsError, StepFailed

SAYABLE: Final = {
    "table",
    "column",
    "constraint",
    "index",
    "identity",
    "type",
    "domain",
    "sequence",
    "comment",
}
"""Kinds that metadata can say; comments of tables and columns only."""
# What tables lean on is made first, when the models themselves do not make it.
_GROUND: Final = ("schema", "extension", "collation", "type", "domain", "sequence", "function")
_MAKES: Final = re.compile(
    rf"\s*CREATE (?:TYPE|DOMAIN|SEQUENCE|SCHEMA)(?: IF NOT EXISTS)? ({QUALIFIED})"
)
_OWNED: Final = re.compile(rf"ALTER SEQUENCE ({QUALIFIED}) OWNED BY")
_NAMED: Final = re.compile(rf"(?<=INDEX ){IDENTIFIER}(?= ON )")
_FRAME: Final = re.compile(r"^(?:CREATE|PARTITION BY|INHERITS).*", re.MULTILINE)


def statements(
    context: Context, source: Source, name: str, folders: Sequence[Path], url: SecretStr
) -> list[str]:
    """Return the statements that make the models' tables.

    Args:
        context: Gives the deadline and the log.
        source: Whose interpreter and variables.
        name: "package.module:Base.metadata".
        folders: Where its modules are looked for.
        url: An empty database, for modules that need a URL to be imported; it is not used.

    Raises:
        ConfigurationError: The name leads nowhere.
    """
    probe = (importlib.resources.files("ops.database.schema") / "models_probe.py").read_text()
    paths = [*map(str, folders), source.environment.get("PYTHONPATH", "")]
    environment = {
        **source.environment,
        source.variable: url.get_secret_value(),
        "PYTHONPATH": ":".join(filter(None, paths)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ended = runner.run(
        context,
        [str(source.python), "-c", probe, name],
        reads=True,
        check=False,
        cwd=folders[0],
        environment=environment,
        account=source.account,
    )
    try:
        said = json.loads(ended.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (ended.stderr or ended.stdout).strip().splitlines()[-1:]
        said = {"error": last[0] if last else f"it ended with {ended.code}"}
    if "error" in said:
        raise ConfigurationError(
            f'models = "{name}" of [database] cannot be read',
            why=said["error"],
            hint='write models = "package.module:Base.metadata" as the application imports it',
        )
    return list(said["statements"])


def make(url: SecretStr, made: Sequence[str], ground: Mapping[Key, str]) -> None:
    """Make the models' tables in an empty scratch database.

    Args:
        url: The database.
        made: Statements of the models.
        ground: Objects that the tables may lean on: those of the migrations.

    Raises:
        StepFailed: A statement failed.
    """
    own = {parts(found[1])[1] for each in made if (found := _MAKES.match(each))}
    with sql.connect(url, read_only=False, autocommit=True) as connection:
        connection.execute("set check_function_bodies = off")
        for kind in _GROUND:
            for key, definition in ground.items():
                if key.kind == kind and key.name not in own:
                    # What leans on tables fails here; the models then say why they cannot be made.
                    with contextlib.suppress(OpsError), sql.translated(str(key)):
                        connection.execute(definition.split("\nversion ")[0].encode())
        for each in made:
            try:
                with sql.translated("the models cannot be made on a scratch server"):
                    connection.execute(each.encode())
            except OpsError as error:
                line = " ".join(each.split())[:120]
                raise StepFailed(error.what, why=f"{error.why}: {line}") from error


def comparable(found: Mapping[Key, str]) -> dict[Key, str]:
    """Return what metadata can say of a schema, without what it leaves to the server."""
    partitions = {(key.schema, key.name) for key in found if key.kind == "partition"}
    owned = {}
    for key, text in found.items():
        if key.kind == "sequence owner" and (match := _OWNED.match(text)):
            owned[match[1]] = key._replace(kind="sequence")
    kept = {}
    for key, text in found.items():
        about = key.kind == "comment" and not key.name.startswith(("TABLE ", "COLUMN "))
        inside = (key.schema, key.table or key.name) in partitions
        if key.kind in SAYABLE and not (about or inside or key in owned.values()):
            kept[key] = _said(key.kind, text, owned)
    return kept


def _said(kind: str, text: str, owned: Mapping[str, Key]) -> str:
    if kind == "table":
        return "\n".join(_FRAME.findall(text)).removesuffix(";")
    if kind == "column":
        # Storage, statistics and compression are the server's business.
        lines = [each for each in text.split("\n") if not each.startswith("SET ")]
        text = "\n".join(lines)
        for name in owned:
            # A renamed table keeps the sequence of its old name.
            text = text.replace(f"nextval('{name}'::regclass)", "nextval(its own sequence)")
        return text
    if kind == "identity":
        return re.sub(
            r"^(?:ALTER TABLE.*? ADD |\s+SEQUENCE NAME .*\n)", "", text, flags=re.MULTILINE
        )
    if kind in ("constraint", "index"):
        return text.split(";\n")[0].removesuffix(";").removesuffix(" NOT VALID")
    return text


def with_names_of(ours: Mapping[Key, str], theirs: Mapping[Key, str]) -> dict[Key, str]:
    """Return one side with the other's names of constraints and indexes that are the same but for their name.

    The models leave most of them to a convention.
    """
    spare: dict[tuple[str, str, str, str], list[Key]] = {}
    for key, text in theirs.items():
        if key not in ours and key.kind in ("constraint", "index"):
            spare.setdefault(_content(key, text), []).append(key)
    made = {}
    for key, text in ours.items():
        same = spare.get(_content(key, text)) if key not in theirs else None
        other = same.pop() if same else key
        made[other] = theirs[other] if other != key else text
    return made


def _content(key: Key, text: str) -> tuple[str, str, str, str]:
    return key.kind, key.schema, key.table, _NAMED.sub("", text)
