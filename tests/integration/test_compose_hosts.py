"""Two hosts over SSH: round trips, `--limit`, hosts that are down, logs and commands of both."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.docker.deployed import Small, small
from tests.support.docker.hosts import Host, hosts
from tests.support.following import following
from tests.support.places import free_port, place

MOST_ROUND_TRIPS = 8
BY_TIME = {"lease.renew", "jobs.wait"}
"""Signs of life every ten seconds, and waiting for what takes longer: as many as the time makes them."""


@dataclass(frozen=True)
class Site:
    """An application on two hosts.

    Args:
        app: The application; a release of it serves on both.
        hosts: Where.
    """

    app: Small
    hosts: list[Host]

    @property
    def names(self) -> list[str]:
        """What invops calls the hosts."""
        return [f"127.0.0.1:{each.port}" for each in self.hosts]

    def serving(self) -> list[str]:
        """Return the release that answers on each host."""
        address = f"http://127.0.0.1:{self.app.port}/health"
        ask = f"import urllib.request as u; print(u.urlopen({address!r}).read().decode())"
        answers = [each.inside("python3", "-c", ask) for each in self.hosts]
        return [str(json.loads(each)["version"]) for each in answers]

    def containers(self, number: int) -> set[str]:
        """Return the ids of a host's containers."""
        return set(self.hosts[number].inside("docker", "ps", "--quiet").split())

    def write(self, number: int, script: str) -> None:
        """Let the cache of a host write into its log."""
        cache = f"{self.app.project}-cache-1"
        self.hosts[number].inside("docker", "exec", "--detach", cache, "sh", "-c", script)

    @contextmanager
    def down(self, *numbers: int) -> Iterator[None]:
        """Let hosts be found where nobody answers."""
        path = self.app.folder / "ops.toml"
        before = path.read_text(encoding="utf-8")
        text = before
        for number in numbers:
            text = text.replace(self.names[number], f"127.0.0.1:{free_port()}")
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")


@pytest.fixture(scope="module")
def site(docker_engine: None) -> Iterator[Site]:
    with place() as base, hosts(2) as two, small(base, hosts=two) as app:
        ran = app.deploy()
        assert ran.code == 0, ran.text
        yield Site(app, two)


def test_whole_deploy_asks_each_host_at_most_eight_times(site: Site, tmp_path: Path) -> None:
    app, counted = site.app, tmp_path / "counted"
    version = app.release()
    plain, app.program = app.program, [sys.executable, "-m", "tests.support.docker.counted"]
    try:
        ran = app.deploy(COUNTED=str(counted))
        assert ran.code == 0, ran.text
        asked = [line.split() for line in counted.read_text().splitlines()]
        counted.unlink()
        ran = app.deploy(COUNTED=str(counted))
        assert "nothing to change" in ran.out, ran.text
        again = Counter(line.split()[0] for line in counted.read_text().splitlines())
    finally:
        app.program = plain
    assert site.serving() == [version] * 2
    for name in site.names:
        verbs = Counter(verb for host, verb in asked if host == name and verb not in BY_TIME)
        print(name, dict(verbs))
        assert verbs["jobs.start"] >= 3, "pulled, prepared, switched"
        assert verbs.total() <= MOST_ROUND_TRIPS, verbs
    assert set(again) == set(site.names) and max(again.values()) == 1


def test_database_that_each_host_would_have_for_itself_is_refused_up_front(site: Site) -> None:
    app = site.app
    app.release()
    path = app.folder / "ops.toml"
    before = path.read_text(encoding="utf-8")
    described = '[database]\nengine = "postgres"\n\n[migrations]\nkind = "sql"\npath = "db"\n\n'
    text = before.replace("[environments.", f"{described}[environments.", 1)
    path.write_text(f'{text}database_url = "env:DB_URL"\n', encoding="utf-8")
    app.put("db/1.sql", "CREATE TABLE one (id bigint);\n")
    try:
        ran = app.deploy("--dry-run", DB_URL="postgresql://x:y@cache:5432/x")
    finally:
        path.write_text(before, encoding="utf-8")
    assert ran.code == 3, ran.text
    assert (
        "the database is service cache of the Compose file, and each of 2 hosts has its own"
        in ran.text
    )


def test_limit_is_for_one_host_and_the_next_deploy_brings_the_other(site: Site) -> None:
    app, (first, second) = site.app, site.names
    old = site.serving()[1]
    new = app.release()
    plain, app.program = app.program, [sys.executable, "-m", "tests.faults.run"]
    ran = app.deploy("--limit", first, FAULT=f"kill:step.acted:prepare:{first}")
    app.program = plain
    assert ran.code < 0, ran.text
    assert f"{second} stays on {old}" in ran.out and "on 1 of 2 hosts" in ran.out
    run = app.json("runs.list")["runs"][0]["id"]
    ran = app.run("runs.resume", run)
    assert ran.code == 0, ran.text
    assert site.serving() == [new, old]
    assert app.run("drift", "--limit", first).code == 0
    both = app.run("drift")
    assert both.code == 1 and f"{second}  release" in both.out, both.text

    kept = site.containers(0)
    ran = app.deploy()
    assert ran.code == 0, ran.text
    assert "Fill slot" in ran.out and f"on {first} with" not in ran.out
    assert site.serving() == [new, new]
    assert site.containers(0) == kept, "it was up to date"


