"""Applications that run in containers of a Compose file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.settings.conftest import Faults, Load

CONTAINERS = """\
[app]
name = "shop"
default_environment = "production"

[services.web]
container = 8000
health = "/ready"
health_version = "version"

[services.worker]

[compose]
files = ["compose.yaml", "compose.production.yaml"]
profiles = ["workers"]

[environments.production]
target = "compose"
"""


def test_in_containers_a_service_needs_no_command(load: Load) -> None:
    settings = load(CONTAINERS)
    assert settings.services["web"].container_port == 8000
    assert settings.services["worker"].route == ()
    assert settings.compose.files == (Path("compose.yaml"), Path("compose.production.yaml"))
    assert settings.compose.profiles == ("workers",)
    assert settings.environment.proxy_image == "haproxy:2.8"


def test_on_this_machine_it_does(faults_of: Faults) -> None:
    found = faults_of(CONTAINERS + '\n[environments.local]\ntarget = "local"\n')
    assert [each.partition(": ")[2] for each in found] == [
        "services.web has neither command nor static",
        "services.worker has neither command nor static",
    ]


def test_health_without_requests_is_told(faults_of: Faults) -> None:
    (found,) = faults_of(
        CONTAINERS.replace("[services.worker]", '[services.worker]\nhealth = "/h"')
    )
    assert "services.worker.health needs a web service" in found


def test_a_new_version_is_watched_and_the_old_one_stays_warm(load: Load) -> None:
    chosen = load(CONTAINERS).environment
    assert (chosen.bake, chosen.bake_errors, chosen.bake_latency) == (10.0, 2.0, 3.0)
    assert (chosen.rollout, chosen.wave, chosen.warm) == ((100,), None, 3600.0)
    text = 'bake = "1m"\nbake_errors = 0.5\nrollout = [5, 25, 100]\nwave = "25%"\nwarm = 0\n'
    chosen = load(CONTAINERS + text).environment
    assert (chosen.bake, chosen.bake_errors, chosen.warm) == (60.0, 0.5, 0.0)
    assert (chosen.rollout, chosen.wave) == ((5, 25, 100), "25%")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('bake = "soon"', 'bake must be a duration such as "35s"'),
        ("bake = true", "bake must be a duration"),
        ("bake_errors = 101", "bake_errors must be at most 100"),
        ('bake_errors = "5"', "bake_errors must be a number"),
        ("bake_latency = 0.5", "bake_latency must be at least 1"),
        ("rollout = []", "rollout must be rising percents that end with 100"),
        ("rollout = [5, 25]", "rollout must be rising percents"),
        ("rollout = [25, 5, 100]", "rollout must be rising percents"),
        ("rollout = [0, 100]", "rollout must be rising percents"),
        ("rollout = [5, 5, 100]", "rollout must be rising percents"),
        ("rollout = 100", "rollout must be rising percents"),
        ("wave = 0", "wave must be a number of hosts"),
        ('wave = "0%"', "wave must be a number of hosts"),
        ("wave = 1.5", "wave must be a number of hosts"),
        ('warm = "-1s"', "warm must be a duration"),
    ],
)
def test_a_wrong_roll_out_is_one_line(faults_of: Faults, line: str, words: str) -> None:
    (found,) = faults_of(f"{CONTAINERS}{line}\n")
    assert found.startswith("ops.toml:18: environments.production.") and words in found


def test_processes_of_this_machine_are_not_rolled_out(faults_of: Faults) -> None:
    local = '[app]\nname = "shop"\n[environments.development]\ntarget = "local"\nbake = "1m"\n'
    (found,) = faults_of(local)
    assert 'environments.development.bake needs target = "compose"' in found


def test_shares_without_a_watch_are_refused(faults_of: Faults) -> None:
    (found,) = faults_of(f'{CONTAINERS}rollout = [5, 100]\nbake = "0s"\n')
    assert "environments.production.rollout needs a bake above 0s" in found
