"""`inv setup.server` killed at each step: SSH lets us in, nothing is half written, and the same command goes on.

The steps come from the plan, so a new one is here by itself. The tests of this file follow each other on one server:
the first find it as it comes, each of the others takes away what it needs to see made again.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Final

import psutil
import pytest

from tests.faults.hosted import stops
from tests.faults.lanes import Lane, assert_clear
from tests.support import forks
from tests.support.docker.servers import SECRET, SETTINGS, Server, server
from tests.support.local import eventually
from tests.support.places import place
from tests.support.project import Project, Ran, finish

pytestmark = [pytest.mark.usefixtures("docker_engine"), pytest.mark.timeout(900)]
PATIENCE: Final = 180.0
"""Seconds that a harmed run may take."""
KILLED, TERMINATED = -9, 143
TASKS = "tests.faults.server_tasks"
LEASE = "/var/lib/invops/setup/lease.json"
BROUGHT_ALONG = {
    "engine": "systemctl disable --now docker docker.socket",
    "updates": "rm /etc/apt/apt.conf.d/20auto-upgrades",
}
"""Steps that have nothing to do once the packages are there, with what takes away again what came along."""
WHOLE = "test \"$(dpkg-query -W -f '${db:Status-Status}' unattended-upgrades)\" = installed"
WRITTEN = (
    *("/etc/invops", "/etc/docker", "/etc/apt", "/etc/systemd/system", "/etc/cron.d", "/home"),
    *("/usr/local/lib/docker", "/var/lib/invops", "/srv"),
)
"""Folders that the agent writes files in."""


Harm = Callable[["Bare", forks.Process], None]


@dataclass
class Bare(Lane):
    """The application whose server is set up.

    Args:
        bare: The server.
    """

    bare: Server = field(kw_only=True)

    def starting(self, fault: str = "", **variables: str) -> forks.Process:
        """Start `setup.server`, with a fault."""
        words = ("setup.server", "--host", f"root@127.0.0.1:{self.bare.host.port}", "--yes")
        return self.begin(*words, "--quiet", fault=fault, **variables)

    def setup(self, fault: str = "", **variables: str) -> Ran:
        """Run `setup.server` to its end, with a fault."""
        return finish(self.starting(fault, **variables), PATIENCE)

    def plan(self) -> list[str]:
        """Return the steps that `setup.server` would take."""
        words = ("setup.server", "--host", f"root@127.0.0.1:{self.bare.host.port}")
        dry = self.run(*words, "--dry-run", "--format", "json")
        if "nothing to change" in dry.text:
            return []
        assert dry.code == 10, dry.text
        return [each["id"] for each in dry.json["plan"]["steps"]]

    def shell(self, command: str) -> str:
        """Run a command on the server past SSH, whatever it comes to."""
        return self.bare.host.inside("sh", "-c", command, check=False)

    def installs(self) -> bool:
        """Wait until a package is set up, by apt or by dpkg alone."""
        busy = "pgrep -f '/dpkg/info/.*[.]postinst configure'"
        return eventually(lambda: self.shell(busy) != "", PATIENCE)

    def table(self) -> str:
        """Return the rules of the firewall, empty for none."""
        return self.shell("nft list table inet invops")

    def assert_unharmed(self) -> None:
        """Assert what holds after every kill: a new SSH connection works, and what is written is written whole."""
        ran = self.bare.host.ssh("true")
        assert ran.returncode == 0, ran.stderr
        half = self.shell(f"find {' '.join(WRITTEN)} -name '.*.????????'")
        assert half == "", half
        file = f"/etc/invops/small-{self.environment}.env"
        for path in (file, "/home/deploy/.ssh/authorized_keys"):
            assert self.shell(f"stat -c '%a %U' {path}") in ("", "600 deploy\n"), path
        assert self.shell(f'. {file} && printf %s "$TOKEN"') in ("", SECRET)
        assert json.loads(self.shell(f"cat {SETTINGS}") or "{}") in ({}, {"live-restore": True})

    def assert_settled(self) -> None:
        """Assert that the same command goes on without anybody's hand, and that the one after it has nothing to do."""
        ran = self.setup()
        assert ran.code == 0, ran.text
        self.assert_unharmed()
        again = self.setup()
        assert (again.code, "nothing to change" in again.text) == (0, True), again.text
        assert "running" not in [each.state for each in self.runs()]
        assert self.shell("dpkg --audit; ls /etc/invops | grep -E 'pending|before'") == ""


