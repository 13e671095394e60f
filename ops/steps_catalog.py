"""Every module that has steps, so that a process which resumes a run of another one finds them in the registry."""

from __future__ import annotations

from importlib import import_module
from typing import Final

MODULES: Final = (
    "ops.database.target",
    "ops.deploy.build",
    "ops.deploy.checkout",
    "ops.deploy.gate",
    "ops.deploy.hostsetup",
    "ops.deploy.locking",
    "ops.deploy.preflight",
    "ops.deploy.proxy",
    "ops.deploy.prune",
    "ops.deploy.releases",
    "ops.deploy.slots",
    "ops.deploy.static",
    "ops.deploy.verify",
    "ops.services.deployed",
    "ops.services.running",
    "ops.services.shutdown",
    "ops.setup.envfile",
    "ops.setup.init.operation",
    "ops.setup.install",
)


def load() -> None:
    """Import them all."""
    for name in MODULES:
        import_module(name)
