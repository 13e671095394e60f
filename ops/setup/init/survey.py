"""What is known of a repository before its services are described."""

from __future__ import annotations

from dataclasses import dataclass, field

from ops.setup.init.code import Code
from ops.setup.init.compose import Compose
from ops.setup.init.dependencies import Dependencies
from ops.setup.init.node import Front
from ops.setup.init.processes import Process
from ops.setup.init.repository import Repository


@dataclass
class Survey:
    """What is known before services are described.

    Args:
        repository: The files.
        code: What Python sources say.
        dependencies: The Python packages.
        compose: What the Compose file says.
        declared: Processes of Compose file, Procfile and Dockerfiles, best source first.
        front: What the front end's configuration says.
        health: Health path of a Helm chart, may be empty.
    """

    repository: Repository
    code: Code
    dependencies: Dependencies
    compose: Compose
    declared: list[Process] = field(default_factory=list)
    front: Front = field(default_factory=Front)
    health: str = ""