@pytest.fixture(scope="module")
def lane(docker_engine: None) -> Iterator[Bare]:
    with place() as base, server(base) as made:
        values = {each.name: getattr(made.app, each.name) for each in fields(Project)}
        yield Bare(**values, bare=made)


@pytest.fixture(scope="module")
def ready(lane: Bare) -> Bare:
    """The server, set up."""
    ran = lane.setup()
    assert ran.code == 0, ran.text
    return lane


@pytest.mark.parametrize(
    ("host", "code", "words"),
    [
        ("nobody@127.0.0.1:{port}", 5, "does not let nobody in"),
        ("nobody-has-this.invalid", 4, "nobody-has-this.invalid is not known"),
        ("127.0.0.1:1", 4, "cannot connect to 127.0.0.1:1: Connection refused"),
        ("root@127.0.0.1:99999", 3, "is no address"),
        ("root@$(reboot)", 3, "is no address"),
        ("ssh://root@127.0.0.1", 3, "is no address"),
    ],
)
def test_host_that_cannot_be_set_up_is_one_line(
    lane: Bare, host: str, code: int, words: str
) -> None:
    lane.shell("touch /marker")
    name = host.format(port=lane.bare.host.port)
    assert_clear(lane.run("setup.server", "--host", name, "--yes"), code, words)
    assert lane.shell("find /etc /home /srv /usr /var/lib -newer /marker") == ""


def test_host_whose_key_has_changed_is_refused_until_somebody_looked(lane: Bare) -> None:
    host, keys = lane.bare.host, "/etc/ssh/ssh_host_ed25519_key"
    lane.shell(f"cp -p {keys} /right; ssh-keygen -q -t ed25519 -N '' -f /other")
    lane.shell(f"cp /other {keys}; systemctl reload ssh; touch /marker")
    try:
        assert eventually(lambda: host.ssh("true").returncode != 0)
        ran = lane.setup()
        assert_clear(ran, 5, "shows another host key", re.escape(host.fingerprint))
        assert lane.shell("find /etc /home /srv /usr /var/lib -newer /marker") == ""
    finally:
        lane.shell(f"cp -p /right {keys}; rm /right /other*; systemctl reload ssh")
    assert eventually(lambda: host.ssh("true").returncode == 0)


def test_killed_at_each_step(lane: Bare) -> None:
    steps = lane.plan()
    assert steps, "the server is set up already"
    for step in steps:
        lane.shell(BROUGHT_ALONG.get(step, "true"))
        running = lane.starting(f"kill:step.acted:{step}")
        if step == "packages" and lane.installs():
            lane.bare.host.hang_up()  # the work goes on there, and the run comes back to it
        ran = finish(running, PATIENCE)
        assert ran.code == KILLED, f"{step}: {ran.code} {ran.text}"
        # The run before was killed after its effect: its step is not in this plan any more.
        assert next(iter(lane.states())) == step
        lane.assert_unharmed()
    lane.assert_settled()
    lane.bare.assert_closed()


def dpkg_killed(lane: Bare, running: forks.Process) -> None:
    lane.shell("pkill -9 -x 'dpkg|apt-get'")


def agent_killed(lane: Bare, running: forks.Process) -> None:
    """What it started works on for a while, and the next run waits for that."""
    lane.shell("kill -9 $(ps -o ppid= -C apt-get)")


def deployer_killed(lane: Bare, running: forks.Process) -> None:
    running.kill()


def deployer_terminated(lane: Bare, running: forks.Process) -> None:
    os.kill(running.pid, signal.SIGTERM)


