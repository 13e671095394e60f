"""One configuration of the proxy becomes another."""

from __future__ import annotations

import pytest

from ops.deploy.compose import haproxy
from ops.hosts.agent.routes import active_in, digest_in, merged, pinned, routed_as, with_active
from ops.kernel.settings.models import Service

WEB = Service(container=8000, live="/live", route=("/",))
OLD = {"web": WEB, "gone": Service(container=7000, route=("/gone",))}
NEW = {
    "web": WEB.model_copy(update={"container": 9000, "live": "/other"}),
    "more": Service(container=6000, route=("/more",)),
}


def config(services: dict[str, Service], active: str, copies: int = 1) -> str:
    return haproxy.config("shop", services, dict.fromkeys(services, copies), active)


def section(text: str, head: str) -> list[str]:
    found = [part for part in text.split("\n\n") if part.startswith(f"{head}\n")]
    return found[0].rstrip().split("\n")[1:] if found else []


def test_until_the_switch_the_old_routes_hold() -> None:
    text = merged(config(OLD, "blue"), config(NEW, "blue"), "green", "blue")
    assert section(text, "frontend :public") == section(config(OLD, "blue"), "frontend :public")
    assert section(text, "backend web") == section(config(OLD, "blue"), "backend web")
    assert section(text, "backend gone")
    assert active_in(text) == "blue"


def test_the_new_services_can_be_asked_in_their_slot() -> None:
    text = merged(config(OLD, "blue"), config(NEW, "blue"), "green", "blue")
    assert "web-green:9000" in section(text, "backend :probe-web-green")[-1]
    assert "web-blue:8000" in section(text, "backend :probe-web-blue")[-1]
    assert "more-green:6000" in section(text, "backend :probe-more-green")[-1]


@pytest.mark.parametrize("active", ["blue", "green"])
def test_what_serves_is_what_it_was_told_whatever_the_file_said(active: str) -> None:
    assert active_in(merged(config(OLD, "blue"), config(NEW, ""), "green", active)) == active


def test_merging_again_is_the_same_structure() -> None:
    old, new = config(OLD, "blue"), config(NEW, "blue")
    once = merged(old, new, "green", "blue")
    assert digest_in(once) == f"{digest_in(old)}_{digest_in(new)}"
    assert routed_as(digest_in(once)) == digest_in(old) == routed_as(digest_in(old))
    assert merged(once, new, "green", "blue") == once


@pytest.mark.parametrize("active", ["blue", "green", ""])
@pytest.mark.parametrize("copies", [1, 2])
def test_another_slot_made_active_is_what_the_deployer_renders(active: str, copies: int) -> None:
    for before in ("blue", "green", ""):
        assert with_active(config(OLD, before, copies), active) == config(OLD, active, copies)


def test_addresses_are_given_to_the_servers_that_have_one() -> None:
    text = config(OLD, "blue", 2)
    found = pinned(text, {"web/blue1": "10.0.0.1", "web/green2": "10.0.0.2", "web/blue2": ""})
    assert [line for line in found.splitlines() if "init-addr 10." in line] == [
        "  server blue1 web-blue:8000 init-addr 10.0.0.1",
        "  server green2 web-green:8000 init-addr 10.0.0.2 disabled",
    ]
    assert pinned(text, {}) == text


@pytest.mark.parametrize(("before", "now", "name"), [("blue", 2, "blue1"), ("blue1", 1, "blue")])
def test_slot_with_another_number_of_copies_begins_with_the_first(
    before: str, now: int, name: str
) -> None:
    """Without any address the first requests after a reload get a 503."""
    found = pinned(config(OLD, "blue", now), {f"web/{before}": "10.0.0.1"})
    assert [line for line in found.splitlines() if "init-addr 10." in line] == [
        f"  server {name} web-blue:8000 init-addr 10.0.0.1"
    ]
