"""Which hosts of an environment a run is about: `--limit`, and hosts that are down.

The settings carry it, so that the lock, every plan, every step and a run that is resumed are about the same hosts;
`ops.hosts.machines.of` is where it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ops.kernel.errors import ConfigurationError
from ops.kernel.settings import addresses
from ops.kernel.settings.faults import did_you_mean
from ops.kernel.settings.models import Settings

THIS: Final = "localhost"
"""Name of this machine as the only one of an environment."""
NOT_NAMED: Final = "--limit"
"""Why a host is left out that `--limit` does not name."""


def names(settings: Settings) -> list[str]:
    """Return the names of all machines of the environment, in the order of ops.toml."""
    return [addresses.parse(each).name for each in settings.environment.hosts] or [THIS]


def limited(settings: Settings, hosts: Sequence[str]) -> Settings:
    """Return settings for some hosts only.

    Args:
        settings: Of the environment.
        hosts: Names as they were typed, with or without user; none for all.

    Raises:
        ConfigurationError: The environment has no such host.
    """
    known = names(settings)
    wanted = [each.rpartition("@")[2] for each in hosts]
    for each in wanted:
        if each not in known:
            raise ConfigurationError(
                f"{settings.name} has no host {each[:60]!r}{did_you_mean(each, known)}",
                why=f"it has {', '.join(known)}",
            )
    if not wanted:
        return settings
    return without(settings, {each: NOT_NAMED for each in known if each not in wanted})


def without(settings: Settings, hosts: Mapping[str, str]) -> Settings:
    """Return settings that leave hosts alone.

    Args:
        settings: Of the environment.
        hosts: Why, by name.
    """
    if not hosts:
        return settings
    return settings.model_copy(update={"left_out": {**settings.left_out, **hosts}})
