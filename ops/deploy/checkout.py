"""Unpack a git tree into a release's folder, with the record of what the release is made of."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ops.deploy import git, releases
from ops.hosts import account
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.steps import Done, step


@dataclass(frozen=True)
class Unpacked:
    """What a checkout found.

    Args:
        before: The record that the release had before, None for a new one.
    """

    before: dict[str, Any] | None


def _exists(context: Context, release: str, **_: object) -> Done | None:
    there = releases.known(context.settings, release)
    if there is None or there != releases.described_today(context.settings, there):
        return None
    return Done("already here", Unpacked(asdict(there)))


def _forget(context: Context, result: dict[str, Any] | None, release: str, **_: object) -> None:
    settings = context.settings
    there = releases.known(settings, release)
    if there is None or not there.good:
        files.remove(releases.folder(settings, release))
    elif result and result["before"]:
        releases.save(settings, releases.Release(**result["before"]))


@step(title="Unpack release {release}", limit=minutes(2), check=_exists, undo=_forget)
def checkout(
    context: Context,
    release: str,
    commit: str,
    ref: str,
    tree: str,
    dirty: bool,
    after: int | None,
) -> Unpacked:
    """Unpack the tree into the release's folder; the record is written last, so half a folder is never a release.

    Args:
        context: Surroundings.
        release: Id.
        commit: Full hash.
        ref: What was asked for.
        tree: Hash of the tree.
        dirty: Whether it holds uncommitted work.
        after: What the way back from it leads to, see `earlier.after`.
    """
    settings = context.settings
    path = releases.folder(settings, release)
    mode = 0o755 if account.lookup() else 0o700
    files.make_folder(releases.root(settings), mode=mode)
    before = releases.known(settings, release)
    if before is None:
        files.remove(path)
        files.make_folder(path, mode=mode)
        _unpack(context, tree, dirty, path)
    else:
        context.note("same code, new description in ops.toml")
    revision = git.Revision(commit, ref, tree, dirty)
    releases.save(
        settings,
        releases.Release(
            id=release,
            commit=commit,
            ref=ref,
            tree=tree,
            dirty=dirty,
            sequence=releases.next_sequence(settings),
            created=time.time(),
            actor=context.actor,
            services=releases.description(settings),
            version_variable=settings.app.version_variable,
            requirements=releases.lock_hash(settings, release),
            builds=_builds(context, revision),
            after=after,
            **_history(before),
        ),
    )
    return Unpacked(asdict(before) if before else None)


def _unpack(context: Context, tree: str, dirty: bool, path: Path) -> None:
    if context.settings.environment.target != "compose":
        git.export(context, tree, dirty, path / "app")
        return
    # Compose files often lie beside the application, with the repository as the context of their builds.
    git.export(context, tree, dirty, path / releases.REPOSITORY, whole=True)
    files.link(path / "app", Path(releases.REPOSITORY, context.settings.app.root))


def _history(known: releases.Release | None) -> dict[str, Any]:
    if known is None:
        return {}
    return {name: getattr(known, name) for name in ("good", "migrations", "breaks_older", "backup")}


def _builds(context: Context, revision: git.Revision) -> dict[str, str]:
    """Return the hash of sources and commands for each service that is built."""
    keys = {}
    for name, service in context.settings.services.items():
        if service.build:
            sources = git.blob(
                context, revision, str(context.settings.app.root / service.directory)
            )
            content = json.dumps([sources, list(service.build), str(service.static)])
            keys[name] = hashlib.sha256(content.encode()).hexdigest()[:16]
    return keys
