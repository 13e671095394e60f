"""Which environment, which services: what a person named, checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ops.kernel import settings as kernel_settings
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings import environ, limit
from ops.kernel.settings.faults import did_you_mean
from ops.kernel.settings.models import Settings
from ops.setup.workspace import DEVELOPMENT


def settings_of(option: str, hosts: Sequence[str] = ()) -> Settings:
    """Return the settings: without `--env` and ENVIRONMENT those of development, whatever the default is.

    Args:
        option: Value of `--env`, empty for none.
        hosts: Values of `--limit`.

    Raises:
        ConfigurationError: ops.toml has no development environment, or that one no such host.
    """
    return limit.limited(_chosen(option), hosts)


def _chosen(option: str) -> Settings:
    found = kernel_settings.load(option)
    if option or environ.get("ENVIRONMENT").strip() or found.name == DEVELOPMENT:
        return found
    if DEVELOPMENT not in found.environments:
        raise ConfigurationError(
            f"ops.toml has no [environments.{DEVELOPMENT}]",
            why="without --env this is about the development servers",
            hint=f'add [environments.{DEVELOPMENT}] with target = "local", or choose: --env {found.name}',
        )
    return kernel_settings.load(DEVELOPMENT)


def is_development(settings: Settings) -> bool:
    """Say whether the servers run from the working tree."""
    return settings.name == DEVELOPMENT


def refuse_containers(settings: Settings, doing: str) -> None:
    """Refuse to start or stop containers on hosts as if they were processes of this machine.

    Raises:
        ConfigurationError: The environment runs as containers.
    """
    if settings.environment.target != "compose":
        return
    instead = {
        "start": f"inv deploy --env {settings.name} starts what does not run",
        "stop": f"inv maintenance.on --env {settings.name} answers in its place",
    }
    raise ConfigurationError(
        f"{settings.name} runs as containers, which Docker keeps running: there is nothing to {doing} here",
        hint=instead[doing],
    )


def chosen(asked: Iterable[str], known: Sequence[str], default: Sequence[str]) -> list[str]:
    """Return the services that a person asked for, each once.

    Args:
        asked: Names, none for `default`.
        known: What there is.
        default: What none means.

    Raises:
        ConfigurationError: There is no such service.
    """
    names = list(dict.fromkeys(asked)) or list(default)
    for name in names:
        if name not in known:
            there = f"there is {', '.join(known)}" if known else "ops.toml describes none"
            raise ConfigurationError(
                f"there is no service {name[:60]!r} here{did_you_mean(name, known)}", why=there
            )
    return names
