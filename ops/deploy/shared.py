"""What a deploy has in common, whatever it deploys to. Light: containers without a database load nothing of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ops.deploy import build
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan, Ref, Step
from ops.kernel.report import Report
from ops.kernel.settings import addresses
from ops.kernel.settings.models import Settings

PENDING = "migrations are pending"


def refuse_undescribed(settings: Settings) -> None:
    """Refuse an ops.toml without services."""
    if not settings.services:
        raise ConfigurationError(
            "ops.toml describes no service", hint="add [services.NAME] with a command"
        )


def resolve_secrets(context: Context) -> None:
    """Find out before the first change that a secret is missing."""
    for service in context.settings.services.values():
        for reference in service.secrets.values():
            context.secrets.resolve(reference)


def nothing(operation: str, settings: Settings, release: str) -> Plan:
    """Return the plan for an environment where a release serves already."""
    why = f"{release} serves on {url(settings)}"
    return Plan(operation, settings.name, words(settings), (), nothing=why)


def words(settings: Settings) -> str:
    """Return where an environment of processes runs, for a person."""
    return f"{settings.environment.target} processes of {settings.app.name}"


def url(settings: Settings) -> str:
    """Return where the environment is reached."""
    chosen = settings.environment
    if chosen.domain:
        return f"https://{chosen.domain}"
    hosts = [addresses.parse(each).host for each in chosen.hosts] or ["127.0.0.1"]
    shown = [f"[{host}]" if ":" in host else host for host in hosts]
    port = "" if chosen.port == 80 else f":{chosen.port}"
    return ", ".join(f"http://{host}{port}" for host in shown)


def announce(report: Report, settings: Settings) -> Report:
    """Add to the report of a finished run where the application is reached."""
    if report.exit_code or "run" not in report.data:
        return report
    address = url(settings)
    return replace(
        report, facts={"address": address, **report.facts}, data={**report.data, "address": address}
    )


def hooks(settings: Settings, release: str, name: str) -> list[Step]:
    """Return the steps of one kind of hook."""
    commands = getattr(settings.hooks, name)
    return [
        build.hook.step(f"{name}.{number}", release=release, name=name, command=command)
        for number, command in enumerate(commands, 1)
    ]


def database(context: Context, release: str) -> list[Step]:
    """Return the steps of pending migrations: backup, proof, migration."""
    settings = context.settings
    if settings.database is None or settings.migrations is None:
        return []
    from ops.deploy import gate, safeguard

    return [
        *hooks(settings, release, "before_migrate"),
        safeguard.backup.step(when=PENDING, release=release),
        safeguard.prove.step(
            when=PENDING, backup=Ref("backup", "id"), level=safeguard.level(context)
        ),
        gate.migrate.step(when=PENDING, release=release),
        *hooks(settings, release, "after_migrate"),
    ]


def irreversible(names: Sequence[str]) -> dict[str, str]:
    """Return the words about migrations that no transaction takes back."""
    return (
        {"cannot be undone": f"migrations without a transaction: {', '.join(names)}"}
        if names
        else {}
    )
