"""The schema as the migrations make it, on a scratch server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ops.database import migrations
from ops.database.migrations import running
from ops.database.migrations.model import Entry, Source
from ops.database.schema.look import Look
from ops.hosts import runner
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError, OpsError, StepFailed

_NO_EXTENSION: Final = re.compile(
    r'extension "(?P<name>[^"]+)" is not available|extension control file "[^"]*/(?P<file>[^"/]+)\.control"'
)
_NOT_THERE: Final = re.compile(
    r"\b(type|function|operator|operator class|access method|schema|collation)\b.* does not exist"
)
_FRAME: Final = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in \w+')
_RAISED: Final = re.compile(
    r"^(?:\w+\.)*\w*(?:Error|Exception|Exit)\b.*|^\w+(?:\.\w+)+: .*|^FAILED: .*", re.MULTILINE
)


@dataclass(frozen=True)
class Applied:
    """Which migrations the live database has.

    Args:
        entries: Every migration that the files or the database know.
    """

    entries: Sequence[Entry]

    def named(self, *states: str) -> list[str]:
        """Return the ids of those in one of some states."""
        return [each.id for each in self.entries if each.state in states]

    @property
    def waiting(self) -> list[str]:
        """Ids of those that are not applied, or not to their end."""
        return self.named("pending", "running")


def applied(context: Context, source: Source, url: SecretStr) -> Applied:
    """Ask the live database which migrations it has.

    Raises:
        ConfigurationError: It is at a revision of Alembic that has no file here.
        ConnectionFailed: It does not answer.
    """
    found = migrations.entries(context, source, url)
    # One that was changed since is no obstacle: whether it still makes the same schema is the question.
    running.refuse_unusable(source, [each for each in found if each.state == "missing"])
    return Applied(found)


def run(
    context: Context,
    source: Source,
    url: SecretStr,
    there: Applied,
    live: Look,
    *,
    everything: bool,
) -> None:
    """Run migrations on a scratch database: those that the live one has, or all that are left.

    Args:
        context: Gives the deadline and the log.
        source: The migrations.
        url: A database on a scratch server, for the owner of the schema.
        there: What the live database has.
        live: What it says of itself.
        everything: Whether to run those that are left instead.

    Raises:
        DependencyError: This machine lacks an extension that they make.
        StepFailed: One failed; names file and line.
    """
    only = None if everything else there.named("applied", "changed")
    try:
        if source.kind != "alembic":
            migrations.apply(context, source, url, only)
        elif everything or not there.waiting:
            _upgrade(context, source, url, "heads")
        else:
            _upgrade_to(context, source, url, set(only or ()))
    except OpsError as error:
        raise _explained(error, live) from error


def _upgrade_to(context: Context, source: Source, url: SecretStr, wanted: set[str]) -> None:
    """Upgrade to exactly these revisions; branches that are not merged yet have more than one end."""
    while left := [
        each.id
        for each in migrations.entries(context, source, url)
        if each.id in wanted and each.state == "pending"
    ]:
        _upgrade(context, source, url, left[-1])


def _upgrade(context: Context, source: Source, url: SecretStr, to: str) -> None:
    """Let Alembic upgrade; the database is on a scratch server, so a reading task may do it."""
    environment = {
        **source.environment,
        source.variable: url.get_secret_value(),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    argv = [str(source.python), "-m", "alembic", "-c", source.path.name, "upgrade", to]
    ended = runner.run(
        context,
        argv,
        reads=True,
        check=False,
        cwd=source.path.parent,
        environment=environment,
        account=source.account,
    )
    if ended.code != 0:
        raise StepFailed(*_failure(source, ended.stderr or ended.stdout))


def _failure(source: Source, words: str) -> tuple[str]:
    """Return what failed from a traceback: the last line of a migration in it, and the error itself."""
    frames = [
        f"{Path(each['path']).name}, line {each['line']}"
        for each in _FRAME.finditer(words)
        if Path(each["path"]).is_relative_to(source.path.parent)
        and "site-packages" not in each["path"]
    ]
    raised = [each[0] for each in _RAISED.finditer(words)]
    lines = words.strip().splitlines()
    why = raised[-1] if raised else lines[-1] if lines else "alembic said nothing"
    return (f"{frames[-1]}: {why}" if frames else why,)


def _explained(error: OpsError, live: Look) -> OpsError:
    what = "the migrations do not run on a scratch server"
    why = "; ".join(line.strip() for line in str(error).splitlines())
    found = _NO_EXTENSION.search(why)
    if found is not None:
        return missing_extension(found["name"] or found["file"], live.major)
    if isinstance(error, (ConfigurationError, DependencyError)):
        return error
    hint = error.hint
    if _NOT_THERE.search(why) and live.extensions:
        names = ", ".join(sorted(live.extensions.keys() - {"plpgsql"}))
        hint = f"if an extension has it, list it in database.extensions; the live database has: {names}"
    return StepFailed(what, why=why, hint=hint)


def missing_extension(name: str, major: int) -> DependencyError:
    """Return the error for an extension that this machine lacks, so that nothing can be compared."""
    return DependencyError(
        f"cannot compare: this machine's PostgreSQL {major} lacks extension {name}",
        why="the migrations are replayed on a scratch server here",
        hint=f"install it here: apt-cache search postgresql-{major} | grep {name.replace('_', '-')}",
    )
