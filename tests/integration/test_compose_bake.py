"""The roll-out of containers: a new version is watched with real requests, and goes back by itself when it is worse."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.hosts.agent.proxy import Proxy
from ops.hosts.agent.servers import SLOTS
from tests.support import forks
from tests.support.docker.deployed import Small, small
from tests.support.docker.engine import docker
from tests.support.load import Load
from tests.support.local import eventually
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")


@pytest.fixture(scope="module")
def site(docker_engine: None) -> Iterator[Small]:
    """Give an application with a release that serves."""
    with place() as base, small(base) as made:
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


def settings(site: Small, **given: str) -> None:
    """Give the environment these settings of its roll-out, and no others."""
    own = ("bake", "bake_errors", "bake_latency", "rollout", "wave", "warm")
    text = (site.folder / "ops.toml").read_text(encoding="utf-8")
    head, _, tail = text.partition(f"[environments.{site.environment}]\n")
    kept = [line for line in tail.splitlines() if line.split(" =")[0] not in own]
    lines = [f"{name} = {value}" for name, value in given.items()]
    text = "\n".join([f"{head}[environments.{site.environment}]", *lines, *kept, ""])
    site.put("ops.toml", text)


def proxy(site: Small) -> Proxy:
    return Proxy(site.base / "containers" / "proxy")


def weights(site: Small) -> dict[str, int]:
    """Return the share of each slot that gets requests."""
    return {each.slot: each.weight for each in proxy(site).servers() if each.told == "ready"}


def slot(site: Small) -> str:
    return proxy(site).serving()


def container(site: Small, service: str) -> dict[str, object]:
    """Return the inner state of a container, as Docker has it."""
    id = site.containers()[service]["ID"]
    state: dict[str, object] = json.loads(docker("inspect", "--format={{json .State}}", id))
    return state


def watches(site: Small) -> int:
    """Return how many watches were begun on the host."""
    return len([*(site.base / "containers" / "jobs").glob("bake.watch-*")])


def killed(deploy: forks.Process) -> None:
    deploy.send_signal(signal.SIGKILL)
    deploy.communicate()


def test_version_that_fails_under_load_goes_back_by_itself_and_leaves_evidence(site: Small) -> None:
    before, old = site.version(), slot(site)
    settings(site, bake='"60s"', bake_errors="5")
    site.release("sour")
    with Load("127.0.0.1", site.port, "/", "/slow"):
        ran = site.deploy()
    assert ran.code == 1, ran.text
    assert (site.version(), slot(site), site.last_run()) == (before, old, "undone")
    error = next(line for line in ran.err.splitlines() if line.startswith("error: "))
    assert "web: new " in error and "limit 5 points" in error and "old 0.0 % of " in error
    folder = Path(ran.err.partition("look at the evidence: ")[2].splitlines()[0])
    counted = {each["name"]: each for each in json.loads((folder / "proxy.json").read_text())}
    new = next(slot for slot in SLOTS if slot != old)
    assert counted[f"web/{new}"]["told"] == "ready", "it was kept before anything was undone"
    assert counted[f"web/{new}"]["counters"]["hrsp_5xx"] >= 5
    assert not [name for name in site.containers() if name.endswith(f"-{new}")]


def test_container_that_crashes_in_the_bake_ends_it_at_once(site: Small) -> None:
    before, old = site.version(), slot(site)
    settings(site, bake='"10m"')
    site.release()
    deploy = site.start("deploy")
    assert eventually(lambda: slot(site) not in ("", old), 120)
    new = slot(site)
    os.kill(int(str(container(site, f"web-{new}")["Pid"])), signal.SIGKILL)
    _, told = deploy.communicate(timeout=120)
    assert deploy.returncode == 1, told
    assert f"web-{new} crashed" in told and "serves on port 8000" in told
    assert (site.version(), slot(site)) == (before, old)


def test_shares_are_seen_at_the_proxy_and_a_killed_canary_converges(site: Small) -> None:
    before, old = site.version(), slot(site)
    settings(site, bake='"2s"', rollout="[10, 50, 100]")
    release = site.release()
    new = next(slot for slot in SLOTS if slot != old)

    deploy = site.start("deploy")
    assert eventually(lambda: weights(site) == {old: 90, new: 10}, 120)
    killed(deploy)
    assert slot(site) == "mixed"
    docker("restart", "--time", "1", site.containers()["invops-proxy"]["ID"])
    assert eventually(lambda: proxy(site).running() and site.get("/health").status == 200, 60)
    assert (slot(site), {site.version() for _ in range(20)}) == (old, {before})

    deploy = site.start("deploy")
    assert eventually(lambda: weights(site) == {old: 90, new: 10}, 120)
    killed(deploy)
    seen: list[dict[str, int]] = []
    deploy = site.start("deploy")
    while deploy.poll() is None:
        if (now := weights(site)) not in seen[-1:]:
            seen.append(now)
    _, told = deploy.communicate()
    assert deploy.returncode == 0, told
    assert {old: 90, new: 10} in seen and {old: 50, new: 50} in seen, seen
    assert seen[-1] == {new: 1}, seen
    assert site.version() == release


def test_deploy_that_was_killed_in_the_bake_is_finished_by_the_next_though_the_proxy_restarts(
    site: Small,
) -> None:
    old = slot(site)
    settings(site, bake='"5s"')
    release = site.release()
    deploy = site.start("deploy")
    assert eventually(lambda: slot(site) not in ("", old), 120)
    killed(deploy)
    assert container(site, f"worker-{old}")["Running"]
    before = watches(site)
    deploy = site.start("deploy")
    assert eventually(lambda: watches(site) > before, 120)
    docker("restart", "--time", "1", site.containers()["invops-proxy"]["ID"])
    shown, told = deploy.communicate(timeout=120)
    assert deploy.returncode == 0, told
    assert "Watch localhost" in shown and "Fill slot" not in shown
    assert not container(site, f"worker-{old}")["Running"]
    assert site.version() == release == site.serving()
    assert "nothing to change" in site.deploy().out


def test_old_worker_finishes_its_job_and_a_warm_slot_ends_unless_it_serves_again(
    site: Small,
) -> None:
    before, old = site.version(), slot(site)
    settings(site, bake='"0s"', warm='"3s"')
    release = site.release()

    def redis(*words: str) -> str:
        return docker("exec", str(site.containers()["cache"]["ID"]), "redis-cli", *words)

    redis("RPUSH", "jobs", "long 15")
    assert eventually(lambda: redis("LLEN", "jobs").strip() == "0")
    ran = site.deploy()
    assert ran.code == 0, ran.text
    assert f"long {before}" in redis("LRANGE", "done", "0", "-1").splitlines()
    redis("RPUSH", "jobs", "other 0")
    done = f"other {release}"
    assert eventually(lambda: done in redis("LRANGE", "done", "0", "-1").splitlines())

    assert eventually(lambda: not container(site, f"web-{old}")["Running"], 60)
    new = slot(site)
    settings(site, bake='"0s"', warm='"10s"')
    second = site.release()
    assert site.deploy().code == 0
    assert site.run("rollback").code == 0
    assert (slot(site), site.version()) == (new, release)
    # The timer of this slot was started before that of the other one.
    assert eventually(lambda: not container(site, f"web-{old}")["Running"], 90), second
    assert container(site, f"web-{new}")["Running"]
    assert site.version() == release
