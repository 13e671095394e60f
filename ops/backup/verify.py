"""Prove that a backup can be brought back, and remember the verdict in its manifest.

PASSED and FAILED are about the archive and its key. UNVERIFIABLE is about this machine: no server of that version, an
extension that is not installed, no key. It is not green either, but it says nothing against the backup.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import AbstractContextManager
from typing import Final

import ops
from ops.backup import archive, catalog, compare, engines, keys, measures, storage
from ops.backup.engines import Differs, Unverifiable
from ops.backup.manifest import Level, Manifest, Proof, Verdict
from ops.backup.storage import Store, Writer
from ops.backup.streams import PIECE, Progress
from ops.kernel.context import Context
from ops.kernel.errors import (
    ConfigurationError,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
    TimeLimitReached,
)

_HEALTH: Final[dict[Verdict, str]] = {"PASSED": "healthy"}


def prove(context: Context, manifest: Manifest, level: Level) -> Proof:
    """Try a backup, and write the verdict into its manifest and into the history of health checks.

    Args:
        context: Surroundings.
        manifest: Of the backup.
        level: `hash` compares the stored bytes, `decode` reads the whole dump, `data` restores all rows into a scratch
            server and counts them, `full` restores everything and compares the schema. Each includes those before.

    Returns:
        The verdict; a red one is no error.

    Raises:
        OpsError: The store does not answer, or the time is used up: that is no verdict.
    """
    began, at = time.monotonic(), measures.now()
    verdict, reason = _verdict(context, manifest, level)
    seconds = round(time.monotonic() - began, 3)
    proof = Proof(level, verdict, reason, at, seconds, ops.__version__)
    catalog.save(context, manifest.with_proof(proof))
    if context.history is not None:
        context.history.health(
            run_id=context.run_id or None,
            environment=context.settings.name,
            target=f"{storage.of(context).where}/{manifest.archive}",
            name="backup",
            result=_HEALTH.get(verdict, "unhealthy"),
            detail=f"{verdict} at level {level}" + (f": {reason}" if reason else ""),
            seconds=seconds,
        )
    return proof


def feed(
    context: Context, manifest: Manifest, store: Store, into: AbstractContextManager[Writer]
) -> None:
    """Give the plain dump of a backup to something that takes it to its end, and compare all hashes.

    Raises:
        Damaged: It is not what the manifest says.
        OpsError: Whatever the taker raises.
    """
    whole = False
    with into as sink:
        archive.copy(context, manifest, store, sink, keys.identity(context))
        whole = True
    # One that ended well before the end of the dump hides it: nobody has seen the hashes then.
    if not whole and (damage := damaged(context, manifest, store)):
        raise archive.Damaged(f"backup {manifest.id} is damaged", why=damage)


def damaged(context: Context, manifest: Manifest, store: Store) -> str:
    """Compare the stored bytes with the manifest; return what is wrong, empty when nothing is."""
    digest, size = hashlib.sha256(), 0
    progress = Progress(context, "reading", manifest.size)
    with store.reader(manifest.archive) as reader:
        while piece := reader.read(PIECE):
            digest.update(piece)
            size += len(piece)
            progress(size)
    if size != manifest.size:
        return f"the archive has {size:,} bytes, the manifest says {manifest.size:,}"
    same = digest.hexdigest() == manifest.sha256
    return "" if same else "the SHA-256 of the archive is not that of the manifest"


def refuse_source(place: str, source: str) -> None:
    """Make sure that a restore does not go into the database that the backup is of.

    Args:
        place: `Inventory.system` of the database that is to be filled.
        source: The same of the source. Never the URLs: one database has many.

    Raises:
        StepFailed: It would.
    """
    if not place or place == source:
        raise StepFailed(
            "refused to restore into the database that the backup is of",
            why=f"both are {source or 'unknown'}",
        )


def _verdict(context: Context, manifest: Manifest, level: Level) -> tuple[Verdict, str]:
    store = storage.of(context)
    if manifest.archive not in {each.name for each in store.entries()}:
        return "FAILED", f"there is no {manifest.archive} in {store.where}"
    try:
        if level == "hash":
            damage = damaged(context, manifest, store)
            return ("FAILED", damage) if damage else ("PASSED", "")
        _try(context, manifest, store, level)
    except (TimeLimitReached, Interrupted):
        raise
    except archive.Damaged as error:
        return "FAILED", _line(error)
    except (Unverifiable, Differs, StepFailed, archive.WrongKey) as error:
        # Bytes that are not those of the backup explain whatever else was found.
        if damage := damaged(context, manifest, store):
            return "FAILED", damage
        return ("UNVERIFIABLE" if isinstance(error, Unverifiable) else "FAILED"), _line(error)
    return "PASSED", ""


def _try(context: Context, manifest: Manifest, store: Store, level: Level) -> None:
    _need_key(context, manifest)
    restorer = engines.restorer(manifest.engine)
    if level == "decode":
        feed(context, manifest, store, restorer.decode(context, manifest))
        return
    with restorer.scratch(context, manifest) as place:
        refuse_source(restorer.inventory(context, place.url).system, manifest.inventory.system)
        full = level == "full"
        feed(context, manifest, store, restorer.restore(context, manifest, place, full=full))
        compare.check(manifest, restorer.inventory(context, place.url))
        if full:
            feed(context, manifest, store, restorer.compare(context, manifest, place))


def _need_key(context: Context, manifest: Manifest) -> None:
    if manifest.recipients:
        try:
            keys.identities(keys.identity(context), manifest)
        except (ConfigurationError, NotPermitted) as error:
            raise Unverifiable(error.what, why=error.why, hint=error.hint) from error


def _line(error: OpsError) -> str:
    return " ".join(str(error).split())
