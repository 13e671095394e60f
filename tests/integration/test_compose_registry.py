"""A registry with a login between the deployer and two environments on a host; nothing of the login stays."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import pytest

from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.docker.hosts import Host, hosts
from tests.support.docker.images import image
from tests.support.docker.staged import production_of, watched_docker
from tests.support.local import eventually
from tests.support.places import free_port, place

pytestmark = pytest.mark.usefixtures("docker_engine")

USER, PASSWORD = "deployer", "the-password-of-the-registry"
REGISTRY = """\
registry = "{registry}/shop"
registry_user = "env:REGISTRY_USER"
registry_password = "env:REGISTRY_PASSWORD"
"""
LOGIN = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def host(docker_engine: None) -> Iterator[Host]:
    with hosts(1) as made:
        made[0].wait_engine()
        yield made[0]


@pytest.fixture(scope="module")
def registry(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a registry that wants a login: the same here and on the host, on 127.0.0.1."""
    folder, port = tmp_path_factory.mktemp("registry"), free_port()
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
    (folder / "htpasswd").write_text(f"{USER}:{hashed}\n")
    variables = {"": "htpasswd", "_HTPASSWD_REALM": "tests", "_HTPASSWD_PATH": "/auth/htpasswd"}
    given = [f"--env=REGISTRY_AUTH{name}={value}" for name, value in variables.items()]
    published = (f"--publish=127.0.0.1:{port}:5000", f"--volume={folder}:/auth:ro")
    container = docker("run", "--detach", *published, *given, image("registry")).strip()
    try:
        with reached(host, port):
            yield f"127.0.0.1:{port}"
    finally:
        docker("rm", "--force", "--volumes", container)


@contextmanager
def reached(host: Host, port: int) -> Iterator[None]:
    """Let the host reach a port of this machine at its own 127.0.0.1."""
    options = (
        *("BatchMode=yes", "IdentitiesOnly=yes", "ExitOnForwardFailure=yes"),
        f"UserKnownHostsFile={host.folder / 'known_hosts'}",
    )
    way = f"127.0.0.1:{port}:127.0.0.1:{port}"
    command = ["ssh", "-F", "none", "-N", "-i", str(host.folder / "key"), "-p", str(host.port)]
    command += [f"-o{each}" for each in options] + ["-R", way, "root@127.0.0.1"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as forward:
        try:
            listening = ("sh", "-c", f"ss -ltn | grep -c ':{port} ' || true")
            assert eventually(lambda: host.inside(*listening).strip() not in ("", "0"), 30)
            yield
        finally:
            forward.terminate()


@pytest.fixture(scope="module")
def staging(host: Host, registry: str) -> Iterator[Small]:
    with place() as home, small(home, hosts=[host]) as made:
        made.variables = LOGIN
        made.edit(
            "ops.toml",
            "registry_image",
            REGISTRY.format(registry=registry) + "registry_image",
        )
        made.commit("with a registry")
        yield made


def inside(host: Host, site: Small) -> dict[str, str]:
    """Return the image of each container of an environment on the host."""
    form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    label = f"label=com.docker.compose.project={site.project}"
    listed = host.inside("docker", "ps", "--format", form, "--filter", label).splitlines()
    ids = dict(line.split() for line in listed)
    if not ids:
        return {}
    shown = host.inside("docker", "inspect", "--format", "{{.Image}}", *ids.values()).split()
    return dict(zip(ids, shown, strict=True))


def version(host: Host, site: Small) -> str:
    ask = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
    return host.inside("python3", "-c", ask, f"http://127.0.0.1:{site.port}/health")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"REGISTRY_PASSWORD": "wrong-password"}, 5, "refuses the login"),
        ({"REGISTRY_PASSWORD": ""}, 3, "REGISTRY_PASSWORD"),
    ],
)
def test_wrong_login_is_one_line_before_anything_changes(
    staging: Small, host: Host, change: dict[str, str], code: int, words: str
) -> None:
    ran = staging.deploy(**change)
    assert ran.code == code, ran.text
    (line,) = [each for each in ran.err.splitlines() if each.startswith("error: ")]
    assert words in line
    assert inside(host, staging) == {}


def test_registry_that_is_down_is_one_line_before_anything_changes(
    staging: Small, host: Host, registry: str
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        staging.edit("ops.toml", f'"{registry}/', f'"{address}/')
        try:
            ran = staging.deploy()
        finally:
            staging.edit("ops.toml", f'"{address}/', f'"{registry}/')
    assert ran.code == 4, ran.text
    (line,) = [each for each in ran.err.splitlines() if each.startswith("error: ")]
    assert f"registry {address} does not answer" in line
    assert inside(host, staging) == {}


def test_images_go_by_digest_and_the_login_leaves_nothing(staging: Small, host: Host) -> None:
    proxy = image("haproxy")
    host.inside("docker", "rmi", proxy)  # the host cannot fetch it either
    ran = staging.deploy()
    assert ran.code == 0, ran.text
    assert PASSWORD not in ran.text
    base = f"/var/lib/invops-tests/{staging.environment}"
    found = host.inside("sh", "-c", f"grep -rl {PASSWORD} {base} /root 2>/dev/null || true")
    assert found == ""
    assert host.inside("sh", "-c", f"ls -d {base}/.login-* 2>/dev/null || true") == ""
    config = Path.home() / ".docker" / "config.json"
    assert not config.exists() or PASSWORD not in config.read_text()
    assert host.inside("docker", "image", "ls", "--quiet", proxy)


@pytest.mark.parametrize("shared", [True, False], ids=["same registry", "without a registry"])
def test_production_takes_the_same_images_and_builds_none(
    staging: Small, host: Host, registry: str, tmp_path: Path, shared: bool
) -> None:
    policy = '\n[environments.{name}.policy]\nafter = "{staging}"\n'
    without = "" if shared else REGISTRY.format(registry=registry)
    with production_of(staging, policy, without=without) as production:
        production.variables = LOGIN
        assert staging.deploy().code == 0
        variables, log = watched_docker(tmp_path)
        with place() as production.base:  # another machine of CI
            ran = production.deploy(**variables)
            assert ran.code == 0, ran.text
        asked = set(log.read_text().split())
        assert "build" not in asked
        assert bool({"push", "run"} & asked) is not shared, asked
        mine, theirs = inside(host, production), inside(host, staging)
        assert mine["web-blue"] in theirs.values()
        assert version(host, production) == version(host, staging)
        names = ("docker", "image", "ls", "--digests", "--format", "{{.Repository}} {{.Digest}}")
        assert registry not in host.inside(*names), "only our own names stay"
