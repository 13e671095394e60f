"""What only shows when the keys of an environment with hosts or containers are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ops.kernel.settings import addresses
from ops.kernel.settings.document import Parsed
from ops.kernel.settings.environment import Environment
from ops.kernel.settings.faults import did_you_mean
from ops.kernel.settings.lines import KeyPath

OF_COMPOSE: Final = (
    *("hosts", "base_folder"),
    *("bake", "bake_errors", "bake_latency", "rollout", "wave", "warm"),
)
OF_HOSTS: Final = ("gateway", "host_keys", "ssh_key", "allow_down")


def check(parsed: Parsed) -> Iterator[tuple[KeyPath, str]]:
    """Yield every fault of the hosts: where, and what."""
    for name, environment in parsed.group("environments", Environment).items():
        path = ("environments", name)
        if path not in parsed.partial:
            yield from _misplaced(path, environment)
            yield from _doubles(path, environment)
            yield from _unknown_keys(path, environment)
            if environment.rollout != (100,) and not environment.bake:
                yield (*path, "rollout"), "needs a bake above 0s: so long each share is watched"
            yield from _registry(path, environment)
            yield from _after(path, environment, parsed.environments)


def _misplaced(path: KeyPath, environment: Environment) -> Iterator[tuple[KeyPath, str]]:
    if environment.target != "compose":
        wrong = [key for key in (*OF_COMPOSE, *OF_HOSTS) if key in environment.model_fields_set]
        needs = 'target = "compose"'
    else:
        given = environment.model_fields_set
        wrong = [] if environment.hosts else [key for key in OF_HOSTS if key in given]
        needs = "hosts"
    for key in wrong:
        yield (*path, key), f"needs {needs}"


def _doubles(path: KeyPath, environment: Environment) -> Iterator[tuple[KeyPath, str]]:
    seen: set[str] = set()
    for place, text in enumerate(environment.hosts):
        name = addresses.parse(text).name
        if name in seen:
            yield (*path, "hosts", place), f"names {name} again"
        seen.add(name)


def _unknown_keys(path: KeyPath, environment: Environment) -> Iterator[tuple[KeyPath, str]]:
    every = [*environment.hosts, *filter(None, [environment.gateway])]
    known = [addresses.parse(text).name for text in every]
    for name in environment.host_keys:
        if known and name not in known:
            yield (*path, "host_keys", name), (
                f"is the key of a host that is not here: known are {', '.join(known)}"
                f"{did_you_mean(name, known)}"
            )


def _registry(path: KeyPath, environment: Environment) -> Iterator[tuple[KeyPath, str]]:
    login = ("registry_user", "registry_password")
    given = [key for key in login if getattr(environment, key)]
    for key in given:
        if not environment.registry:
            yield (*path, key), "needs registry"
    if len(given) == 1:
        missing = login[1 - login.index(given[0])]
        yield (*path, given[0]), f"needs {missing}"


def _after(
    path: KeyPath, environment: Environment, known: list[str]
) -> Iterator[tuple[KeyPath, str]]:
    after = environment.policy.after
    if after and (after not in known or after == path[-1]):
        others = [each for each in known if each != path[-1]]
        there = f"there is only {', '.join(others)}" if others else "there is none"
        yield (*path, "policy", "after"), (
            f"is {after[:60]!r}, which is no other environment: {there}{did_you_mean(after, others)}"
        )
