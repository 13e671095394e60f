"""What `config.show`, `config.check` and `config.schema` answer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from ops.kernel import settings as kernel_settings
from ops.kernel.report import Report, Table
from ops.kernel.settings import describe, reference
from ops.kernel.settings.faults import WrongSettings
from ops.kernel.settings.models import Settings


def show(settings: Settings) -> Report:
    """Return every setting with its source; secrets are masked."""
    values = describe.values(settings)
    rows = [(each.key, _text(each.value), str(each.source)) for each in values]
    others = [name for name in settings.environments if name != settings.name]
    facts = {name: f"not used: {why}" for name, why in settings.ignored.items()}
    if others:
        facts["other environments"] = ", ".join(others)
    return Report(
        summary=f"environment {settings.name} ({settings.sources['name']})",
        tables=[Table(("key", "value", "source"), rows)],
        facts=facts,
        data={
            "folder": str(settings.folder),
            "environment": settings.name,
            "values": {
                each.key: {"value": each.value, "source": dataclasses.asdict(each.source)}
                for each in values
            },
            "ignored": dict(settings.ignored),
        },
    )


def check(
    environment: str = "",
    *,
    start: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Report:
    """Return whether the settings are right, with all faults when they are not.

    Args:
        environment: As for `ops.kernel.settings.load`, like the others.
        start: Folder where the search for ops.toml begins.
        environ: Variables.
    """
    try:
        settings = kernel_settings.load(environment, start=start, environ=environ)
    except WrongSettings as error:
        return Report(
            summary=error.what,
            status="error",
            data={"faults": [dataclasses.asdict(fault) for fault in error.faults]},
            exit_code=error.exit_code,
        )
    return Report(
        summary=f"settings are right, environment {settings.name} ({settings.sources['name']})",
        facts={
            "services": ", ".join(settings.services) or "none",
            "environments": ", ".join(settings.environments),
        },
        data={"faults": [], "environment": settings.name},
    )


def schema() -> Report:
    """Return the JSON schema of ops.toml."""
    made = reference.schema()
    return Report("JSON schema of ops.toml", text=json.dumps(made, indent=2), data={"schema": made})


def _text(value: describe.JsonValue) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool | list):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)
