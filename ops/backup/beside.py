"""The steps of a restore: beside the database that serves, then under a name of its own or in its place.

A database that is being restored has a name that nobody else chooses (`<database>_restoring_<end of the id>`) and a
mark that says whether it is whole, so whatever kills a run, the next one knows what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final

from ops.backup import catalog, compare, engines, make, storage, verify
from ops.backup.engines import Server
from ops.database import target
from ops.kernel.context import Context
from ops.kernel.deadline import minutes
from ops.kernel.steps import Done, step

LIMIT: Final = minutes(240)
LONGEST: Final = 63
"""Bytes of a name: PostgreSQL cuts longer ones silently, MySQL takes 64."""
WORKING: Final = r"_restoring_[0-9a-f]{6}\Z"
MARK: Final = "invops restore:"


@dataclass(frozen=True)
class Safe:
    """The safety backup."""

    id: str


@dataclass(frozen=True)
class Brought:
    """What was restored."""

    tables: int
    rows: int


@dataclass(frozen=True)
class Settled:
    """The new database.

    Args:
        id: Of the backup.
        database: Its name.
        url: Where it is, without password.
        drop: Command that drops it.
    """

    id: str
    database: str
    url: str
    drop: str


@dataclass(frozen=True)
class Swapped:
    """The restored database in its place.

    Args:
        database: Name of the environment's database.
        old: Name of the database that was there before.
        drop: Command that drops that.
        back: Command that puts it back.
    """

    database: str
    old: str
    drop: str
    back: str


def name(database: str, what: str, id: str, number: int = 1) -> str:
    """Return the name of a database beside another one: "shop_restored_3fa2c1"."""
    end = f"_{what}_{id.rpartition('-')[2]}" + (f"_{number}" if number > 1 else "")
    begin = database.encode()[: LONGEST - len(end)].decode(errors="ignore")
    return f"{begin}{end}"


def free(database: str, what: str, id: str, taken: Set[str]) -> str:
    """Return such a name that no database has."""
    number = 1
    while (found := name(database, what, id, number)) in taken:
        number += 1
    return found


def left_overs(database: str, marks: Mapping[str, str]) -> list[str]:
    """Return the databases that killed restores of this one have left, by name and mark.

    A run can be killed before it has written the mark, so one without any is one of ours as well.
    """
    own = re.compile(re.escape(name(database, "restoring", "-000000")[:-6]) + r"[0-9a-f]{6}\Z")
    return sorted(
        each
        for each, mark in marks.items()
        if own.fullmatch(each) and (not mark or mark.startswith(MARK))
    )


def _server(context: Context, backup: str) -> Server:
    return engines.restorer(catalog.find(context, backup).engine).server(context)


def _whole(id: str) -> str:
    return f"{MARK} {id}, whole"


def _replaced(id: str) -> str:
    return f"{MARK} replaced by backup {id}"


def _is_safe(context: Context, backup: str) -> Done | None:
    found = make.made(context)
    if found is not None:
        return Done("taken already", Safe(found.id))
    dumper = engines.dumper(catalog.find(context, backup).engine)
    empty = dumper.empty(context, target.owner_url(context))
    return Done("the database is empty", Safe("")) if empty else None


@step(title="Back up the database as it is", limit=LIMIT, check=_is_safe, interruptible=True)
def safety(context: Context, backup: str) -> Safe:
    """Take a backup of what will be replaced; it stays, whatever happens."""
    return Safe(make.take(context, target.owner_url(context), purpose="restore").id)


def _is_brought(context: Context, backup: str, work: str) -> Done | None:
    there = _server(context, backup).marks().get(work)
    return Done("restored and verified already") if there == _whole(backup) else None


def _take_away(context: Context, result: object, backup: str, work: str) -> None:
    _server(context, backup).drop(work)


@step(
    title="Restore backup {backup} beside, into {work}, and count its rows",
    limit=LIMIT,
    check=_is_brought,
    undo=_take_away,
    interruptible=True,
)
def bring(context: Context, backup: str, work: str) -> Brought:
    """Restore everything into a database of its own, and compare it with the manifest.

    Raises:
        Damaged: The archive is not what the manifest says.
        Differs: The restored database is not.
        StepFailed: The server refuses something of it.
    """
    manifest = catalog.find(context, backup)
    restorer = engines.restorer(manifest.engine)
    server = restorer.server(context)
    for left in left_overs(server.database, server.marks()):
        context.note(f"removing {left}: a killed restore left it")
        server.drop(left)
    place = server.make(manifest, work, f"{MARK} {backup}, half")
    verify.refuse_source(restorer.inventory(context, place.url).system, manifest.inventory.system)
    taker = restorer.restore(context, manifest, place, full=True)
    verify.feed(context, manifest, storage.of(context), taker)
    found = restorer.inventory(context, place.url)
    compare.check(manifest, found)
    server.finish(manifest, work, _whole(backup))
    return Brought(len(found.tables), sum(each.rows for each in found.tables))


def _is_settled(context: Context, backup: str, work: str, name: str) -> Done | None:
    server = _server(context, backup)
    there = server.marks()
    if work in there or not there.get(name, "").startswith(f"{MARK} {backup}"):
        return None
    return Done("it has its name already", _settled(server, backup, name))


def _unsettle(context: Context, result: object, backup: str, work: str, name: str) -> None:
    if _is_settled(context, backup, work, name) is not None:
        _server(context, backup).rename(name, work, _whole(backup))


@step(title="Name it {name}", limit=minutes(2), check=_is_settled, undo=_unsettle)
def settle(context: Context, backup: str, work: str, name: str) -> Settled:
    """Give a restored database its name."""
    server = _server(context, backup)
    server.rename(work, name, f"{MARK} {backup}")
    return _settled(server, backup, name)


def _settled(server: Server, id: str, name: str) -> Settled:
    return Settled(id, name, server.show(name), server.command("drop", name))


def _is_swapped(context: Context, backup: str, work: str, old: str) -> Done | None:
    server = _server(context, backup)
    there = server.marks()
    if work in there or there.get(old) != _replaced(backup):
        return None
    return Done("it is in its place already", _swapped(server, old))


def _swap_back(context: Context, result: object, backup: str, work: str, old: str) -> None:
    if _is_swapped(context, backup, work, old) is not None:
        _server(context, backup).swap(old, work, _whole(backup))


@step(
    title="Put it in the place of the database, which becomes {old}",
    limit=minutes(5),
    check=_is_swapped,
    undo=_swap_back,
)
def swap(context: Context, backup: str, work: str, old: str) -> Swapped:
    """Swap the databases by name, at once.

    Raises:
        StepFailed: Somebody cannot be cut off, such as a prepared transaction.
    """
    server = _server(context, backup)
    server.swap(work, old, _replaced(backup))
    return _swapped(server, old)


def _swapped(server: Server, old: str) -> Swapped:
    return Swapped(server.database, old, server.command("drop", old), server.command("back", old))
