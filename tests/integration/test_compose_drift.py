"""`drift`: every kind of change by hand is found, with no value of a variable, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent.proxy import Proxy
from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.places import place
from tests.support.project import Project

pytestmark = pytest.mark.usefixtures("docker_engine")
LOCAL = """
[app]
name = "small"
default_environment = "here"
[services.web]
command = "serve"
[environments.here]
target = "local"
"""
SECRET = "changed-by-hand-8341"


@pytest.fixture(scope="module")
def site(docker_engine: None) -> Iterator[Small]:
    """Give an application with a release that serves, and a file of the repository that its worker mounts."""
    with place() as base, small(base) as made:
        made.put("settings/app.ini", "rate = 5\n")
        made.edit(
            "compose.yaml",
            "    stop_grace_period: 30s\n",
            '    stop_grace_period: 30s\n    volumes: ["./settings:/settings:ro"]\n',
        )
        made.commit("a file that is mounted")
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


def named(site: Small, service: str) -> str:
    return f"{site.project}-{service}-1"


def found(site: Small) -> list[tuple[str, str]]:
    """Return what differs, after a look at the exit code."""
    ran = site.run("drift", "--format", "json")
    items: list[dict[str, Any]] = ran.json["items"]
    assert ran.code == (1 if items else 0), ran.text
    for each in items:
        assert each["host"] == "localhost" and each["deployed"] != each["found"], each
    return [(each["what"], each["difference"]) for each in items]


def home(site: Small) -> Path:
    return site.base / "containers"


def compose(site: Small, document: dict[str, Any], *arguments: str) -> None:
    """Run Compose as somebody on the host does, with a document of their own."""
    path = home(site) / "by-hand.json"
    path.write_text(json.dumps(document))
    docker("compose", "--file", str(path), "--project-name", site.project, *arguments)
    path.unlink()


def document(site: Small) -> dict[str, Any]:
    model: dict[str, Any] = json.loads((home(site) / "model.json").read_text())
    return model


def test_nothing_differs_after_deploys_ways_back_and_failures(site: Small) -> None:
    assert found(site) == []
    first = site.version()

    site.edit("compose.yaml", "POSTGRES_DB: app", "POSTGRES_DB: app\n      NEW: variable")
    site.edit(
        "ops.toml", "[services.web]\n", '[services.web]\nroute = ["/", "/more"]\nlive = "/health"\n'
    )
    site.put("settings/app.ini", "rate = 6\n")
    site.release("crash")
    assert site.deploy().code == 1
    assert site.last_run() == "undone"
    assert found(site) == [], "after a deploy that was undone"

    second = site.release("good")
    ran = site.deploy()
    assert ran.code == 0, ran.text
    assert site.version() == second
    assert found(site) == []

    ran = site.run("rollback")
    assert (ran.code, site.version()) == (0, first), ran.text
    assert found(site) == [], "after a rollback"
    assert "nothing to change" in site.run("rollback", "--to", first).out


@pytest.fixture
def stranger(site: Small) -> Iterator[str]:
    """Give a name for a container that is gone at the end."""
    name = f"stranger-{site.environment}"
    yield name
    docker("rm", "--force", name, check=False)


def test_every_change_by_hand_is_found_and_a_deploy_brings_back_what_it_can(
    site: Small, stranger: str
) -> None:
    slot = document_slot(site)
    web, worker = f"web-{slot}", f"worker-{slot}"
    cache = docker("inspect", "--format", "{{.Config.Image}}", named(site, "cache")).strip()

    # A definition and a variable, by Compose; the name of an image that means another one.
    made = document(site)
    made["services"][web]["environment"]["MODE"] = SECRET
    compose(site, made, "up", "--detach", "--no-deps", web)
    # Limits and the restart policy of containers that run on.
    docker("update", "--restart=always", "--memory=400m", "--memory-swap=800m", named(site, "db"))
    docker("stop", named(site, "cache"))
    docker("network", "disconnect", f"{site.project}_default", named(site, worker))
    changes = "echo '#' >> web.py; touch -d '+5 minutes' web.py; rm worker.py; touch /tmp/mine"
    docker("exec", "--user=0", named(site, worker), "sh", "-c", changes)
    network = f"--network={site.project}_default"
    docker("run", "--detach", f"--name={stranger}", network, "--entrypoint=sleep", cache, "600")
    # Files of the host.
    (volume,) = document(site)["services"][worker]["volumes"]
    mounted = Path(volume["source"]) / "app.ini"
    mounted.chmod(0o644)
    mounted.write_text("rate = 7\n")
    proxy = Proxy(home(site) / "proxy")
    proxy.folder.joinpath("haproxy.cfg").write_text(f"{proxy.text()}# by hand\n")
    # What the proxy was told on its socket.
    proxy.ask("set map /etc/invops/maintenance.map retry-after 77")
    proxy.ask(f"set server web/{slot} weight 3")

    ran = site.run("drift")
    assert ran.code == 1, ran.text
    assert SECRET not in ran.text
    for words in (f"docker rm --force {stranger}", f"inv deploy --env {site.environment}"):
        assert words in ran.out, ran.out
    settings = f"files/{mounted.parent.parent.name}/settings"
    assert sorted(found(site)) == sorted(
        [
            (web, "definition"),
            (web, "variable MODE"),
            ("db", "RestartPolicy"),
            ("db", "Memory"),
            ("db", "MemorySwap"),
            ("cache", "state"),
            (worker, f"network {site.project}_default"),
            (worker, "/app/web.py"),
            (worker, "/app/worker.py"),
            (stranger, "container"),
            (settings, "content"),
            ("haproxy.cfg", "content"),
            ("proxy", "maintenance page"),
            (f"proxy server web/{slot}", "weight"),
        ]
    )

    docker("rm", "--force", stranger)
    docker(
        "rm", "--force", named(site, "db")
    )  # only its limits are wrong: nothing that a deploy sees
    proxy.ask("set map /etc/invops/maintenance.map retry-after 0")
    ran = site.run("deploy", "--ref", site.version(), "--dry-run")
    assert "changed by hand" in ran.out, ran.text
    ran = site.run("deploy", "--ref", site.version())
    assert ran.code == 0, ran.text
    assert found(site) == []
    assert mounted.read_text() != "rate = 7\n"
    assert "nothing to change" in site.run("deploy", "--ref", site.version()).out


def document_slot(site: Small) -> str:
    (slot,) = {each["slot"] for each in servers(site) if each["told"] == "ready"}
    return str(slot)


def servers(site: Small) -> list[dict[str, Any]]:
    (host,) = site.json("proxy.status")["hosts"].values()
    return [{**each, "slot": each["server"].rpartition("/")[2]} for each in host["servers"]]


def test_what_is_gone_is_found(site: Small) -> None:
    slot = document_slot(site)
    other = {"blue": "green", "green": "blue"}[slot]
    docker("rm", "--force", named(site, f"worker-{slot}"))
    docker("pause", named(site, "cache"))
    Proxy(home(site) / "proxy").ask(f"set server web/{other} state ready")
    items = found(site)
    assert {(f"worker-{slot}", "containers"), ("cache", "state")} <= set(items), items
    assert ("proxy", "slot that serves") in items
    docker("unpause", named(site, "cache"))
    docker("stop", named(site, "invops-proxy"))
    items = found(site)
    assert {("invops-proxy", "state"), ("proxy", "state")} <= set(items), items
    ran = site.run("proxy.status")
    assert (ran.code, "does not answer" in ran.out) == (1, True), ran.text
    (home(site) / "model.json").write_text("{")
    ran = site.run("drift")
    assert (ran.code, "model.json is damaged" in ran.err) == (1, True), ran.text


def test_an_environment_without_deploy_or_host_is_told(site: Small) -> None:
    site.edit("ops.toml", f'base_folder = "{home(site)}"', f'base_folder = "{home(site)}-2"')
    ran = site.run("drift")
    assert (ran.code, "nothing was deployed here" in ran.err) == (3, True), ran.text
    hosts = 'hosts = ["root@127.0.0.1:1"]\nhost_keys = { "127.0.0.1:1" = "SHA256:x" }'
    site.edit("ops.toml", 'target = "compose"', f'target = "compose"\n{hosts}')
    ran = site.run("drift")
    assert (ran.code, ran.err.count("error: ")) == (4, 1), ran.text


@pytest.mark.parametrize("task", ["drift", "proxy.status", "maintenance.on", "maintenance.off"])
def test_processes_of_this_machine_have_no_containers(task: str, tmp_path: Path) -> None:
    here = Project(tmp_path, tmp_path / "home", "here", 8080)
    here.put("ops.toml", LOCAL)
    ran = here.run(task)
    assert (ran.code, ran.err.count("error: ")) == (3, 1), ran.text
    assert "here is no Compose environment" in ran.err and "inv status --env here" in ran.err
