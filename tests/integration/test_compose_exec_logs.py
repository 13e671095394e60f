"""`exec`, `logs`, `status`, and the words of `start` and `stop`, for containers on this machine's engine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.docker.deployed import PROJECT, Small, small
from tests.support.docker.engine import docker
from tests.support.following import following
from tests.support.places import clean_variables, place

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def site(docker_engine: None) -> Iterator[Small]:
    """Give an application with a release that serves."""
    with place() as base, small(base) as made:
        ran = made.deploy()
        assert ran.code == 0, ran.text
        yield made


def given(site: Small, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a task whose standard input is `text`."""
    words = (words[0], "--env", site.environment, *words[1:])
    return subprocess.run(
        [*site.program, *words], cwd=site.folder, input=text, capture_output=True, text=True,
        check=False, timeout=120, env={**clean_variables(), "OPS_HOME": str(site.base)},
    )  # fmt: skip


def audited(site: Small) -> list[tuple[str, str, str]]:
    """Return action, target and result of what was audited of `exec`."""
    exported = site.run("audit.export").out.splitlines()
    rows = [json.loads(line) for line in exported if line.startswith("{")]
    return [(e["action"], e["target"], e["result"]) for e in rows if e.get("action") == "exec"]


def test_command_gets_its_words_its_input_and_gives_its_exit_code(site: Small) -> None:
    release = site.version()
    ran = given(site, "one\ntwo\n", "exec", "--", "sh", "-c", 'echo "a  $VERSION"; cat; exit 42')
    assert ran.stdout == f"a  {release}\none\ntwo\n"
    assert ran.returncode == 42
    assert f"{site.project}-web-blue-1 on localhost: exit code 42" in ran.stderr
    ran = given(site, "PING\n", "exec", "--service", "cache", "--", "redis-cli")
    assert (ran.returncode, ran.stdout) == (0, "PONG\n"), ran.stderr


def test_both_ends_of_a_command_are_audited_and_a_dry_run_is_not(site: Small) -> None:
    before = audited(site)
    ran = given(site, "", "exec", "--dry-run", "--", "touch", "/tmp/never")
    assert ran.returncode == 10 and "touch /tmp/never" in ran.stdout, ran.stderr
    assert given(site, "", "exec", "--", "test", "!", "-e", "/tmp/never").returncode == 0
    where = f"{site.environment}: {site.project}-web-blue-1 on localhost"
    assert audited(site)[len(before) :] == [
        ("exec", where, "started"),
        ("exec", where, "exit code 0"),
    ]


def test_command_without_container_runs_in_one_of_its_own(site: Small) -> None:
    before = set(site.containers())
    ran = given(site, "", "exec", "--once", "--", "sh", "-c", "hostname; echo $VERSION; exit 3")
    assert ran.returncode == 3, ran.stderr
    name, release = ran.stdout.split()
    assert release == site.version()
    assert name not in docker("ps", "--all", "--format", "{{.ID}}")
    assert set(site.containers()) == before
    worker = site.containers()["worker-blue"]["ID"]
    docker("stop", "--time", "1", worker)
    ran = given(site, "", "exec", "--service", "worker", "--", "python3", "-c", "print('alone')")
    assert (ran.returncode, ran.stdout) == (0, "alone\n"), ran.stderr
    docker("start", worker)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("exec",), 3, "there is no command"),
        (("exec", "--service", "webb", "--", "true"), 3, "no service 'webb', did you mean 'web'?"),
        (("exec", "--host", "b", "--", "true"), 3, "no host 'b'"),
        (("deploy", "--", "true"), 3, "nothing is known after --"),
        (("logs", "--service", "webb"), 3, "no service 'webb'"),
        (("logs", "--lines", "many"), 3, "--lines 'many' is not a number"),
        (("status", "--service", "webb"), 3, "no service 'webb'"),
        (("start",), 3, "runs as containers"),
        (("stop",), 3, "runs as containers"),
    ],
)
def test_bad_input_is_one_line(
    site: Small, words: tuple[str, ...], code: int, message: str
) -> None:
    ran = given(site, "", *words)
    assert ran.returncode == code, ran.stdout + ran.stderr
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    assert message in error
    assert "Traceback" not in ran.stderr


def test_command_on_a_terminal_has_one(site: Small) -> None:
    here, there = os.openpty()
    say = "import sys; print(sys.stdin.isatty(), input())"
    words = ["exec", "--env", site.environment, "--", "python3", "-c", say]
    environment = {**clean_variables(), "OPS_HOME": str(site.base)}
    command = [*site.program, *words]
    with subprocess.Popen(
        command, cwd=site.folder, stdin=there, stdout=there, env=environment
    ) as process:
        os.close(there)
        os.write(here, b"typed\n")
        printed = b""
        with contextlib.suppress(OSError):  # how a pseudo-terminal ends
            while chunk := os.read(here, 1024):
                printed += chunk
        assert process.wait(60) == 0
    os.close(here)
    assert b"True typed" in printed


def test_last_lines_are_merged_and_told_apart(site: Small) -> None:
    release = site.version()
    ran = site.run("logs")
    assert ran.code == 0, ran.text
    assert re.search(rf"^web blue +\| version {release} serves", ran.out, re.MULTILINE)
    found = site.json("logs", "--service", "worker", "--lines", "1")["lines"]
    assert [(e["service"], e["slot"], e["host"]) for e in found] == [
        ("worker", "blue", "localhost")
    ]
    every = site.json("logs")["lines"]
    assert [each["time"] for each in every] == sorted(each["time"] for each in every)


def test_follow_goes_on_with_the_container_of_the_next_release(site: Small) -> None:
    old = site.version()
    with following(site.start("logs", "--follow", "--service", "web")) as log:
        assert log.sees(f"version {old} serves")
        new = site.release()
        ran = site.deploy()
        assert ran.code == 0, ran.text
        assert log.sees(f"version {new} serves")
        assert log.interrupt() == 0
    for version in (old, new):
        assert sum(f"version {version} serves" in each for each in log.lines) == 1
    label = f"--filter=label={PROJECT}={site.project}"
    assert docker("ps", "--quiet", label)


def test_status_says_what_runs_where_and_what_serves(site: Small) -> None:
    rows = site.json("status")["services"]
    release, serves = site.version(), {each["slot"] for each in rows if each["serves"]}
    assert len(serves) == 1
    (web,) = [e for e in rows if e["service"] == "web" and e["slot"] in serves]
    assert (web["state"], web["health"], web["release"]) == ("running", "healthy", release)
    assert {each["host"] for each in rows} == {"localhost"}
    only = site.run("status", "--service", "cache")
    assert only.code == 0 and "1 of 1 running" in only.out
