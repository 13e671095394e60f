"""Where an environment lies on its machines."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Place:
    """The folder of an environment on its machines.

    Args:
        base: The folder.
        application: Whose it is.
        environment: And of which environment.
        repository: First commit of the application's repository, the same in every clone; empty when unknown.
    """

    base: str
    application: str
    environment: str
    repository: str = ""

    @property
    def project(self) -> str:
        """Name of its Compose project."""
        return f"{self.application}-{self.environment}"

    def arguments(self) -> dict[str, Any]:
        """Return what every verb is told."""
        owner = {"application": self.application, "environment": self.environment}
        if self.repository:
            owner["repository"] = self.repository
        return {"base": self.base, "owner": owner}
