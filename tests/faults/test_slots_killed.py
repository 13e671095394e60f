"""The agent killed before each question to the engine: what serves goes on, and asking again finishes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.hosts.agent.engine import DEFAULT
from tests.support.load import Load
from tests.support.slots import OTHER, Site, another_than, site
from tests.support.sockets import relayed

KILLER = """\
#!/bin/sh
# Counts the commands; before the one that is meant it kills whoever asked.
number=$(($(cat "$COUNT") + 1))
echo $number > "$COUNT"
[ $number -eq "$(cat "$KILL_AT")" ] && kill -9 $PPID && exit 1
DOCKER_HOST= exec {docker} "$@"
"""
LONGEST = 30


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("slots")) as made:
        made.deploy("1")
        made.deploy("2")
        yield made


@pytest.fixture
def variables(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables with which `docker`, and the engine's socket, kill who asks."""
    wrapper, count, at = (tmp_path / name for name in ("docker", "count", "at"))
    wrapper.write_text(KILLER.format(docker=shutil.which("docker")))
    wrapper.chmod(0o755)

    def asked(process: int) -> None:
        number = int(count.read_text()) + 1
        count.write_text(f"{number}\n")
        if number == int(at.read_text()):
            os.kill(process, signal.SIGKILL)

    with relayed(DEFAULT, asked) as path:
        yield {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{path}",
            "COUNT": str(count),
            "KILL_AT": str(at),
        }


def killed_until_done(
    verb: Callable[[dict[str, str]], object], variables: dict[str, str], check: Callable[[], None]
) -> int:
    """Kill a verb before its first question to the engine, then before its second, ..., until it is through.

    Returns:
        How often it was killed.
    """
    for number in range(1, LONGEST):
        Path(variables["COUNT"]).write_text("0")
        Path(variables["KILL_AT"]).write_text(f"{number}")
        try:
            verb(variables)
        except subprocess.CalledProcessError:
            check()
            continue
        return number - 1
    raise AssertionError(f"not through after {LONGEST} kills")


@pytest.mark.timeout(600)
def test_killed_anywhere_nothing_is_lost(here: Site, variables: dict[str, str]) -> None:
    old, before = here.version(), here.serving()
    version, slot = another_than(old), OTHER[before]

    def old_serves() -> None:
        assert here.version() == old

    def one_serves() -> None:
        assert here.version() in (old, version)

    with Load("127.0.0.1", here.port, "/", "/slow", limit=550) as load:
        prepared = killed_until_done(
            lambda given: here.prepare(version, slot, variables=given), variables, old_serves
        )
        switched = killed_until_done(
            lambda given: here.switch(slot, variables=given), variables, one_serves
        )
        retired = killed_until_done(
            lambda given: here.retire(before, variables=given), variables, one_serves
        )
        assert here.version() == version
    assert prepared > 5 and switched > 1 and retired > 1
    counts = load.result()
    assert counts.failed == 0, counts
    assert {json.loads(body)["version"] for body in counts.bodies} == {"1", "2"}


def test_killed_between_its_file_and_its_order_the_proxy_comes_back_with_one_slot(
    here: Site,
) -> None:
    old, before = here.version(), here.serving()
    version, slot = another_than(old), OTHER[before]
    here.prepare(version, slot)
    # What `slots.switch` leaves when it is killed right after it has written the file.
    (here.base / "proxy" / "haproxy.cfg").write_text(here.routes(slot))
    assert here.version() == old

    here.restart_proxy()

    assert (here.serving(), here.version()) == (slot, version)
    here.switch(slot)
    here.retire(before)
    assert here.version() == version


def test_killed_after_its_file_another_release_can_be_prepared(here: Site) -> None:
    old, before = here.version(), here.serving()
    slot = OTHER[before]
    here.prepare(another_than(old), slot)
    (here.base / "proxy" / "haproxy.cfg").write_text(here.routes(slot))

    here.prepare(old, slot)

    assert (here.base / "proxy" / "haproxy.cfg").read_text() == here.routes(before)
    here.restart_proxy()
    assert (here.serving(), here.version()) == (before, old)
