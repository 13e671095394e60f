"""backup, backup.list, backup.prune, backup.verify, backup.restore, backup.key: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import ADMIN, READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(
    level=WRITE,
    kind="backup",
    name="create",
    default=True,
    help={"db_type": "postgres or mysql; must be what ops.toml says (default: that)."},
)
def backup(call: Invocation, db_type: str = "") -> Report:
    """Back the database up: compressed, encrypted and hashed in one pass, with a manifest."""
    from ops.backup import operation
    from ops.hosts import envlock

    report = call.operate(operation.plan, lock=envlock.of, db_type=db_type)
    return operation.announce(report, call.settings.name)


@task(level=READ, kind="verification", name="list")
def list_backups(call: Invocation) -> Report:
    """List the backups of an environment with their proofs, newest first."""
    from ops.backup import listing

    return listing.backups(call.context())


@task(level=ADMIN, kind="backup")
def prune(call: Invocation) -> Report:
    """Remove the backups that the rules of ops.toml do not keep, after a success only."""
    from ops.backup import prune
    from ops.hosts import envlock

    return prune.announce(call.operate(prune.plan, lock=envlock.of))


@task(
    level=WRITE,
    kind="backup",
    help={
        "out": "New file for the secret key (default: .ops/backup.agekey).",
        "prove": "Id of a backup: make no key, open this one with backup.identity.",
    },
)
def key(call: Invocation, out: str = "", prove: str = "") -> Report:
    """Make an age key pair for archives, or prove that an archive opens with the key there is."""
    from ops.backup import keypair

    if prove:
        return keypair.prove(call.context(), prove)
    return keypair.announce(call.operate(keypair.plan, out=out), call.context())


@task(
    level=WRITE,
    kind="backup",
    help={
        "id": "Id of a backup (default: the newest).",
        "level": "hash, decode, data or full (default: data).",
        "full": "The same as --level full: with indexes, constraints and a comparison of the schema.",
    },
)
def verify(call: Invocation, id: str = "", level: str = "data", full: bool = False) -> Report:
    """Prove that a backup can be brought back, on a scratch server, and write the verdict down."""
    from ops.backup import drill
    from ops.hosts import envlock

    wanted = "full" if full else level
    return drill.told(lambda: call.operate(drill.plan, lock=envlock.of, id=id, level=wanted))


@task(
    level=ADMIN,
    kind="backup",
    help={
        "id": "Id of a backup, from inv backup.list.",
        "into": "Name of the new database (default: <database>_restored_<end of the id>).",
        "replace": "Put it in the place of the environment's database, after a safety backup.",
    },
)
def restore(call: Invocation, id: str = "", into: str = "", replace: bool = False) -> Report:
    """Restore a backup into a new database, or in the place of the environment's."""
    from ops.backup import restore
    from ops.hosts import envlock

    report = call.operate(restore.plan, lock=envlock.of, id=id, into=into, replace=replace)
    return restore.told(report, call.settings.name)
