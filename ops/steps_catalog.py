"""Every module that has steps, so that a process which resumes a run of another one finds them in the registry."""

from __future__ import annotations

from importlib import import_module
from typing import Final

MODULES: Final = (
    "ops.backup.beside",
    "ops.backup.drill",
    "ops.backup.keypair",
    "ops.backup.operation",
    "ops.backup.prune",
    "ops.database.cleanup",
    "ops.database.extensions",
    "ops.database.init",
    "ops.database.optimize_steps",
    "ops.database.target",
    "ops.deploy.build",
    "ops.deploy.checkout",
    "ops.deploy.compose.front",
    "ops.deploy.compose.images",
    "ops.deploy.compose.kept",
    "ops.deploy.compose.promote",
    "ops.deploy.compose.steps",
    "ops.deploy.compose.watching",
    "ops.deploy.gate",
    "ops.deploy.hostsetup",
    "ops.deploy.locking",
    "ops.deploy.preflight",
    "ops.deploy.proxy",
    "ops.deploy.prune",
    "ops.deploy.releases",
    "ops.deploy.safeguard",
    "ops.deploy.slots",
    "ops.deploy.static",
    "ops.deploy.verify",
    "ops.services.deployed",
    "ops.services.running",
    "ops.services.shutdown",
    "ops.setup.envfile",
    "ops.setup.init.operation",
    "ops.setup.install",
    "ops.setup.migrate",
)


def load() -> None:
    """Import them all."""
    for name in MODULES:
        import_module(name)
