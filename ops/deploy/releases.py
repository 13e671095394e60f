"""Releases of an environment on this machine: what each is made of, which were good."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ops.deploy import git
from ops.hosts import account, home
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.errors import ConfigurationError, OpsError
from ops.kernel.settings.models import Service, Settings
from ops.kernel.steps import Done, step


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
        backup: Path of the backup made before them.
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
    path = folder(settings, release) / "release.json"
    try:
        return Release(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        raise ConfigurationError(
            f"release {release} is not here", hint=f"inv releases --env {settings.name}"
        ) from None


def all_of(settings: Settings) -> list[Release]:
    """Return the environment's releases, newest first."""
    found = [load(settings, path.parent.name) for path in root(settings).glob("*/release.json")]
    return sorted(found, key=lambda each: each.sequence, reverse=True)


def save(settings: Settings, release: Release) -> None:
    """Write a release's record."""
    files.write(folder(settings, release.id) / "release.json", json.dumps(asdict(release), indent=2), mode=0o644)


def description(settings: Settings) -> dict[str, Any]:
    """Return the services of ops.toml as JSON; references stay references."""
    return {name: each.model_dump(mode="json", exclude_defaults=True) for name, each in settings.services.items()}


def _exists(context: Context, release: str, commit: str, ref: str, tree: str, dirty: bool) -> Done | None:
    path = folder(context.settings, release) / "release.json"
    if not path.is_file() or load(context.settings, release).services != description(context.settings):
        return None
    return Done("already here")


def _forget(context: Context, result: object, release: str, **_: object) -> None:
    path = folder(context.settings, release)
    if (path / "release.json").is_file() and not load(context.settings, release).good:
        files.remove(path)


@step(title="Unpack release {release}", limit=minutes(2), check=_exists, undo=_forget)
def checkout(context: Context, release: str, commit: str, ref: str, tree: str, dirty: bool) -> None:
    """Unpack the tree into the release's folder; the record is written last, so half a folder is never a release."""
    settings = context.settings
    path = folder(settings, release)
    mode = 0o755 if account.lookup() else 0o700
    files.make_folder(root(settings), mode=mode)
    known = load(settings, release) if (path / "release.json").is_file() else None
    if known is None:
        files.remove(path)
        files.make_folder(path, mode=mode)
        git.archive(context, tree, dirty, path / "app")
    else:
        context.note("same code, new description in ops.toml")
    revision = git.Revision(commit, ref, tree, dirty)
    others = [each.sequence for each in all_of(settings)]
    save(
        settings,
        Release(
            id=release,
            commit=commit,
            ref=ref,
            tree=tree,
            dirty=dirty,
            sequence=max(others, default=0) + 1,
            created=time.time(),
            actor=context.actor,
            services=description(settings),
            version_variable=settings.app.version_variable,
            requirements=_requirements(settings, path),
            builds=_builds(context, revision),
            **_history(known),
        ),
    )


def _history(known: Release | None) -> dict[str, Any]:
    if known is None:
        return {}
    return {name: getattr(known, name) for name in ("good", "migrations", "breaks_older", "backup")}


def _requirements(settings: Settings, path: Path) -> str:
    if settings.python is None:
        return ""
    content = (path / "app" / settings.python.requirements).read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _builds(context: Context, revision: git.Revision) -> dict[str, str]:
    """Return the hash of sources and commands for each service that is built."""
    keys = {}
    for name, service in context.settings.services.items():
        if service.build:
            sources = git.blob(context, revision, str(context.settings.app.root / service.directory))
            content = json.dumps([sources, list(service.build), str(service.static)])
            keys[name] = hashlib.sha256(content.encode()).hexdigest()[:16]
    return keys


@step(title="Record the release as good", limit=30)
def record(context: Context, release: str, backup: str | None) -> None:
    """Mark the release as one that served, so that a rollback may choose it."""
    known = load(context.settings, release)
    save(context.settings, replace(known, good=True, backup=backup or known.backup))


def superfluous(settings: Settings, keep: set[str]) -> list[Release]:
    """Return releases beyond `keep_releases`, never one of `keep` (what serves, what it came from)."""
    releases = all_of(settings)
    good = [each for each in releases if each.good][: settings.environment.keep_releases]
    kept = {each.id for each in good} | keep
    return [each for each in releases if each.id not in kept]


@step(title="Remove old releases", limit=minutes(2))
def prune(context: Context, keep: list[str]) -> None:
    """Remove releases, environments and builds that nothing needs any more."""
    settings = context.settings
    for each in superfluous(settings, set(keep)):
        try:
            files.remove(folder(settings, each.id))
            context.note(f"removed {each.id}")
        except OpsError as error:  # a release that serves well is not taken back for want of tidiness
            context.note(f"could not remove {each.id}: {error}")
