"""Settings: `ops.toml`, the chosen environment and the variables of this process, frozen.

Light on purpose: `environ` is on the launch path, so pydantic is imported only by `load`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.kernel.settings.models import Settings


def load(
    environment: str = "",
    *,
    start: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the nearest `ops.toml` and the variables; choose the environment.

    Args:
        environment: Its name; empty: `ENVIRONMENT`, then `app.default_environment`.
        start: Folder where the search upward begins; default: the current one.
        environ: Variables; default: those of this process.

    Raises:
        WrongSettings: Anything is wrong; all faults at once, each with file and line.
        NotPermitted: The file cannot be read.
    """
    from ops.kernel.settings.loader import load as read

    return read(environment, start=start, environ=environ)
