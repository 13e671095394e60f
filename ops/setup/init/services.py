"""Web services and background processes: what is declared, and what the sources alone say."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from ops.setup.init import places, servers, traffic
from ops.setup.init.code import Application, Code
from ops.setup.init.commands import Converted, module_of
from ops.setup.init.draft import Draft, Section
from ops.setup.init.places import Place
from ops.setup.init.processes import Process
from ops.setup.init.survey import Survey

_DEVELOPMENT_SERVERS: Final = re.compile(r"\brunserver\b|\bflask\b.*\brun\b|\bfastapi dev\b")


def describe(draft: Draft, survey: Survey) -> PurePosixPath | None:
    """Add a section for each service; return the folder of the local package that they need."""
    applications = {_place(survey, each): each for each in _best(survey)}
    packages = [place.package for place in applications if place.package is not None]
    covered: set[Place] = set()
    for process in _merged(_without_front(draft, survey.declared)):
        place = _place_of(survey, process, list(applications))
        if process.listens or (place in applications and not process.command.command):
            covered |= {place} if place in applications else set()
            _web(draft, survey, process, place, applications.get(place) if place else None)
        elif process.command.command:
            _background(draft, process, place)
        else:
            draft.find(process.found, process.where, "nothing: its command is not known")
            draft.decide(f"{process.where}: which command starts it?")
    for place, application in applications.items():
        if place not in covered:
            where = f"{application.path}:{application.line}"
            name = place.directory.name or "web"
            found = Process(
                name, place.directory, where, f"{application.title} application", Converted()
            )
            _web(draft, survey, found, place, application)
    _workers(draft, survey)
    return packages[0] if packages else None


def _best(survey: Survey) -> list[Application]:
    """Return one application for each import root: an object before a factory, the top before the deep."""
    best: dict[PurePosixPath, Application] = {}
    asgi = survey.dependencies.has("uvicorn", "hypercorn", "daphne", "granian")
    for each in sorted(
        survey.code.applications,
        key=lambda one: (
            one.factory,
            (one.kind == "wsgi") == asgi,
            one.name not in ("app", "application"),
            len(one.path.parts),
        ),
    ):
        best.setdefault(_place(survey, each).directory, each)
    return list(best.values())


def _place(survey: Survey, application: Application) -> Place:
    return places.of(survey.repository, application.path)


def _place_of(survey: Survey, process: Process, known: list[Place]) -> Place | None:
    module = module_of(process.command.command)
    same = [each for each in known if module and each.module == module]
    near = [each for each in known if process.folder in (each.directory, *each.directory.parents)]
    found = places.find(survey.repository, process.folder, module) if module and not same else None
    listening = process.listens or not process.command.command
    return next(iter([*same, *([found] if found else near if listening else [])]), None)


def _without_front(draft: Draft, declared: list[Process]) -> list[Process]:
    """Leave out processes of folders that a service with a build covers; it takes their variables."""
    kept = []
    built = {
        str(each.values.get("directory", ".")): each
        for each in draft.services()
        if "build" in each.values
    }
    for process in declared:
        section = built.get(str(process.folder))
        if section is None or module_of(process.command.command):
            kept.append(process)
            continue
        draft.find(process.found, process.where, f"[{section.header}]")
        if "static" not in section.values:
            section.put("environment", process.environment)
            section.put("secrets", process.secrets)
            section.put("health", process.health)
    return kept


def _merged(declared: list[Process]) -> list[Process]:
    """Bring together what several files say about one process; the first one counts."""
    found: dict[tuple[str, ...], Process] = {}
    for each in declared:
        command = each.command.command
        key = (
            str(each.folder),
            module_of(command) if each.listens else "",
            "" if each.listens else command,
        )
        first = found.setdefault(key, each)
        if first is not each:
            first.port = first.port or each.port
            first.health = first.health or each.health
            first.environment = {**each.environment, **first.environment}
            first.secrets = {**each.secrets, **first.secrets}
    return list(found.values())


def _web(
    draft: Draft,
    survey: Survey,
    process: Process,
    place: Place | None,
    application: Application | None,
) -> None:
    made = Section(f"services.{draft.service_name(process.name, 'web')}")
    directory = place.directory if place else process.folder
    if directory.parts:
        made.put("directory", str(directory))
    _command(draft, survey, made, process, place, application)
    made.put("port", _free_port(draft, process.port or 8000))
    routes = survey.code.below(directory) if application is not None else Code()
    traffic.route(draft, survey, made, routes)
    traffic.health(draft, survey, made, process, routes)
    made.put("environment", process.environment)
    made.put("secrets", process.secrets, "references, resolved when a release starts")
    for each in process.command.doubts:
        draft.decide(f"{process.where}: {each}")
    draft.find(process.found, process.where, f"[{made.header}]")
    draft.sections.append(made)


def _command(
    draft: Draft,
    survey: Survey,
    made: Section,
    process: Process,
    place: Place | None,
    application: Application | None,
) -> None:
    command = process.command.command
    if application is not None and place is not None:
        own = servers.commands(draft, survey.repository, survey.dependencies, application, place)
        if "{" not in command or _DEVELOPMENT_SERVERS.search(command):
            command = own.command
        made.put("command", command)
        made.put("development", own.development)
        return
    if "{socket}" not in command and "{port}" not in command:
        command = f"env PORT={{port}} {command}"
        draft.decide(f"{made.header}: does it listen on 127.0.0.1 and on the port in PORT?")
    made.put("command", command)
    if "{socket}" in command:
        listen = command.replace("--uds {socket}", "--reload --port {port}")
        made.put("development", listen.replace("unix:{socket}", "127.0.0.1:{port}"))


def _background(draft: Draft, process: Process, place: Place | None) -> None:
    made = Section(f"services.{draft.service_name(process.name, 'worker')}")
    directory = place.directory if place else process.folder
    if directory.parts:
        made.put("directory", str(directory))
    made.put("command", process.command.command)
    made.put("environment", process.environment)
    made.put("secrets", process.secrets, "references, resolved when a release starts")
    for each in process.command.doubts:
        draft.decide(f"{process.where}: {each}")
    draft.find(process.found, process.where, f"[{made.header}]")
    draft.sections.append(made)


def _workers(draft: Draft, survey: Survey) -> None:
    """Add modules that are workers by their name, unless a command starts them already."""
    commands = " ".join(str(each.values.get("command", "")) for each in draft.services())
    for path in survey.code.workers:
        place = places.of(survey.repository, path)
        if place.module not in commands:
            name = place.module.rpartition(".")[2].replace("_", "-")
            command = Converted(f"python -m {place.module}")
            _background(
                draft, Process(name, place.directory, str(path), "worker module", command), place
            )


def _free_port(draft: Draft, wanted: int) -> int:
    """Return a port above 1023 that no service has."""
    taken = {each.values.get("port") for each in draft.services()}
    port = wanted if 1023 < wanted < 65000 else 8000
    while port in taken:
        port += 1
    return port
