"""What serves outlives Docker's daemon when it has live-restore; without it the same deploy brings everything back.

The tests of this file follow each other on one host.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from ops.kernel.context import Context
from ops.setup.server import reached, steps
from tests.faults.prober import probing
from tests.support.docker.deployed import Small, small
from tests.support.docker.hosts import Host, hosts
from tests.support.docker.servers import SETTINGS
from tests.support.local import eventually
from tests.support.machines import World, world
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")
ITEM: dict[str, dict[str, str]] = {"daemon": {}}


@pytest.fixture(scope="module")
def host(docker_engine: None) -> Iterator[Host]:
    with hosts(1) as (made,):
        yield made


@pytest.fixture(scope="module")
def app(host: Host) -> Iterator[Small]:
    """The application, deployed on the host."""
    with place() as base, small(base, hosts=[host]) as made:
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


@pytest.fixture
def made() -> Iterator[World]:
    with world() as one:
        yield one
    for each in reached._known.values():
        each.close()


def context(made: World, host: Host) -> Context:
    return made.context(
        hosts=[address(host)],
        host_keys={host.address: host.fingerprint},
        ssh_key=f"file:{host.folder / 'key'}",
    )


def address(host: Host) -> str:
    return f"root@{host.address}"


def differs(made: World, host: Host) -> str:
    """Return what `setup.server` would say of Docker's daemon."""
    found = steps.look(context(made, host), address(host), ITEM, False)
    return str(found["stays_off"] or found["items"]["daemon"])


def change(made: World, host: Host) -> None:
    """Do what `setup.server` does about it."""
    steps.change(context(made, host), address(host), "daemon", "", "root", "")


def is_on(host: Host) -> bool:
    return "true" in host.inside("docker", "info", "--format={{.LiveRestoreEnabled}}")


def containers(host: Host) -> list[str]:
    """Return each container with the time of its start."""
    form = "--format={{.Name}} {{.State.Status}} {{.State.StartedAt}}"
    ids = host.inside("docker", "ps", "--all", "--quiet").split()
    return sorted(host.inside("docker", "inspect", form, *ids).splitlines())


def answer(app: Small, host: Host) -> str:
    """Return the release that answers from outside, empty when nothing does."""
    with closing(http.client.HTTPConnection(host.address, app.port, timeout=5)) as connection:
        try:
            return asked(connection)
        except OSError:
            return ""


def asked(connection: http.client.HTTPConnection) -> str:
    connection.request("GET", "/health")
    return str(json.load(connection.getresponse())["version"])


def test_without_it_a_killed_daemon_ends_all_and_the_same_deploy_brings_it_back(
    app: Small, host: Host
) -> None:
    release = answer(app, host)
    host.stop_engine("KILL")
    assert answer(app, host) == release
    host.start_engine()  # ends what it finds, and takes it for stopped by hand
    assert eventually(lambda: not answer(app, host), 30)
    drift = app.run("drift")
    assert drift.code == 1, drift.text
    for name in ("web-blue", "worker-blue", "invops-proxy", "db", "cache"):
        assert any(name in line and "exited" in line for line in drift.out.splitlines()), drift.out
    ran = app.deploy()
    assert (ran.code, "started: it does not run" in ran.out) == (0, True), ran.text
    assert answer(app, host) == release
    assert app.run("drift").code == 0
    assert "nothing to change" in app.deploy().out


def test_node_of_a_swarm_stays_without_it(host: Host, made: World) -> None:
    host.inside("docker", "swarm", "init", "--advertise-addr=127.0.0.1")
    try:
        assert "it is a node of a swarm" in differs(made, host)
        change(made, host)
        assert not is_on(host) and not host.inside("ls", SETTINGS, check=False)
    finally:
        host.inside("docker", "swarm", "leave", "--force")


def test_settings_that_the_daemon_refuses_are_as_before(host: Host, made: World) -> None:
    host.inside("tee", SETTINGS, given=b'{"no-such-setting": 1}')
    with pytest.raises(Exception, match="does not take live-restore") as caught:
        change(made, host)
    assert "is as before" in str(caught.value)
    assert host.inside("cat", SETTINGS) == '{"no-such-setting": 1}'
    host.inside("rm", SETTINGS)


def test_daemon_takes_it_without_a_restart(app: Small, host: Host, made: World) -> None:
    host.inside("tee", SETTINGS, given=b'{"labels": ["rack=7"]}')
    before, process = containers(host), host.inside("pgrep", "-x", "dockerd")
    assert (differs(made, host), is_on(host)) == ("off", False)
    change(made, host)
    assert (differs(made, host), is_on(host)) == ("", True)
    assert "rack=7" in host.inside("docker", "info", "--format={{.Labels}}")
    assert (containers(host), host.inside("pgrep", "-x", "dockerd")) == (before, process)


def test_with_it_the_application_answers_while_the_daemon_is_away_and_when_it_is_back(
    app: Small, host: Host
) -> None:
    before, release = containers(host), answer(app, host)
    with closing(http.client.HTTPConnection(host.address, app.port, timeout=5)) as connection:
        with probing(app.port, host.address) as answers:
            assert asked(connection) == release
            host.stop_engine("KILL")
            ran = app.deploy()
            assert (ran.code, "Cannot connect to the Docker daemon" in ran.err) == (
                4,
                True,
            ), ran.text
        answers.assert_all_good()
        # For a moment of its start Docker has no rules for published ports: new connections are refused.
        host.start_engine()
        assert asked(connection) == release  # it was there all the time
    assert eventually(lambda: answer(app, host) == release, 30)
    with probing(app.port, host.address) as answers:
        assert containers(host) == before
        ran = app.run("drift")
        assert ran.code == 0, ran.text
        assert "nothing to change" in app.deploy().out
        new = app.release()
        ran = app.deploy()
        assert ran.code == 0, ran.text
    answers.assert_all_good()
    assert answers.versions == [release, new]
