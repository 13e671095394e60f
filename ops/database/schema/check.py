"""Do models, migrations and the live database agree? The three sides, and what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from ops.database import scratch, sql, target
from ops.database.migrations.model import Source
from ops.database.schema import dump, models, prepared, replay
from ops.database.schema.compare import Difference, differences
from ops.database.schema.definitions import Key
from ops.database.schema.look import Look, look
from ops.database.scratch import Scratch
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError


@dataclass(frozen=True)
class Comparison:
    """Two sides that were compared.

    Args:
        left: Name of one side: "migrations" or "models".
        right: Name of the other side: "live" or "migrations".
        count: How many objects were compared.
        found: What differs.
    """

    left: str
    right: str
    count: int
    found: Sequence[Difference]


@dataclass(frozen=True)
class Answer:
    """What was compared and what came of it.

    Args:
        comparisons: The live database with the migrations, then the models.
        facts: Where each side comes from, and what was left out, one line each.
        pending: Migrations that the live database does not have.
    """

    comparisons: Sequence[Comparison]
    facts: Mapping[str, str]
    pending: Sequence[str]

    @property
    def agree(self) -> bool:
        """Whether nothing differs."""
        return not any(each.found for each in self.comparisons)


def check(context: Context, source: Source, url: SecretStr, folders: Sequence[Path]) -> Answer:
    """Compare the sides that the application has.

    Args:
        context: Surroundings.
        source: Migrations of the working tree; only its interpreter counts when there are none.
        url: The live database, for the owner of its schema.
        folders: Where the modules of the models are looked for.

    Raises:
        ConfigurationError: It is MySQL, or the models cannot be read.
        DependencyError: This machine has no PostgreSQL of the live server's version, or lacks an extension.
        ConnectionFailed: The live database does not answer.
        StepFailed: A migration does not run on a scratch server.
    """
    described = target.described(context)
    if described.engine == "mysql":
        raise ConfigurationError(
            "db.schema compares PostgreSQL only", hint="mariadb-dump --no-data"
        )
    migrates = context.settings.migrations is not None
    live = look(url)
    there = replay.applied(context, source, url) if migrates else replay.Applied(())
    with scratch.server(context, major=live.major) as server:
        _refuse_other(server, live)
        work = _Work(context, source, server, live, there, folders)
        found = work.compare(url, migrates=migrates)
    facts = _facts(context, source, url, live, there)
    return Answer(found, facts, there.waiting)


@dataclass(frozen=True)
class _Work:
    context: Context
    source: Source
    server: Scratch
    live: Look
    there: replay.Applied
    folders: Sequence[Path]

    def compare(self, url: SecretStr, *, migrates: bool) -> list[Comparison]:
        texts = [each.migration.text for each in self.there.entries if each.migration]
        base = prepared.database(self.context, self.server, self.live, texts)
        name = target.described(self.context).models
        empty = prepared.copy(self.server, base, "models") if name else base
        theirs, found = self._read(url, self.live), []
        if migrates:
            self._run(base, everything=False)
            seen = look(base)
            ours = self._read(base, seen)
            same = dump.with_same_defaults(ours, theirs, seen, self.live)
            found.append(_comparison("migrations", same, "live", theirs))
            if name and self.there.waiting:
                # The models of the working tree are ahead of the live database, as its migrations are.
                base = prepared.copy(self.server, base, "newest")
                self._run(base, everything=True)
                ours = self._read(base, look(base))
        if name:
            other, right = (ours, "migrations") if migrates else (theirs, "live")
            made = models.statements(self.context, self.source, name, self.folders, empty)
            models.make(empty, made, other)
            said = models.comparable(self._read(empty, look(empty)))
            other = models.comparable(other)
            found.append(_comparison("models", models.with_names_of(said, other), right, other))
        return found

    def _read(self, url: SecretStr, seen: Look) -> dict[Key, str]:
        schemas = target.described(self.context).schemas
        return dump.read(self.context, self.server.binaries / "pg_dump", url, seen, schemas)

    def _run(self, url: SecretStr, *, everything: bool) -> None:
        replay.run(self.context, self.source, url, self.there, self.live, everything=everything)


def _comparison(
    left: str, ours: Mapping[Key, str], right: str, theirs: Mapping[Key, str]
) -> Comparison:
    return Comparison(left, right, len(ours.keys() | theirs.keys()), differences(ours, theirs))


def _refuse_other(server: Scratch, live: Look) -> None:
    if server.major != live.major:
        raise DependencyError(
            f"cannot compare: PostgreSQL {live.major} is not on this machine",
            why=f"the live server is {live.major}, the nearest here is {server.major}",
            hint=f"apt-get install postgresql-{live.major}",
        )


def _facts(
    context: Context, source: Source, url: SecretStr, live: Look, there: replay.Applied
) -> dict[str, str]:
    described = target.described(context)
    facts = {"live": f"{sql.describe(url)}, PostgreSQL {live.major}"}
    if context.settings.migrations is not None:
        counts = f"{len(there.named('applied', 'changed'))} applied, {len(there.waiting)} pending"
        facts["migrations"] = f"{source.path}, {counts}"
    if described.models:
        facts["models"] = described.models
    if described.models or source.kind == "alembic":
        facts["interpreter"] = str(source.python)
    others = [each for each in live.schemas if each not in described.schemas]
    for what, names in (
        ("pending", there.named("pending")),
        ("half applied", there.named("running")),
        ("changed since applied", there.named("changed")),
        ("applied, without a file", there.named("missing")),
        ("schemas left out", others),
    ):
        if names:
            facts[what] = ", ".join(names)
    return facts
