"""Bring everything that was found together into an ops.toml that loads without a fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.kernel.settings import checks, document
from ops.kernel.settings.faults import Fault, WrongSettings
from ops.setup.init import (
    code,
    compose,
    data,
    dependencies,
    node,
    places,
    processes,
    render,
    servers,
    services,
)
from ops.setup.init.draft import DEVELOPMENT, Draft, Finding, Section, clean
from ops.setup.init.repository import Repository, Unread
from ops.setup.init.survey import Survey

_SERVICES: Final = re.compile(r"(services|environments)\.([^.\[]+)")
_PROXY_PORTS: Final = (8080, 8090, 8180, 8280)


@dataclass(frozen=True)
class Proposal:
    """What `invops init` has to say.

    Args:
        folder: The repository.
        content: Text of its ops.toml.
        services: Names of the services in it.
        findings: What was found and what it becomes.
        decisions: What is left to a person.
        unread: Files that could not be read.
    """

    folder: Path
    content: str
    services: tuple[str, ...]
    findings: tuple[Finding, ...]
    decisions: tuple[str, ...]
    unread: tuple[Unread, ...]


def make(folder: Path) -> Proposal:
    """Look at a repository and propose its ops.toml; only reads."""
    draft = Draft()
    survey = _survey(folder, draft)
    repository, sources = survey.repository, survey.code
    package = services.describe(draft, survey)
    described = draft.sections
    draft.sections = [_app(folder, draft, sources)]
    if sources.applications or survey.declared or repository.named("alembic.ini"):
        dependencies.section(draft, repository, survey.dependencies, package)
    draft.sections += _ordered(described) or [_example()]
    data.describe(draft, survey)
    draft.sections += _environments(draft)
    _secrets(draft, sources)
    if not described:
        draft.decide("nothing here says how the application is started: describe its services")
    if not repository.complete:
        draft.decide("not every file was looked at, there are too many")
    content = _without_faults(folder / document.FILE, draft)
    return Proposal(
        folder=folder,
        content=content,
        services=tuple(each.header.partition(".")[2] for each in draft.services()),
        findings=tuple(draft.findings),
        decisions=tuple(draft.decisions),
        unread=tuple(repository.unread),
    )


def _survey(folder: Path, draft: Draft) -> Survey:
    repository = Repository(folder)
    sources = code.scan(repository)
    first = next(iter(sources.applications), None)
    near = places.of(repository, first.path).directory if first else None
    composed = compose.look(draft, repository)
    declared = [
        *composed.processes,
        *processes.procfile(draft, repository),
        *processes.dockerfiles(repository, composed.dockerfiles),
    ]
    return Survey(
        repository=repository,
        code=sources,
        dependencies=dependencies.look(repository, near),
        compose=composed,
        declared=declared,
        health=processes.helm(draft, repository),
        front=node.services(draft, repository),
    )


def _example() -> Section:
    made = Section(
        "services.web", off="an example, nothing here says how the application is started"
    )
    made.put("command", "uvicorn app.main:app --uds {socket}", "or --port {port}")
    made.put("port", 8000, "while developing")
    made.put("health", "/health", "200 when it may get traffic")
    return made


def _app(folder: Path, draft: Draft, sources: code.Code) -> Section:
    made = Section("app")
    made.put("name", clean(folder.name) or "app", "folders, databases and processes carry it")
    made.put("default_environment", DEVELOPMENT)
    variable = servers.version_variable(sources)
    if variable and variable != "APP_VERSION":
        made.put("version_variable", variable, "carries the release id to every service")
        read = next(each for each in sources.variables if each.what == variable)
        draft.find(f"variable {variable}", read.where, "[app] version_variable")
    return made


def _ordered(sections: list[Section]) -> list[Section]:
    """Servers, then background processes, then front ends."""

    def rank(section: Section) -> int:
        return 2 if "build" in section.values else 0 if "port" in section.values else 1

    return sorted(sections, key=rank)


def _environments(draft: Draft) -> list[Section]:
    taken = {each.values.get("port") for each in draft.services()}
    local = Section("environments.local")
    local.put("target", "local")
    local.put(
        "port",
        next(port for port in _PROXY_PORTS if port not in taken),
        "where the proxy listens on 127.0.0.1",
    )
    local.put("working_tree", True, "work that is not committed may be deployed here")
    production = Section("environments.production", off="write it when there is one")
    production.put("target", "local")
    production.put("protected", True, "asks for its name before a change")
    production.put("state", "local", "or set OPS_STATE_URL to the state database of your team")
    development = Section(f"environments.{DEVELOPMENT}")
    development.put("target", "local")
    return [development, local, production]


def _secrets(draft: Draft, sources: code.Code) -> None:
    """Name the secrets that a deploy needs, and those that the code reads but nothing gives."""
    given: set[str] = set()
    for each in draft.services():
        references = each.values.get("secrets")
        given |= set(references) if isinstance(references, dict) else set()
    if given:
        draft.decide(
            f"set before a deploy, or change the references in `secrets`: {', '.join(sorted(given))}"
        )
    read = {
        each.what: each.where
        for each in sources.variables
        if each.required and compose.SECRET.search(each.what)
    }
    missing = sorted(
        name for name in read.keys() - given if not compose.DATABASE_URL.fullmatch(name)
    )
    for name in missing:
        draft.decide(
            f'{read[name]} needs {name}: add it to `secrets` of the service, e.g. {name} = "env:{name}"'
        )


def _without_faults(file: Path, draft: Draft) -> str:
    """Turn every section that would be a fault into a comment: whatever the repository holds, this file loads."""
    while True:
        content = render.toml(draft.sections)
        faults = _faults(file, content)
        wrong = [section for fault in faults if (section := _of(draft, fault))]
        if not wrong:
            return content
        for section, fault in zip(wrong, faults, strict=False):
            if not section.off:
                section.off = f"{fault.key} {fault.what}"
                draft.decide(f"[{section.header}] is only a comment: {fault.key} {fault.what}")


def _faults(file: Path, content: str) -> list[Fault]:
    try:
        parsed = document.parse(file, content.encode())
    except WrongSettings as error:
        return list(error.faults)
    checks.check(parsed)
    return parsed.faults


def _of(draft: Draft, fault: Fault) -> Section | None:
    found = _SERVICES.match(fault.key)
    header = found[0] if found else fault.key.partition(".")[0]
    return draft.section(header)
