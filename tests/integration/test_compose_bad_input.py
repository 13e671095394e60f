"""Wrong settings, Compose files, hosts and keys: one line that says it, the right exit code, nothing changed."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.docker.deployed import Small, small
from tests.support.docker.refused import check
from tests.support.places import place

pytestmark = pytest.mark.usefixtures("docker_engine")
TARGET = 'target = "compose"\n'


@pytest.fixture(scope="module")
def fresh(docker_engine: None) -> Iterator[Small]:
    """Give an application that was never deployed."""
    with place() as base, small(base) as made:
        yield made


@pytest.fixture
def app(fresh: Small) -> Iterator[Small]:
    """Give the same application, as it was after the test."""
    before = fresh.git("rev-parse", "HEAD")
    yield fresh
    fresh.git("reset", "--quiet", "--hard", before)
    fresh.git("clean", "-qfd", "--", ".")


@dataclass(frozen=True)
class Case:
    """A wrong file.

    Args:
        name: Of the test.
        edits: File, old text, new text.
        code: Exit code.
        words: What the message says.
        removed: Files that are not there.
        ignored: Files that git does not track.
    """

    name: str
    edits: tuple[tuple[str, str, str], ...]
    words: tuple[str, ...]
    code: int = 3
    removed: tuple[str, ...] = ()
    ignored: dict[str, str] = field(default_factory=dict)


def compose(old: str, new: str) -> tuple[tuple[str, str, str], ...]:
    return (("compose.yaml", old, new),)


def settings(old: str, new: str) -> tuple[tuple[str, str, str], ...]:
    return (("ops.toml", old, new),)


CASES = [
    Case("not YAML", compose("services:", "services: ["), ("cannot be used", "yaml: line")),
    Case("unknown key", compose("  web:\n", "  web:\n    imagee: x\n"), ("imagee",)),
    Case(
        "variable without value",
        compose("MODE: ${MODE:-good}", "MODE: ${MODE:-good}\n      OTHER: ${NOBODY}"),
        ("uses NOBODY, which is not set", "${NOBODY:-}"),
    ),
    Case(
        "variable that must be given",
        compose("MODE: ${MODE:-good}", "MODE: ${NOBODY:?say a mode}"),
        ("say a mode",),
    ),
    Case("folder of a build missing", compose("context: .", "context: ./none"), ("built from",)),
    Case("Dockerfile missing", (), ("built from", "Dockerfile"), removed=("Dockerfile",)),
    Case(
        "env_file that git does not track",
        compose("    expose:", "    env_file: own.env\n    expose:"),
        ("own.env", "git add"),
        ignored={"own.env": "A=1"},
    ),
    Case("no Compose file", (), ("no configuration file",), removed=("compose.yaml",)),
    Case(
        "needs what is not there",
        compose("depends_on: [cache]\n    expose", "depends_on: [cash]\n    expose"),
        ("cash",),
    ),
    Case(
        "network of the host",
        compose("    expose:", "    network_mode: host\n    expose:"),
        ("service web has network_mode 'host'", "remove network_mode"),
    ),
    Case("unknown service", settings("[services.worker]", "[services.werker]"), ("'worker'",)),
    Case(
        "host that nobody knows", settings(TARGET, f'{TARGET}hosts = ["root@no.invalid"]\n'), (), 4
    ),
    Case(
        "host twice",
        settings(TARGET, f'{TARGET}hosts = ["root@a", "root@a:22"]\n'),
        ("names a again",),
    ),
    Case(
        "base folder below a file",
        settings('/containers"', '/file/containers"'),
        ("cannot make", "base_folder"),
    ),
    Case("no base folder", settings('base_folder = "/', 'base_folder = "'), ("absolute",)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_wrong_file_is_refused_before_anything_changes(app: Small, case: Case) -> None:
    (app.base / "file").write_text("")
    for name, old, new in case.edits:
        app.edit(name, old, new)
    for name in case.removed:
        (app.folder / name).unlink()
    app.put(".gitignore", "\n".join(case.ignored))
    for name, text in case.ignored.items():
        app.put(name, text)
    app.commit(case.name)
    check(app, app.deploy(), case.code, *case.words)


def test_port_that_is_taken_is_told_and_nothing_stays(app: Small) -> None:
    with socket.socket() as somebody:
        somebody.bind(("", app.port))
        somebody.listen()
        ran = app.deploy()
    assert ran.code == 1, ran.text
    assert f"port {app.port} is taken" in ran.err
    assert app.containers() == {}


def test_image_that_nobody_has_is_told(app: Small) -> None:
    app.edit("ops.toml", "[services.web]\n", "[services.cache]\n\n[services.web]\n")
    app.edit("compose.yaml", "image: ${REDIS_IMAGE}", "image: invops-tests.invalid/none:1")
    app.commit("no image")
    ran = app.deploy()
    assert (ran.code, ran.err.count("\nerror: ")) == (1, 1), ran.text
    assert "invops-tests.invalid" in ran.err
    assert app.containers() == {}


def test_secret_whose_file_is_not_on_the_host_is_told(app: Small) -> None:
    text = (app.folder / "compose.yaml").read_text()
    text = text.replace("    expose:", "    secrets: [key]\n    expose:", 1)
    app.put("compose.yaml", f"{text}\nsecrets:\n  key: {{ file: ./key.pem }}\n")
    app.put(".gitignore", "key.pem\n")
    app.put("key.pem", "secret")
    app.commit("a secret")
    ran = app.deploy()
    assert (ran.code, ran.err.count("\nerror: ")) == (3, 1), ran.text
    assert f"{app.base}/containers/shared/key.pem" in ran.err
    assert app.containers() == {}


def test_version_that_never_gets_healthy_shows_its_last_lines_and_where_the_rest_is(
    app: Small,
) -> None:
    release = app.release("sick")
    app.edit(
        "ops.toml", 'POSTGRES_IMAGE = "', 'POSTGRES_PASSWORD = "pass-4711", POSTGRES_IMAGE = "'
    )
    release = app.commit("sick")
    ran = app.deploy()
    assert ran.code == 1, ran.text
    assert "says that it is unhealthy" in ran.err
    assert f"version {release} serves on port" in ran.err
    (folder,) = {
        Path(line.partition("health answers: ")[2])
        for line in ran.err.splitlines()
        if "health answers: " in line
    }
    names = {each.name.removeprefix(f"{app.project}-") for each in folder.iterdir()}
    wanted = {"inspect.json", "proxy.json", "health.json", "web-blue-1.log", "db-1.log"}
    assert wanted <= names
    health = json.loads((folder / "health.json").read_text())
    assert health["web-blue"]["status"] == 503
    assert health[f"{app.project}-web-blue-1"]["state"]["Health"]["Status"] == "unhealthy"
    assert "pass-4711" not in "".join(each.read_text() for each in folder.iterdir())
    assert {each.stat().st_mode & 0o077 for each in folder.iterdir()} == {0}
    kept = app.base / "containers" / "evidence" / folder.parent.name
    assert names == {each.name.removeprefix(f"{app.project}-") for each in kept.iterdir()}
    assert not [name for name in app.containers() if name.startswith(("web", "worker"))]
    shown = app.run("runs.show", folder.parent.name)
    assert str(folder.parent) in shown.out


def test_another_repository_with_the_same_names_is_refused(app: Small) -> None:
    """Also when it has the folder elsewhere: containers of one name belong to one of them."""
    (app.base / "file").unlink(missing_ok=True)
    ran = app.deploy()
    assert ran.code == 0, ran.text
    before = {name: each["ID"] for name, each in app.containers().items()}
    twin = Small(app.folder.parent / "twin", app.base, app.environment, app.port)
    shutil.copytree(app.folder, twin.folder, ignore=shutil.ignore_patterns(".git", ".ops"))
    twin.git("init", "--quiet", "--initial-branch", "main")
    twin.commit("another beginning")
    for folder in ("", "-2"):
        if folder:
            twin.edit("ops.toml", '/containers"', '/containers-2"')
            twin.commit("elsewhere")
        for words in (("deploy", "--dry-run"), ("deploy",)):
            ran = twin.run(*words)
            assert (ran.code, "belongs to" in ran.err) == (3, True), ran.text
    assert not (app.base / "containers-2").exists()
    clone = Small(app.folder.parent / "clone", app.base, app.environment, app.port)
    app.git("clone", "--quiet", str(app.folder), str(clone.folder))
    ran = clone.deploy()
    assert (ran.code, "nothing to change" in ran.out) == (0, True), ran.text
    shallow = Small(app.folder.parent / "shallow", app.base, app.environment, app.port)
    app.commit("two commits, of which a shallow clone has one")
    app.git("clone", "--quiet", "--depth=1", f"file://{app.folder}", str(shallow.folder))
    ran = shallow.deploy("--dry-run")
    assert ran.code == 10, ran.text
    assert {name: each["ID"] for name, each in app.containers().items()} == before
