"""Releases of an environment on this machine: what each is made of, which were good."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ops.deploy import places
from ops.hosts import home
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Service, Settings
from ops.kernel.steps import step

REPOSITORY = "repository"
"""Folder of a release for containers: all of ops.toml's folder; `app` leads into it."""


@dataclass(frozen=True)
class Release:
    """A release in its folder.

    Args:
        id: First 12 digits of the commit, `+` the tree's with uncommitted work.
        commit: Full hash.
        ref: Branch, tag or commit that was asked for.
        tree: Hash of the deployed tree.
        dirty: Whether it holds uncommitted work.
        sequence: Growing number within the environment.
        created: Seconds since the epoch.
        actor: Who deployed it.
        services: Description of the services, as in ops.toml at that time; secrets are references.
        version_variable: Variable that carries the id.
        requirements: Hash of the lock file, empty without Python dependencies.
        builds: Hash of each built service's sources.
        good: Whether it ever served healthily.
        migrations: Ids of the migrations that were pending when it came.
        breaks_older: Whether these break the releases before it.
        backup: Id of the backup made before them.
        left_out: Hosts that its last deploy left alone, and why.
        after: Sequence of what served until it came: a way back from it passes by those between, which a rollback
            left. None where nobody knows, as in records of before: all that are older are on its way back.
    """

    id: str
    commit: str
    ref: str
    tree: str
    dirty: bool
    sequence: int
    created: float
    actor: str
    services: dict[str, Any]
    version_variable: str
    requirements: str
    builds: dict[str, str]
    good: bool = False
    migrations: list[str] = field(default_factory=list)
    breaks_older: bool = False
    backup: str = ""
    left_out: dict[str, str] = field(default_factory=dict)
    after: int | None = None

    def service(self, name: str) -> Service:
        """Return the description of one service."""
        return Service.model_validate(self.services[name])


def root(settings: Settings) -> Path:
    """Return the folder of the environment's releases."""
    return home.of(settings).environment(settings.name) / "releases"


def folder(settings: Settings, release: str) -> Path:
    """Return the folder of one release."""
    return root(settings) / release


def load(settings: Settings, release: str) -> Release:
    """Read a release's record.

    Raises:
        ConfigurationError: It is not on this machine.
    """
    try:
        return _read(folder(settings, release) / "release.json")
    except FileNotFoundError:
        raise ConfigurationError(
            f"release {release} is not here", hint=f"inv releases --env {settings.name}"
        ) from None


def _read(path: Path) -> Release:
    try:
        return Release(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"the record of release {path.parent.name} cannot be read",
            why=str(error),
            hint=f"remove its folder: {path.parent}",
        ) from None


def commit(settings: Settings, id: str) -> str:
    """Return the commit of a release, empty for one that is not known."""
    found = known(settings, id)
    return found.commit if found else ""


def known(settings: Settings, release: str) -> Release | None:
    """Return a release, None when it is not on this machine."""
    path = folder(settings, release) / "release.json"
    return _read(path) if path.is_file() else None


def all_of(settings: Settings, environment: str = "") -> list[Release]:
    """Return the releases of an environment (default: the chosen one), newest first."""
    folders = home.of(settings).environment(environment or settings.name) / "releases"
    found = [_read(path) for path in folders.glob("*/release.json")]
    return sorted(found, key=lambda each: each.sequence, reverse=True)


@dataclass(frozen=True)
class Placed:
    """A release in a slot, as it was when it was started there.

    Args:
        release: With its description of that time; the record in its folder may be newer.
        port: Where the proxy listened.
    """

    release: Release
    port: int


def in_slot(settings: Settings, slot: str) -> Placed | None:
    """Return what is in a slot, None when it is empty."""
    try:
        record = json.loads(places.slot_file(settings, slot).read_text())
        return Placed(Release(**record["described"]), int(record["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(settings: Settings, release: Release) -> None:
    """Write a release's record."""
    files.write(
        folder(settings, release.id) / "release.json",
        json.dumps(asdict(release), indent=2),
        mode=0o644,
    )


def description(settings: Settings) -> dict[str, Any]:
    """Return the services of ops.toml as JSON; references stay references."""
    return {
        name: each.model_dump(mode="json", exclude_defaults=True)
        for name, each in settings.services.items()
    }


def described_today(settings: Settings, release: Release) -> Release:
    """Return a release as ops.toml describes it now: same code, maybe other services."""
    return replace(
        release,
        services=description(settings),
        version_variable=settings.app.version_variable,
        requirements=lock_hash(settings, release.id),
    )


def next_sequence(settings: Settings) -> int:
    """Return the number of the environment's next release."""
    return max((each.sequence for each in all_of(settings)), default=0) + 1


def lock_hash(settings: Settings, release: str) -> str:
    """Return the hash of a release's lock file, empty without Python dependencies.

    Raises:
        ConfigurationError: The release has no such file.
    """
    if settings.python is None:
        return ""
    lock = folder(settings, release) / "app" / settings.python.requirements
    if not lock.is_file():
        raise ConfigurationError(
            f"the release has no file {settings.python.requirements}",
            hint="commit it, or correct `requirements` of [python] in ops.toml",
        )
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:16]


@step(title="Record the release as good", limit=30)
def record(
    context: Context, release: str, backup: str | None, newest: bool, after: int | None
) -> None:
    """Mark the release as one that served, so that a rollback may choose it.

    Args:
        context: Surroundings.
        release: The release.
        backup: Id of the backup made before its migrations.
        newest: Whether it comes last now, also one from before: the way back leads to what served until now.
        after: What the way back from it leads to, see `earlier.after`.
    """
    settings = context.settings
    there = load(settings, release)
    made = replace(there, good=True, backup=backup or there.backup)
    made = replace(made, left_out=dict(settings.left_out), after=after)
    if newest and made.sequence < next_sequence(settings) - 1:
        made = replace(
            made, sequence=next_sequence(settings), created=time.time(), actor=context.actor
        )
    save(settings, made)
