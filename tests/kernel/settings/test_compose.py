"""Applications that run in containers of a Compose file."""

from __future__ import annotations

from pathlib import Path

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
