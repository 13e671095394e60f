"""The small Compose application in a repository of its own, deployed by the product as real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.docker.apps import FOLDER
from tests.support.docker.engine import docker
from tests.support.docker.hosts import Host
from tests.support.docker.images import images
from tests.support.places import free_port
from tests.support.project import Project

OPS_TOML = """\
[app]
name = "small"
default_environment = "{name}"
version_variable = "VERSION"

[services.web]
container = 8000
health = "/health"
health_version = "version"
stop_timeout = "10s"

[services.worker]
stop_timeout = "30s"

[environments.{name}]
target = "compose"
port = {port}
base_folder = "{base}"
free_disk = "200MB"
proxy_image = "{proxy}"
bake = "0s"
environment = {{ {variables} }}
"""
HOSTS = """\
registry_image = "{registry}"
ssh_key = "file:{key}"
hosts = [{hosts}]
host_keys = {{ {keys} }}
"""
PROJECT = "com.docker.compose.project"


class Small(Project):
    """The application; `release` makes its next version."""

    @property
    def project(self) -> str:
        """Name of its Compose project."""
        return f"small-{self.environment}"

    def release(self, mode: str = "good") -> str:
        """Commit a new version that works, or fails as `MODE` says; return its release id."""
        text = (self.folder / "ops.toml").read_text(encoding="utf-8")
        now = text.partition('MODE = "')[2].partition('"')[0]
        self.edit("ops.toml", f'MODE = "{now}"', f'MODE = "{mode}"')
        return self.commit(f"{mode} version")

    def without_worker(self) -> None:
        """Commit a version that is a web service alone."""
        for file, first, following in (
            ("ops.toml", "[services.worker]", "[environments"),
            ("compose.yaml", "  worker:", "  cache:"),
        ):
            text = (self.folder / file).read_text(encoding="utf-8")
            self.put(file, text[: text.index(first)] + text[text.index(following) :])
        self.commit("without a worker")

    def deployed_one(self) -> str:
        """Deploy, which must succeed; return the release that answers then."""
        ran = self.deploy()
        assert ran.code == 0, ran.text
        return self.version()

    def version(self) -> str:
        """Return the release that answers through the proxy."""
        return str(self.get("/health").json["version"])

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the containers on this machine's engine by service, as `docker ps` shows them."""
        listed = docker("ps", "--all", "--format=json", f"--filter=label={PROJECT}={self.project}")
        found = [json.loads(line) for line in listed.splitlines()]
        return {
            each["Names"].removeprefix(f"{self.project}-").rpartition("-")[0]: each
            for each in found
        }


@contextmanager
def small(base: Path, *, hosts: Sequence[Host] = ()) -> Iterator[Small]:
    """Give the application in a new repository with one commit; nothing of it is left at the end.

    Args:
        base: OPS_HOME, see `places.place`.
        hosts: Where it runs; on the engine of this machine when there is none.
    """
    named = images("python", "redis", "postgres", "haproxy", "registry")
    with TemporaryDirectory(prefix="invops-app-") as below:
        made = Small(Path(below) / "small", base, f"c{free_port()}", free_port())
        shutil.copytree(FOLDER, made.folder)
        variables = {
            f"{each.upper()}_IMAGE": named[each] for each in ("python", "redis", "postgres")
        }
        variables |= {"APP": made.environment, "VERSION": "next", "MODE": "good"}
        text = OPS_TOML.format(
            name=made.environment,
            port=made.port,
            base=f"/var/lib/invops-tests/{made.environment}" if hosts else base / "containers",
            proxy=named["haproxy"],
            variables=", ".join(f'{name} = "{value}"' for name, value in variables.items()),
        )
        if hosts:
            for host in hosts:
                host.load(named["haproxy"], named["redis"], named["postgres"])
            text += HOSTS.format(
                registry=named["registry"],
                key=hosts[0].folder / "key",
                hosts=", ".join(f'"root@127.0.0.1:{each.port}"' for each in hosts),
                keys=", ".join(f'"127.0.0.1:{each.port}" = "{each.fingerprint}"' for each in hosts),
            )
        made.put("ops.toml", text)
        made.git("init", "--quiet", "--initial-branch", "main")
        made.commit("first")
        try:
            yield made
        finally:
            remove(made)


def remove(made: Small) -> None:
    """Remove its containers, networks and volumes from this machine's engine."""
    mine = f"--filter=label={PROJECT}={made.project}"
    registry = f"--filter=label=invops.registry={made.project}"
    for kind, *words in (
        ("ps", "--all", mine),
        ("network ls", mine),
        ("volume ls", mine),
        ("volume ls", registry),
    ):
        found = docker(*kind.split(), *words, "--quiet").split()
        remove = ("rm", "--force", "--volumes") if kind == "ps" else (kind.split()[0], "rm")
        if found:
            docker(*remove, *found)