@pytest.mark.parametrize(
    "harms",
    [
        [
            (dpkg_killed, 1, "apt-get install failed: it was killed"),
            (deployer_terminated, TERMINATED, "stopped by SIGTERM"),
            (deployer_killed, KILLED, ""),
        ],
        [(agent_killed, 1, "ended without an answer")],
    ],
)
def test_installation_cut_off_halfway_is_finished_by_the_next_run(
    ready: Bare, harms: list[tuple[Harm, int, str]]
) -> None:
    for harm, code, words in harms:
        # What the harm before left half done stays so.
        ready.shell(f"{WHOLE} && dpkg --purge unattended-upgrades python3-distro-info")
        running = ready.starting()
        assert ready.installs()
        harm(ready, running)
        ran = finish(running, PATIENCE)
        assert ran.code == code, ran.text
        if code > 0:
            assert_clear(ran, code, words)
        ready.assert_unharmed()
    ready.assert_settled()


def test_packages_that_were_unpacked_and_not_set_up_are_installed_to_their_end(ready: Bare) -> None:
    ready.shell("dpkg --purge docker.io unattended-upgrades python3-distro-info; groupdel docker")
    ready.shell(
        "cd /var/cache/apt/archives; dpkg --unpack docker.io_*.deb unattended-upgrades_*.deb"
    )
    assert ready.shell("dpkg --audit").count("\n docker.io ") == 1
    assert ready.plan()[0] == "packages"
    ready.assert_settled()


def unconfirmed(ready: Bare) -> forks.Process:
    """Start a run that sets the firewall and cannot confirm it: the server lets nobody in for the time."""
    ready.shell("nft delete table inet invops; rm /etc/invops/firewall.*")
    running = ready.starting("SIGSTOP:step.started:firewall", FAULT_TASKS=TASKS)
    assert stops(psutil.Process(running.pid))
    ready.shell("pkill -STOP -o -x sshd")
    os.kill(running.pid, signal.SIGCONT)
    assert eventually(lambda: ready.table() != "")
    return running


def test_rules_of_a_run_that_was_killed_go_back_by_themselves(ready: Bare) -> None:
    running = unconfirmed(ready)
    running.kill()
    ready.shell("pkill -CONT -o -x sshd")
    assert finish(running, PATIENCE).code == KILLED
    assert ready.table() != ""
    ready.assert_unharmed()
    assert eventually(lambda: ready.table() == "", 30)
    ready.assert_settled()
    assert ready.table() != ""


def test_rules_of_a_run_that_was_killed_stay_when_the_next_one_confirmed_them(ready: Bare) -> None:
    running = unconfirmed(ready)
    running.kill()
    ready.shell("pkill -CONT -o -x sshd")
    assert finish(running, PATIENCE).code == KILLED
    ran = ready.setup(FAULT_TASKS=TASKS)
    assert ran.code == 0, ran.text
    assert eventually(lambda: ready.shell("pgrep -f invops-firewal[l]") == "", 60)
    assert ready.table() != ""
    assert ready.plan() == []
    ready.assert_settled()


def test_sigterm_takes_the_firewall_back_and_gives_the_lease_back(ready: Bare) -> None:
    running = unconfirmed(ready)
    os.kill(running.pid, signal.SIGTERM)
    ready.shell("pkill -CONT -o -x sshd")
    assert_clear(finish(running, PATIENCE), TERMINATED, "stopped by SIGTERM")
    assert json.loads(ready.shell(f"cat {LEASE}"))["run"] == ""
    ready.assert_unharmed()
    ready.assert_settled()


def test_sigterm_inside_a_step_gives_the_lease_back(ready: Bare) -> None:
    ready.shell(f"rm /etc/invops/*.env; chmod 755 {ready.bare.base}")
    assert_clear(ready.setup("SIGTERM:step.acted:folder"), TERMINATED, "stopped by SIGTERM")
    assert ready.plan() == ["variables"]
    assert json.loads(ready.shell(f"cat {LEASE}"))["run"] == ""
    assert ready.shell("ls /etc/invops/*.env") == ""
    ready.assert_settled()


def test_lease_of_a_killed_run_is_taken_over_at_once(ready: Bare) -> None:
    ready.shell(f"rm /etc/invops/*.env; chmod 755 {ready.bare.base}")
    assert ready.setup("kill:step.started:variables").code == KILLED
    dead = json.loads(ready.shell(f"cat {LEASE}"))
    assert dead["run"], dead
    ready.assert_settled()
    now = json.loads(ready.shell(f"cat {LEASE}"))
    assert (now["run"], now["fencing"]) == ("", dead["fencing"] + 1)
