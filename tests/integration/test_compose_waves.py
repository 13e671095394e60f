"""The roll-out on two hosts: wave by wave, and all of them back when one is worse."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.test_compose_bake import settings
from tests.support.docker.deployed import Small, small
from tests.support.docker.hosts import Host, hosts
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")


@pytest.fixture(scope="module")
def two(docker_engine: None) -> Iterator[list[Host]]:
    with hosts(2) as made:
        yield made


@pytest.fixture(scope="module")
def site(two: list[Host]) -> Iterator[Small]:
    with place() as base, small(base, hosts=two) as made:
        yield made


def answer(site: Small, host: Host) -> str:
    """Return the release that answers on a host, or what went wrong."""
    try:
        with urllib.request.urlopen(f"http://{host.address}:{site.port}/", timeout=10) as got:
            return str(json.loads(got.read())["version"])
    except urllib.error.HTTPError as error:
        return str(error.code)


@contextmanager
def asked(site: Small, host: Host) -> Iterator[list[str]]:
    """Ask a host all the time; give the answers."""
    answers: list[str] = []
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            answers.append(answer(site, host))

    asking = threading.Thread(target=work)
    asking.start()
    try:
        yield answers
    finally:
        over.set()
        asking.join()


def test_bad_bake_on_the_second_host_switches_both_back(site: Small, two: list[Host]) -> None:
    first, second = two
    ran = site.deploy()
    assert ran.code == 0, ran.text
    before = answer(site, first)
    settings(site, bake='"3s"', wave="1")
    release = site.release("sour")
    shown = site.deploy("--dry-run").out
    names = [f"127.0.0.1:{host.port}" for host in two]
    assert f"{names[0]}; then {names[1]}" in shown

    with asked(site, second) as answers:
        ran = site.deploy()

    print(ran.text)
    assert ran.code == 1, ran.text
    done = [line.partition("] [deploy] ")[2] for line in ran.err.splitlines()]
    order = [f"done: Watch {names[0]}", f"started: Switch {names[1]}", f"failed: Watch {names[1]}"]
    order += [f"undone: Switch {names[1]}", f"undone: Switch {names[0]}"]
    at = [next(i for i, line in enumerate(done) if line.startswith(words)) for words in order]
    assert at == sorted(at), done
    assert f"{names[1]}: web: new " in ran.err
    assert [answer(site, host) for host in two] == [before, before]
    assert release in answers and "500" in answers, "the new version answered until it was worse"
    assert site.last_run() == "undone"
