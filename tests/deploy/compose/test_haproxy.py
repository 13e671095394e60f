"""The proxy's configuration for containers: what it says, and that HAProxy takes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.deploy.compose import haproxy
from ops.hosts.agent import proxy as agent
from ops.hosts.agent.certificate import placeholder
from ops.hosts.agent.routes import active_in, digest_in
from ops.hosts.haproxy import KEEP_ALIVE_SECONDS
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.models import Service
from tests.conftest import require

WEB = Service(container=8000, health="/ready", live="/live", route=("/",))
API = Service(container=9000, route=("/api",))
SERVICES = {"web": WEB, "api": API, "worker": Service()}


def config(active: str = "blue", copies: dict[str, int] | None = None) -> str:
    return haproxy.config("shop-prod", SERVICES, copies or {}, active)


def lines(start: str, text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(start)]


def test_slots_are_names_and_only_the_active_one_is_enabled() -> None:
    text = config("green")
    assert [line for line in lines("server", text) if "probe" not in line] == [
        "server blue web-blue:8000 disabled",
        "server green web-green:8000",
        "server blue api-blue:9000 disabled",
        "server green api-green:9000",
    ]
    assert lines("default-server", text)[0] == (
        "default-server check inter 500ms fastinter 100ms downinter 100ms fall 3 rise 1 "
        "resolvers docker resolve-prefer ipv4 init-addr none"
    )
    assert "worker" not in text


@pytest.mark.parametrize("active", ["blue", "green", ""])
def test_the_slot_that_serves_is_found_in_the_text(active: str) -> None:
    assert active_in(config(active)) == active
    assert active_in(config(active, {"web": 3, "api": 2})) == active


def test_copies_have_a_server_each() -> None:
    text = config("blue", {"web": 3})
    assert [line for line in lines("server", text) if " web-" in line and "probe" not in line] == [
        *(f"server blue{number} web-blue:8000" for number in (1, 2, 3)),
        *(f"server green{number} web-green:8000 disabled" for number in (1, 2, 3)),
    ]


def test_the_structure_is_the_same_for_both_slots_and_named() -> None:
    assert digest_in(config("blue")) == digest_in(config("green")) != ""
    assert digest_in(config("blue", {"web": 2})) != digest_in(config("blue"))


def test_each_slot_of_each_service_can_be_asked_by_itself() -> None:
    text = config()
    for name in ("web-blue:8000", "web-green:8000", "api-blue:9000", "api-green:9000"):
        head = f"backend :probe-{name.partition(':')[0]}\n  retries 0\n  timeout connect 1s\n"
        assert f"{head}  server probe {name} " in text
    assert f"use_backend :probe-%[req.hdr({agent.PROBED})]" in text


def test_what_the_agent_must_know_of_the_file_is_the_same_there() -> None:
    assert agent.KEEP_ALIVE_SECONDS == KEEP_ALIVE_SECONDS
    mounted = {
        each["target"] for each in haproxy.container(haproxy.Front("x", 80), "/f")["volumes"]
    }
    assert mounted == {agent.MOUNTED, haproxy.RUN}
    assert f"{agent.MOUNTED}/{agent.MAINTENANCE}" in config()
    assert f"bind {haproxy.RUN}/{agent.PROBE}" in config()


def test_with_tls_the_challenge_comes_before_the_redirect_and_that_before_the_page() -> None:
    text = haproxy.config("shop-prod", SERVICES, {}, "blue", tls=True)
    rules = [line for line in lines("http-request", text) if "return" in line or "redirect" in line]
    assert [agent.CHALLENGE in rules[0], "redirect scheme https" in rules[1]] == [True, True]
    assert "Retry-After" in rules[2]
    assert digest_in(text) != digest_in(config("blue"))


@pytest.mark.parametrize(
    ("tls", "expected"), [(False, {"8080": 8080}), (True, {"80": 8080, "443": 8443})]
)
def test_proxy_has_the_port_of_its_environment_or_those_of_the_web(
    tls: bool, expected: dict[str, int]
) -> None:
    made = haproxy.container(haproxy.Front("x", 8080, tls=tls), "/f")
    published = {each["published"]: each["target"] for each in made["ports"]}
    assert published == expected


def test_two_services_with_one_path_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="/ belongs to two services"):
        haproxy.config("shop", {"a": WEB, "b": WEB}, {})


@pytest.mark.parametrize("copies", [{}, {"web": 3}])
@pytest.mark.parametrize("active", ["blue", "green", ""])
@pytest.mark.parametrize("tls", [False, True])
def test_haproxy_takes_it(active: str, copies: dict[str, int], tls: bool, tmp_path: Path) -> None:
    binary = require("haproxy", "haproxy", "/usr/sbin")
    text = (
        haproxy.config("shop-prod", SERVICES, copies, active, tls=tls)
        .replace(agent.MOUNTED, str(tmp_path))
        .replace(haproxy.RUN, str(tmp_path))
    )
    (tmp_path / agent.MAINTENANCE).write_text("retry-after 0\n")
    (tmp_path / agent.ANSWERS).touch()
    (tmp_path / agent.CERTIFICATE).write_text(placeholder())
    (tmp_path / agent.CONFIG).write_text(text)
    ran = subprocess.run(
        [str(binary), "-c", "-f", str(tmp_path / agent.CONFIG)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr, ran.stderr
