"""The small Compose application in slots on this machine's engine, by the agent's verbs alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

from ops.deploy.compose import derived, files, haproxy, model
from ops.deploy.compose.derived import Derived
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.settings.models import Service
from tests.architecture.sources import ROOT
from tests.support.docker.apps import App, app
from tests.support.docker.engine import docker, running
from tests.support.docker.images import image
from tests.support.places import free_port

SERVICES = {
    "web": Service(container=8000, health="/health", health_version="version", stop_timeout=10),
    "worker": Service(stop_timeout=30),
}
OTHER = {"blue": "green", "green": "blue", "": "blue"}


class Told(Exception):
    """A verb said no.

    Args:
        answer: What it said.
    """

    def __init__(self, answer: Mapping[str, str]) -> None:
        super().__init__(f"{answer['what']}: {answer['why']}")
        self.what, self.why, self.kind = answer["what"], answer["why"], answer["kind"]


class Site:
    """An environment on this machine's engine.

    Args:
        app: The application.
        base: The environment's folder.
        port: Of its proxy.
    """

    def __init__(self, app: App, base: Path, port: int) -> None:
        self.app, self.base, self.port = app, base, port
        self.services = dict(SERVICES)
        self.copies: dict[str, int] = {}
        self.lease: dict[str, Any] = {}
        self.lease = {"run": "r1", **self.verb("lease.acquire", run="r1", ttl=3600, holder={})}

    def verb(
        self, name: str, *, variables: Mapping[str, str] | None = None, **given: Any
    ) -> dict[str, Any]:
        """Ask the agent in a process of its own, as a host would.

        Raises:
            Told: It says no.
            subprocess.CalledProcessError: It was killed.
        """
        owner = {"application": "app", "environment": "test"}
        arguments = {"base": str(self.base), "owner": owner, "lease": self.lease, **given}
        ran = subprocess.run(
            [sys.executable, "-m", "ops.hosts.agent", name],
            input=json.dumps({"project": self.app.project, **arguments}) + "\n",
            env={**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})},
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(ran.stdout)
        if not answer["ok"]:
            raise Told(answer)
        result: dict[str, Any] = answer["result"]
        return result

    def build(self, version: str, mode: str = "good") -> str:
        """Build a release and make its Compose file the current one; return its image's id."""
        tag = self.app.release(version, mode)
        return docker("image", "inspect", "--format", "{{.Id}}", tag).strip()

    def derive(self, version: str, slot: str, mode: str = "good") -> Derived:
        """Build a release and derive what the host is to run."""
        built = self.build(version, mode)
        context = Context(settings=None, secrets=None, deadline=Deadline(60))  # type: ignore[arg-type]
        read = model.read(
            context, self.app.folder, project=self.app.project, switched=list(self.services)
        )
        images = {name: built for name, each in read.services.items() if each.get("build")}
        images |= dict.fromkeys(self.services, built)
        return derived.derive(
            read,
            self.services,
            derived.Content(version, slot, images),
            front=haproxy.Front(image("haproxy"), self.port),
            placed=files.place(read, {}),
            base=str(self.base),
            present=self.verb("look.model")["model"],
        )

    def routes(self, active: str) -> str:
        """Return the proxy's configuration."""
        return haproxy.config(self.app.project, self.services, self.copies, active)

    def prepare(
        self,
        version: str,
        slot: str,
        mode: str = "good",
        *,
        limit: float = 60,
        variables: Mapping[str, str] | None = None,
    ) -> Derived:
        """Fill a slot."""
        made = self.derive(version, slot, mode)
        checks = {
            f"{name}-{slot}": {
                "path": each.health,
                "version_key": each.health_version,
                "version": version,
            }
            for name, each in self.services.items()
            if each.route
        }
        self.verb(
            "slots.prepare",
            variables=variables,
            slot=slot,
            release=version,
            model=made.document,
            proxy=self.routes(self.serving()),
            checks=checks,
            limit=limit,
        )
        return made

    def switch(self, slot: str, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Send traffic to a slot."""
        return self.verb("slots.switch", variables=variables, slot=slot, limit=30)

    def retire(
        self, slot: str, warm: bool = True, variables: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Let a slot end."""
        given = {"slot": slot, "drain": 10, "warm": warm, "limit": 60}
        return self.verb("slots.retire", variables=variables, **given)

    def deploy(self, version: str, mode: str = "good") -> str:
        """Do all of it; return the slot that serves now."""
        before = self.serving()
        slot = OTHER[before]
        self.prepare(version, slot, mode)
        self.switch(slot)
        if before:
            self.retire(before)
        return slot

    @contextmanager
    def edited(self, old: str, new: str) -> Iterator[None]:
        """Have another Compose file for a while."""
        file = self.app.folder / "compose.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        try:
            yield
        finally:
            file.write_text(text)

    def settle(self) -> None:
        """Let one of the releases 1 and 2 serve, alone."""
        if self.serving() not in ("blue", "green") or self.version() not in ("1", "2"):
            self.deploy("1")

    def observe(self) -> dict[str, Any]:
        """Return what the agent sees."""
        return self.verb("look.observe")

    def serving(self) -> str:
        """Return the slot that gets requests."""
        return str(self.observe()["serving"])

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the containers by service."""
        return {each["service"]: each for each in self.observe()["containers"]}

    def get(self, path: str = "/") -> tuple[int, str, dict[str, str]]:
        """Ask the site; return status, body and headers by their names in small letters."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as got:
                return got.status, got.read().decode(), _lower(got.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), _lower(error.headers)

    def version(self) -> str:
        """Return the release that answers."""
        return str(json.loads(self.get()[1])["version"])

    def restart_proxy(self) -> None:
        """Restart the proxy's container and wait until it answers again."""
        docker("restart", "--time", "1", self.containers()["invops-proxy"]["id"])
        for _ in range(100):
            if self.observe()["proxy"]:
                try:
                    if self.get()[0] == 200:
                        return
                except OSError:
                    pass
        raise AssertionError(f"the proxy does not serve after its restart: {self.observe()}")


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def another(here: Site) -> str:
    """Return the release that does not serve, of 1 and 2."""
    return another_than(here.version())


def another_than(version: str) -> str:
    """Return the other one of the releases 1 and 2."""
    return "2" if version == "1" else "1"


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Provide an environment without anything in it yet; all of it is removed at the end."""
    with running(), app(folder / "app") as made:
        found = Site(made, folder / "base", free_port())
        try:
            yield found
        finally:
            document = found.base / "model.json"
            if document.exists():
                down = ("down", "--volumes", "--remove-orphans", "--timeout=1")
                docker("compose", f"--file={document}", *down, check=False)
