"""What backups there are: the manifests of a store whose archives are there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ops.backup import manifest as manifests
from ops.backup import storage
from ops.backup.manifest import SUFFIX, Manifest
from ops.backup.storage import Entry, Store
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.faults import did_you_mean

ID: Final = r"\d{8}T\d{6}Z-[0-9a-f]{6}"
_ARCHIVE: Final = re.compile(rf"({ID})\.(?:dump|sql)\.zst(?:\.age)?")
_MANIFEST: Final = re.compile(rf"({ID}){re.escape(SUFFIX)}")
_AT_ONCE: Final = 8


@dataclass(frozen=True)
class Catalog:
    """Everything of an environment's store.

    Args:
        complete: Backups whose archive and manifest are there, newest first.
        damaged: Error of each manifest that cannot be read, by id.
        without_manifest: Archives that have none, by name: of killed runs, or manifests got lost.
        without_archive: Ids of manifests whose archive is gone.
        odd: Ids of backups whose archive has another size than its manifest says.
    """

    complete: Sequence[Manifest]
    damaged: dict[str, ConfigurationError]
    without_manifest: Sequence[Entry]
    without_archive: Sequence[str]
    odd: Sequence[str]


def look(store: Store) -> Catalog:
    """Read every manifest of a store; one that is damaged does not hide the others.

    Raises:
        ConnectionFailed: The store does not answer.
        NotPermitted: It refuses.
    """
    entries = {each.name: each for each in store.entries()}
    archives = {found[1]: name for name in entries if (found := _ARCHIVE.fullmatch(name))}
    described = [found[1] for name in entries if (found := _MANIFEST.fullmatch(name))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a service far away takes its time for each
        read = dict(zip(described, pool.map(lambda id: _read(store, id), described), strict=True))
    known = [each for each in read.values() if isinstance(each, Manifest)]
    there = [each for each in known if each.archive in entries]
    return Catalog(
        sorted(there, key=lambda each: (each.created, each.id), reverse=True),
        {id: each for id, each in read.items() if isinstance(each, ConfigurationError)},
        [entries[name] for id, name in sorted(archives.items()) if id not in read],
        sorted(each.id for each in known if each.archive not in entries),
        sorted(each.id for each in there if entries[each.archive].size != each.size),
    )


def backups(context: Context) -> list[Manifest]:
    """Return the complete backups of the environment, newest first.

    Complete: archive and manifest are there. A damaged manifest is left out; `inv backup.list` names it.
    """
    return list(look(storage.of(context)).complete)


def find(context: Context, id: str) -> Manifest:
    """Return one backup.

    Args:
        context: Surroundings.
        id: Which; empty for the newest.

    Raises:
        ConfigurationError: There is no such backup, it is incomplete, or its manifest is damaged.
    """
    store = storage.of(context)
    found = look(store)
    chosen = id or _newest(found)
    if chosen in found.damaged:
        raise found.damaged[chosen]
    for each in found.complete:
        if each.id == chosen:
            return each
    name = context.settings.name
    if not chosen:
        raise ConfigurationError(
            f"{name} has no backup in {store.where}", hint=f"take one: inv backup --env {name}"
        )
    gone = chosen in found.without_archive
    known = [each.id for each in found.complete]
    raise ConfigurationError(
        f"{name} has no backup {chosen[:60]!r}{did_you_mean(chosen, known)}",
        why="its archive is gone" if gone else "",
        hint=f"inv backup.list --env {name}",
    )


def save(context: Context, manifest: Manifest) -> None:
    """Write a manifest that has a new proof."""
    storage.of(context).put(manifest.file, manifests.write(manifest))


def _newest(found: Catalog) -> str:
    """Return the id of the newest; a damaged one counts, so that an older one is not taken for it."""
    ids = [each.id for each in found.complete[:1]]
    return max([*ids, *found.damaged], default="")


def _read(store: Store, id: str) -> Manifest | ConfigurationError:
    name = f"{id}{SUFFIX}"
    try:
        return manifests.read(store.get(name), name)
    except ConfigurationError as error:
        return error
