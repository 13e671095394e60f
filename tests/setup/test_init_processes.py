"""Processes that Dockerfiles, Compose files and Helm charts declare."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from ops.setup.init import compose, processes
from ops.setup.init.draft import Draft
from ops.setup.init.processes import Process
from ops.setup.init.repository import Repository
from tests.setup import layouts

SERVE = 'CMD ["uvicorn", "a:b", "--port", "8000"]\n'
SERVED = "uvicorn a:b --uds {socket}"


@pytest.mark.parametrize(
    ("text", "base", "command", "port", "health"),
    [
        (f"FROM python:3\n{SERVE}", "python:3", SERVED, 8000, ""),
        (
            f"FROM --platform=linux/amd64 python:3 AS x\nEXPOSE 9000/tcp\n{SERVE}",
            "python:3",
            SERVED,
            9000,
            "",
        ),
        (f"FROM python:3 as base\n{SERVE}FROM base\nEXPOSE 81\n", "python:3", SERVED, 81, ""),
        (f"FROM a AS b\n{SERVE}FROM c\n", "c", "", None, ""),
        (
            'FROM a\nENTRYPOINT ["gunicorn"]\nCMD ["a:b"]\n',
            "a",
            "gunicorn a:b --bind unix:{socket}",
            None,
            "",
        ),
        ('FROM a\nENTRYPOINT ["/entry.sh"]\nCMD ["node", "x.js"]\n', "a", "node x.js", None, ""),
        ('FROM a\nENTRYPOINT ["node", "x.js"]\n', "a", "node x.js", None, ""),
        ("FROM a\n# CMD no\nCMD exec node \\\n  # why\n  x.js\n", "a", "node x.js", None, ""),
        ('FROM a\nCMD ["open\n', "a", "", None, ""),
        (
            "FROM a\nHEALTHCHECK --interval=5s CMD wget -q http://localhost:80/ok || exit 1\n",
            "a",
            "",
            None,
            "/ok",
        ),
        ("FROM\nEXPOSE $PORT\nCMD\n", "", "", None, ""),
    ],
)
def test_last_stage_of_a_dockerfile_counts(
    tmp_path: Path, text: str, base: str, command: str, port: int | None, health: str
) -> None:
    repository = Repository(layouts.make(tmp_path, {"Dockerfile": text}))
    read = processes.dockerfile(repository, PurePosixPath("Dockerfile"))
    assert (read.base, read.command.command, read.port, read.health) == (
        base,
        command,
        port,
        health,
    )


@pytest.mark.parametrize("image", ["nginx:1", "docker.io/library/caddy", "x/httpd"])
def test_images_that_serve_files_are_no_services(tmp_path: Path, image: str) -> None:
    files = {"web/Dockerfile": f"FROM {image}\nCMD run\n", "Dockerfile.dev": f"FROM a\n{SERVE}"}
    assert processes.dockerfiles(Repository(layouts.make(tmp_path, files)), set()) == []


def composed(folder: Path, service: str) -> tuple[list[Process], Draft]:
    draft = Draft()
    text = "services:\n  db: {image: postgres}\n  app:\n    build: .\n" + "".join(
        f"    {line}\n" for line in service.splitlines()
    )
    files = {"compose.yaml": text, "Dockerfile": f"FROM a\n{SERVE}"}
    return compose.look(draft, Repository(layouts.make(folder, files))).processes, draft


@pytest.mark.parametrize(
    ("service", "port"),
    [
        ("", 8000),
        ("ports: ['127.0.0.1:9000:5000']", 5000),
        ("ports: [{target: 5001, published: 80}]", 5001),
        ("ports: ['5002/tcp']", 5002),
        ("expose: [5003]", 5003),
        ("ports: ['${PORT}']", 8000),
        ("ports: nonsense", 8000),
    ],
)
def test_port_of_a_compose_service(tmp_path: Path, service: str, port: int) -> None:
    found, _ = composed(tmp_path, service)
    assert [each.port for each in found] == [port]


@pytest.mark.parametrize(
    ("given", "plain", "secret"),
    [
        ("environment: {A: 1, B: true, C: }", {"A": "1", "B": "true"}, {"C": "env:C"}),
        ("environment: [A=1, B, C=x=y]", {"A": "1", "C": "x=y"}, {"B": "env:B"}),
        (
            "environment: {A: '${A:-x}', B: '${NAME}', C: '$NAME'}",
            {"A": "x"},
            {"B": "env:NAME", "C": "env:NAME"},
        ),
        (
            "environment: {API_KEY: abcdef, MY_TOKEN: x}",
            {},
            {"API_KEY": "env:API_KEY", "MY_TOKEN": "env:MY_TOKEN"},
        ),
        ("environment: {Q: 'amqp://u:pw@mq:5672'}", {}, {"Q": "env:Q"}),
        (
            "environment: {H: db, U: 'http://db:80/x', N: 'dbx'}",
            {"H": "127.0.0.1", "U": "http://127.0.0.1:80/x", "N": "dbx"},
            {},
        ),
        ("environment: {DATABASE_URL: 'postgres://u:p@db/x', PORT: 1, 'bad name': 1}", {}, {}),
        ("environment: {A: 'x-${B}-y'}", {}, {"A": "env:A"}),
        ("environment: 5", {}, {}),
    ],
)
def test_variables_are_plain_or_secrets_by_reference(
    tmp_path: Path, given: str, plain: dict[str, str], secret: dict[str, str]
) -> None:
    found, _ = composed(tmp_path, given)
    assert (found[0].environment, found[0].secrets) == (plain, secret)


@pytest.mark.parametrize(
    ("values", "health"),
    [
        ("readinessProbe: {httpGet: {path: /r}}", "/r"),
        ("a: {b: {livenessProbe: {httpGet: {path: /l}}}}", "/l"),
        ("readinessProbe: {exec: {}}", ""),
        ("a: [1]", ""),
    ],
)
def test_probe_of_a_chart(tmp_path: Path, values: str, health: str) -> None:
    draft = Draft()
    files = {"chart/Chart.yaml": "name: x\n", "chart/values.yaml": values}
    assert processes.helm(draft, Repository(layouts.make(tmp_path, files))) == health
    assert [(each.found, each.where) for each in draft.findings] == [
        ("Helm chart x", "chart/Chart.yaml")
    ]
