"""Settings of a folder that has no ops.toml yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ops.kernel.settings import environ as process
from ops.kernel.settings import variables
from ops.kernel.settings.faults import WrongSettings
from ops.kernel.settings.models import App, Environment, Settings


def bare(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Return settings with a name and one environment, for what works without ops.toml.

    Args:
        folder: The application's folder, which names it.
        environ: Variables; default: those of this process.

    Raises:
        WrongSettings: A variable is wrong.
    """
    reading = variables.read(
        process.variables() if environ is None else environ, "development", False
    )
    if reading.faults:
        raise WrongSettings(reading.faults)
    name = re.sub(r"^[^a-z]+", "", re.sub(r"[^a-z0-9]+", "-", folder.name.lower()))[:31].strip("-")
    return Settings(
        app=App(name=name or "app"),
        environments={"development": Environment(target="local")},
        folder=folder,
        name="development",
        options=reading.options(),
        sources=reading.sources,
        ignored=reading.ignored,
    )
