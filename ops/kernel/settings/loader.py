"""Read ops.toml and the variables, choose the environment, answer with settings or all faults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from ops.kernel import redact
from ops.kernel.settings import checks, document, variables
from ops.kernel.settings.data import Backup, Cleanup, Database, Maintenance, Migrations
from ops.kernel.settings.document import Parsed, dotted
from ops.kernel.settings.environ import variables as of_process
from ops.kernel.settings.faults import Fault, WrongSettings, did_you_mean
from ops.kernel.settings.models import (
    App,
    Compose,
    Environment,
    Hooks,
    Python,
    Service,
    Settings,
    Source,
)


def load(
    environment: str = "",
    *,
    start: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """See `ops.kernel.settings.load`."""
    given = of_process() if environ is None else environ
    parsed = document.read(document.find(start))
    checks.check(parsed)
    name, source = _choose(parsed, environment, given)
    environments = parsed.group("environments", Environment)
    chosen = environments.get(name)
    reading = variables.read(given, name, bool(chosen and chosen.protected))
    app = parsed.one("app", App)
    _require_shared_state(parsed, name, chosen, reading)
    if parsed.faults or reading.faults or chosen is None or app is None:
        raise WrongSettings([*parsed.faults, *reading.faults])
    sources = _sources(parsed) | reading.sources | {"name": source}
    if "database_url" in reading.values and "database" in parsed.raw:
        environments[name] = chosen.model_copy(update={"database_url": "env:DATABASE_URL"})
        sources[f"environments.{name}.database_url"] = Source("variable", "DATABASE_URL")
    return _assemble(parsed, app, name, environments, reading, sources)


def _choose(parsed: Parsed, argument: str, environ: Mapping[str, str]) -> tuple[str, Source]:
    app = parsed.one("app", App)
    variable = environ.get("ENVIRONMENT", "").strip()
    default = app.default_environment if app else ""
    names = parsed.environments
    if argument:
        name, source, said = argument, Source("argument", "--env"), "--env"
    elif variable:
        name, source, said = variable, Source("variable", "ENVIRONMENT"), "ENVIRONMENT"
    else:
        written = _sources(parsed).get("app.default_environment")
        name, source, said = default, written or Source("default"), ""
    if names and name and name not in names:
        there = f"there is only {', '.join(names)}{did_you_mean(name, names)}"
        if said:
            parsed.faults.append(Fault("", 0, said, f"is {name[:60]!r}, {there}"))
        elif source.kind == "default":
            parsed.fault(
                ("app",), f"has no default_environment, and {name!r} does not exist: {there}"
            )
    return name, source


def _require_shared_state(
    parsed: Parsed, name: str, chosen: Environment | None, reading: variables.Reading
) -> None:
    """A CI runner's folder vanishes with the journal in it. Source: DESIGN.md 7."""
    shared = "options.state_url" in reading.sources
    if chosen and chosen.protected and not chosen.state and not shared:
        what = 'needs OPS_STATE_URL; or write state = "local" to keep the journal in .ops/'
        parsed.fault(("environments", name, "protected"), what)


def _sources(parsed: Parsed) -> dict[str, Source]:
    file = document.shown(parsed.file)
    return {dotted(path): Source("file", f"{file}:{line}") for path, line in parsed.lines.items()}


def _assemble(
    parsed: Parsed,
    app: App,
    name: str,
    environments: Mapping[str, Environment],
    reading: variables.Reading,
    sources: Mapping[str, Source],
) -> Settings:
    options = reading.options()
    for _, value in options:
        if isinstance(value, SecretStr):
            _hide(value.get_secret_value())
    return Settings(
        app=app,
        python=parsed.one("python", Python),
        services=parsed.group("services", Service),
        database=parsed.one("database", Database),
        migrations=parsed.one("migrations", Migrations),
        backup=parsed.one("backup", Backup) or Backup(),
        cleanup=parsed.group("cleanup", Cleanup),
        maintenance=parsed.one("maintenance", Maintenance) or Maintenance(),
        compose=parsed.one("compose", Compose) or Compose(),
        hooks=parsed.one("hooks", Hooks) or Hooks(),
        environments=environments,
        folder=parsed.file.parent,
        name=name,
        options=options,
        sources=sources,
        ignored=reading.ignored,
    )


def _hide(value: str) -> None:
    # A URL without password and query is no secret: messages may name it.
    if redact.mask_url(value) != value:
        redact.CENTRAL.add(value)
