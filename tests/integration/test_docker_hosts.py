"""The servers of the tests: each has sshd, a key that is known and an engine of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.docker.engine import docker
from tests.support.docker.hosts import Host, hosts
from tests.support.docker.images import image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def two(docker_engine: None) -> Iterator[list[Host]]:
    with hosts(2) as made:
        yield made


def test_host_runs_containers_on_its_own_engine(two: list[Host]) -> None:
    base = image("base")
    first, second = two
    first.load(base)
    ran = first.ssh(f"docker run --rm {base} cat /etc/debian_version")
    assert (ran.returncode, ran.stdout[:3]) == (0, "12."), ran.stderr
    assert second.ssh("docker image ls --quiet").stdout == ""
    assert first.ssh("docker compose version --short").stdout.startswith("2.")
    assert first.ssh("docker buildx version").returncode == 0
    assert first.ssh("docker info --format {{.Name}}").stdout == f"{first.name}\n"


def test_container_on_a_host_reaches_the_network_and_can_be_entered(two: list[Host]) -> None:
    base, (first, second) = image("base"), two
    first.load(base)
    first.inside("docker", "run", "--detach", "--name=stays", base, "sleep", "infinity")
    ask = f"exec 3<>/dev/tcp/{second.address}/22 && head -c 7 <&3"
    assert first.inside("docker", "exec", "stays", "bash", "-c", ask) == "SSH-2.0"
    first.inside("docker", "rm", "--force", "stays")


def test_key_of_a_host_is_known_beforehand(two: list[Host]) -> None:
    scan = ["ssh-keyscan", "-t", "ed25519", "-p", str(two[0].port), "127.0.0.1"]
    scanned = subprocess.run(scan, capture_output=True, text=True, check=True).stdout
    assert two[0].host_key in scanned
    shown = ["ssh-keygen", "-l", "-f", "-"]
    ran = subprocess.run(shown, input=two[0].host_key, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[1] == two[0].fingerprint


def test_host_whose_network_is_cut_is_silent_and_comes_back(two: list[Host]) -> None:
    waiting = ["ssh", "-F", "none", "-oConnectTimeout=1", "-p", str(two[0].port), "127.0.0.1"]
    with two[0].cut():
        ran = subprocess.run(waiting, capture_output=True, text=True, check=False)
        assert "timed out" in ran.stderr
        assert two[1].ssh("true").returncode == 0
    assert two[0].ssh("true").returncode == 0


def test_connection_that_is_hung_up_ends_and_the_next_one_is_welcome(two: list[Host]) -> None:
    options = ["-F", "none", f"-oUserKnownHostsFile={two[0].folder}/known_hosts"]
    to = ["-i", str(two[0].folder / "key"), "-p", str(two[0].port), "root@127.0.0.1"]
    with subprocess.Popen(
        ["ssh", *options, *to, "echo in; sleep infinity"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stdout.readline() == b"in\n"
        two[0].hang_up()
        assert process.wait() == 255
    assert two[0].ssh("true").returncode == 0


@pytest.mark.parametrize(("signal", "left"), [("TERM", ""), ("KILL", "sleep")])
def test_engine_of_a_host_stops_and_starts(two: list[Host], signal: str, left: str) -> None:
    base, host = image("base"), two[1]
    host.load(base)
    host.inside("docker", "run", "--detach", "--init", "--name=stays", base, "sleep", "infinity")
    host.stop_engine(signal)
    assert host.ssh("docker ps").returncode != 0
    assert host.ssh("ps -C sleep -o comm=").stdout.strip() == left
    host.start_engine()
    host.inside("docker", "rm", "--force", "stays")


def test_bare_host_has_no_docker(docker_engine: None) -> None:
    with hosts(1, bare=True) as (host,):
        assert host.ssh("command -v docker; python3 --version").stdout.startswith("Python 3")


def test_nothing_is_left_of_hosts_whose_test_fails(docker_engine: None) -> None:
    with pytest.raises(ZeroDivisionError), hosts(1, bare=True) as (host,):
        raise ZeroDivisionError
    network = host.name.rpartition("-")[0]
    for kind in (("ps", "--all"), ("network", "ls")):
        assert not docker(*kind, "--quiet", f"--filter=name={network}")


def test_hosts_of_a_test_that_was_killed_are_removed_by_the_next(docker_engine: None) -> None:
    program = """
import os, signal
from tests.support.docker.hosts import hosts
with hosts(1, bare=True) as (host,):
    print(host.name, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    name = ran.stdout.strip()
    assert docker("ps", "--quiet", f"--filter=name={name}"), ran.stderr
    with hosts(1, bare=True):
        assert not docker("ps", "--all", "--quiet", f"--filter=name={name}")
