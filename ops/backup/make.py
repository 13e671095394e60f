"""Make a backup: one pass from the database into the store, then the manifest that makes it count.

A run that is killed leaves an archive under a partial name, which the next one sweeps away, or one without manifest,
which nobody takes for a backup. Name and manifest carry the step of the run that made them, so that the same step
finds after a crash what it had made, and its undo removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets as randomness
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from ops.backup import archive, engines, keys
from ops.backup import manifest as manifests
from ops.backup import measures, retention, storage
from ops.backup.manifest import SUFFIX, Inventory, Manifest
from ops.backup.storage import Store
from ops.database import target
from ops.kernel.context import Context
from ops.kernel.errors import NotPermitted, OpsError, StepFailed

_MUCH: Final = 0.5
"""A backup that has less than this share of the last one is doubtful (research: empty dumps for 91 nights)."""


def take(context: Context, url: SecretStr, *, purpose: str, release: str = "") -> Manifest:
    """Back a database up into the environment's store; called under the environment's lock.

    Args:
        context: Surroundings; run and step make the backup's id.
        url: The database, for a role that may read all of it.
        purpose: `task`, `deploy` or `restore`.
        release: Release that a deploy makes it for.

    Raises:
        DependencyError: The vendor's tool is missing or too old.
        ConfigurationError: A wrong recipient, or the destination does not exist.
        ConnectionFailed: Database or store do not answer.
        NotPermitted: The role may not read all, or the store refuses.
        StepFailed: The dump failed, is empty, or has no table.
    """
    settings = context.settings
    engine = target.described(context).engine
    recipients = settings.backup.recipients
    keys.recipients(recipients)
    store, dumper = storage.of(context), engines.dumper(engine)
    store.check()
    tool, expected = dumper.tool(context, url), dumper.size(context, url)
    if swept := store.sweep():
        context.note(f"removed {swept} partial archive{'s' if swept > 1 else ''} of killed runs")
    with contextlib.suppress(
        NotPermitted
    ):  # an archive under a lock is no backup without its manifest
        discard(context)
    began, created = time.monotonic(), measures.now()
    id = _new_id(context)
    name = f"{id}{dumper.suffix}.zst{'.age' if recipients else ''}"
    with store.writer(name) as sink:
        with dumper.dump(context, url, tool) as dump:
            written = archive.write(context, dump, sink, recipients, expected)
            inventory = dump.inventory()
        # After the block, which has the tool's own words when it failed.
        _refuse_empty(written)
        _refuse_no_tables(context, inventory)
    made = Manifest(
        id=id,
        app=settings.app.name,
        environment=settings.name,
        engine=engine,
        database=_database(url),
        created=created,
        seconds=round(time.monotonic() - began, 3),
        archive=name,
        size=written.size,
        sha256=written.sha256,
        plain_size=written.plain_size,
        plain_sha256=written.plain_sha256,
        recipients=recipients,
        tool=tool.title,
        inventory=inventory,
        purpose=purpose,
        run_id=context.run_id,
        actor=context.actor,
        release=release,
    )
    _describe(store, made)
    return made


def made(context: Context) -> Manifest | None:
    """Return the complete backup that this step of this run has made already, None when there is none."""
    store = storage.of(context)
    names = {each.name for each in store.entries()}
    for name in sorted(names):
        if name.endswith(f"-{_mark(context)}{SUFFIX}"):
            found = manifests.read(store.get(name), name)
            if found.run_id == context.run_id and found.archive in names:
                return found
    return None


def discard(context: Context) -> None:
    """Remove what this step of this run has made, complete or not; nothing when it has made nothing."""
    if not context.run_id:
        return
    store = storage.of(context)
    own = re.compile(rf"\d{{8}}T\d{{6}}Z-{_mark(context)}\..*")
    names = [each.name for each in store.entries() if own.fullmatch(each.name)]
    for name in names:
        if name.endswith(SUFFIX) and manifests.read(store.get(name), name).run_id != context.run_id:
            return  # somebody else's mark is the same by chance
    # The archive first: without it the manifest is no backup, and a refusal leaves both.
    for name in sorted(names, key=lambda name: name.endswith(SUFFIX)):
        store.delete(name)
        context.note(f"removed {name}")


def doubts(made: Manifest, known: Sequence[Manifest]) -> list[str]:
    """Return why a backup may hold less than it should: size or rows fell by more than half since the last good one.

    Args:
        made: The new backup.
        known: All complete ones, newest first.
    """
    others = [each for each in known if each.id != made.id]
    before = next((each for each in others if retention.is_good(each)), None)
    if before is None:
        return []
    found = []
    if made.plain_size < before.plain_size * _MUCH:
        sizes = f"{measures.size(made.plain_size)}, it was {measures.size(before.plain_size)}"
        found.append(f"the dump has shrunk to {sizes} in {before.id}")
    if rows(made) < rows(before) * _MUCH:
        found.append(f"rows fell to {rows(made)}, there were {rows(before)} in {before.id}")
    return found


def rows(manifest: Manifest) -> int:
    """Return the rows of all tables of a backup."""
    return sum(each.rows for each in manifest.inventory.tables)


def _describe(store: Store, made: Manifest) -> None:
    try:
        store.put(made.file, manifests.write(made))
    except BaseException:
        with contextlib.suppress(OpsError):
            store.delete(made.archive)
        raise


def _refuse_empty(written: archive.Written) -> None:
    if written.plain_size == 0:
        raise StepFailed("the dump is empty", hint="inv runs.show says what the tool said")


def _refuse_no_tables(context: Context, inventory: Inventory) -> None:
    settings = context.settings
    if not inventory.tables and not settings.environment.empty_database:
        raise StepFailed(
            "the database has no tables: nothing worth a backup",
            why="a wrong database, or one whose migrations never ran",
            hint=f"if that is right: empty_database = true in [environments.{settings.name}]",
        )


def _new_id(context: Context) -> str:
    mark = _mark(context) if context.run_id else randomness.token_hex(3)
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{mark}"


def _mark(context: Context) -> str:
    """Return the part of an id that is the same for a step of a run whenever it runs."""
    return hashlib.sha256(f"{context.run_id}:{context.step_id}".encode()).hexdigest()[:6]


def _database(url: SecretStr) -> str:
    return unquote(urlsplit(url.get_secret_value()).path.lstrip("/"))
