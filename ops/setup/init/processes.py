"""Processes that a repository declares: Procfile, Dockerfiles, probes of a Helm chart."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from ops.setup.init.commands import Converted, convert
from ops.setup.init.draft import Draft
from ops.setup.init.repository import Repository

_HEALTH_PATH = re.compile(r"https?://[^/\s'\"]+(/[\w./-]*)")


@dataclass
class Process:
    """A process that is declared somewhere.

    Args:
        name: Its name there.
        folder: Where its code is.
        where: File, with the line where one is known.
        found: What it is, for a person.
        command: Its command, as ops.toml has it.
        port: Port that it listens on in its container.
        health: Path that says whether it is well.
        environment: Plain variables.
        secrets: References.
    """

    name: str
    folder: PurePosixPath
    where: str
    found: str
    command: Converted
    port: int | None = None
    health: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def listens(self) -> bool:
        """Whether it takes requests."""
        return self.command.listens or self.port is not None


@dataclass
class Dockerfile:
    """What the last stage of a Dockerfile says."""

    path: PurePosixPath
    base: str = ""
    entry: list[str] | str = ""
    command: Converted = field(default_factory=Converted)
    port: int | None = None
    health: str = ""

    @property
    def serves_files(self) -> bool:
        """Whether it is a web server with files, which the static files of a service replace."""
        return bool(
            re.search(r"(^|/)(nginx|caddy|httpd|traefik|haproxy|static-web-server)", self.base)
        )


def procfile(draft: Draft, repository: Repository) -> list[Process]:
    """Return the processes of every Procfile, without its release phase."""
    found = []
    for path in repository.named("Procfile"):
        for number, line in enumerate(repository.text(path).splitlines(), 1):
            name, colon, command = line.partition(":")
            where = f"{path}:{number}"
            if not colon or not command.strip() or name.strip().startswith("#"):
                continue
            if name.strip() == "release":
                draft.find("release phase", where, "nothing: [migrations] or [hooks]")
                draft.decide(
                    f"{where} runs `{command.strip()}` before a release: is that [migrations], or a hook?"
                )
                continue
            made = convert(command.strip())
            if name.strip() == "web":
                made.listens = True
            found.append(Process(name.strip(), path.parent, where, f"process {name.strip()}", made))
    return found


def dockerfile(repository: Repository, path: PurePosixPath) -> Dockerfile:
    """Read a Dockerfile; what an earlier stage says counts only if the last one builds on it."""
    found = Dockerfile(path)
    stages: dict[str, Dockerfile] = {}
    for word, rest in _instructions(repository.text(path)):
        if word == "FROM":
            words = [each for each in rest.split() if not each.startswith("--")]
            base = words[0] if words else ""
            found = dataclasses.replace(stages.get(base) or Dockerfile(path, base))
            stages[words[-1] if words else ""] = found
        elif word == "EXPOSE":
            number = re.match(r"\d+", rest)
            found.port = int(number[0]) if number else found.port
        elif word == "ENTRYPOINT":
            found.entry = _listed(rest)
            found.command = convert(found.entry)
        elif word == "CMD":
            found.command = _together(found.entry, _listed(rest))
        elif word == "HEALTHCHECK":
            found.health = health_of(rest) or found.health
    found.port = found.port or found.command.port
    return found


def dockerfiles(repository: Repository, used: set[PurePosixPath]) -> list[Process]:
    """Return a process for each Dockerfile that no Compose file uses."""
    found = []
    for path in repository.named("Dockerfile", "Dockerfile.*", "*.Dockerfile", "Containerfile"):
        if path in used or re.search(
            r"dev|test|ci", path.name.replace("Dockerfile", ""), re.IGNORECASE
        ):
            continue
        read = dockerfile(repository, path)
        if read.command.command and not read.serves_files:
            name = path.name.replace("Dockerfile", "").strip(".") or path.parent.name
            found.append(
                Process(
                    name, path.parent, str(path), "Dockerfile", read.command, read.port, read.health
                )
            )
    return found


def helm(draft: Draft, repository: Repository) -> str:
    """Note the charts; return the path of a readiness probe in their values."""
    health = ""
    for chart in repository.named("Chart.yaml"):
        draft.find(
            f"Helm chart {repository.yaml(chart).get('name', '')}".strip(),
            chart,
            "nothing: no environment of Kubernetes yet",
        )
        values = (
            repository.yaml(chart.with_name("values.yaml"))
            if repository.has(chart.with_name("values.yaml"))
            else {}
        )
        health = health or _probe(values, 0)
    return health


def health_of(text: str) -> str:
    """Return the path that a health check asks for."""
    found = _HEALTH_PATH.search(text)
    return found[1] if found else ""


def _probe(values: dict[str, Any], depth: int) -> str:
    for key in ("readinessProbe", "livenessProbe"):
        probe = values.get(key)
        asked = probe.get("httpGet") if isinstance(probe, dict) else None
        path = asked.get("path") if isinstance(asked, dict) else None
        if isinstance(path, str) and path.startswith("/"):
            return path
    if depth < 4:
        inner = (_probe(each, depth + 1) for each in values.values() if isinstance(each, dict))
        return next(filter(None, inner), "")
    return ""


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\\[ \t]*\n(?:[ \t]*#[^\n]*\n)*", " ", text)
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word and not word.startswith("#") and rest.strip():
            yield word.upper(), rest.strip()


def _listed(text: str) -> list[str] | str:
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            return text
        return [str(each) for each in words] if isinstance(words, list) else text
    return text


def _together(entry: list[str] | str, command: list[str] | str) -> Converted:
    """An entry point that is a script of its own is dropped: the command is what it execs."""
    if isinstance(entry, list) and isinstance(command, list):
        script = entry[-1:] and entry[-1].endswith(".sh")
        return convert(command if script else [*entry, *command])
    return convert(command)