@pytest.mark.parametrize(
    "words", [("deploy",), ("rollback",), ("drift",), ("maintenance.on",), ("exec", "--", "true"),
              ("logs",), ("proxy.status",), ("releases",), ("deploy.check",)], ids=" ".join,
)  # fmt: skip
def test_unknown_host_is_one_line(site: Site, words: tuple[str, ...]) -> None:
    ran = site.app.run(words[0], "--limit", "web-9", *words[1:])
    assert ran.code == 3, ran.text
    (error,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert "no host 'web-9'" in error and site.names[0] in ran.err


def test_host_that_is_down_stops_the_deploy_or_is_left_out_where_that_is_allowed(
    site: Site,
) -> None:
    app = site.app
    old = site.serving()
    new = app.release()
    with site.down(1):
        ran = app.deploy()
        assert ran.code == 4, ran.text
        errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1 and "127.0.0.1:" in errors[0]
        app.edit("ops.toml", "free_disk", "allow_down = 1\nfree_disk")
        checked = app.run("deploy.check")
        assert checked.code == 0 and "it is left out (allow_down)" in checked.out, checked.text
        ran = app.deploy()
        assert ran.code == 0, ran.text
        assert "is down and stays as it is" in ran.out
        listed = app.run("releases", "--limit", site.names[0])
        assert "serves, not on 127.0.0.1:" in listed.out, listed.text
    assert site.serving() == [new, old[1]]
    with site.down(0, 1):
        app.edit("ops.toml", "free_disk", "allow_down = 2\nfree_disk")
        ran = app.deploy()
        assert ran.code == 4 and "2 of 2 hosts failed" in ran.err, ran.text

    ran = app.deploy()

    assert ran.code == 0, ran.text
    assert site.serving() == [new, new]
    assert "not on" not in app.run("releases").out


def test_logs_of_both_hosts_are_one_story_that_a_lost_connection_does_not_tear(
    site: Site,
) -> None:
    words = ("--follow", "--lines", "0", "--service", "cache", "--format", "json")
    counting = "for n in $(seq 1 40); do echo {0} $n; sleep 0.1; done >/proc/1/fd/1"
    with following(site.app.start("logs", *words)) as log:
        for number in (0, 1):
            # What comes before it is heard may be missed; what follows the first line may not.
            for attempt in range(100):
                site.write(number, f"echo hello{number} {attempt} >/proc/1/fd/1")
                if log.sees(f"hello{number}", 1):
                    break
        for number in (0, 1):
            site.write(number, counting.format(f"host{number}"))
        assert log.sees("host0 5")
        site.hosts[0].hang_up()
        site.hosts[0].inside("docker", "restart", "--time", "1", f"{site.app.project}-cache-1")
        site.write(0, "echo host0 after >/proc/1/fd/1")
        assert log.sees("host0 after") and log.sees("host1 40")
        assert log.interrupt() == 0
    found = [json.loads(line) for line in log.lines]
    for number, name in enumerate(site.names):
        mine = [each["text"] for each in found if each["text"].startswith(f"host{number} ")]
        assert {each["host"] for each in found if each["text"] in mine} == {name}
        counted = [each for each in mine if not each.endswith("after")]
        assert counted == [f"host{number} {n + 1}" for n in range(len(counted))]
    assert [each["text"] for each in found].count("host1 40") == 1


def test_command_runs_on_the_host_that_was_asked_for(site: Site) -> None:
    for host in site.hosts:
        where = f"root@127.0.0.1:{host.port}"
        ran = site.app.run(
            "exec", "--host", where, "--", "sh", "-c", 'echo "a  b"; hostname; exit 7'
        )
        spoken, container = ran.out.splitlines()
        assert (ran.code, spoken) == (7, "a  b"), ran.text
        assert f"{site.app.project}-web-" in ran.err
        assert host.inside("docker", "inspect", "--format", "{{.Name}}", container).strip()


def test_engine_that_is_stopped_stops_the_deploy_before_it_begins(site: Site) -> None:
    before = site.serving()[0]
    site.app.release()
    site.hosts[1].stop_engine()
    try:
        checked = site.app.run("deploy.check")
        assert checked.code == 4, checked.text
        assert "Cannot connect to the Docker daemon" in checked.out
        ran = site.app.deploy()
        assert ran.code == 4, ran.text
        assert f"{site.names[1]}: engine: Cannot connect" in ran.err
        assert "started" not in ran.err
    finally:
        site.hosts[1].start_engine()
    assert site.serving()[0] == before
