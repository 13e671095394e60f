"""What must answer: ports, secrets, the state database, the daemon, the application's database."""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Iterator

import psutil

from ops.database import mysql, mysql_url, sql
from ops.database.server import Server
from ops.hosts import orphans, ports
from ops.hosts.supervisor import Daemon
from ops.kernel import exits
from ops.kernel.errors import ConfigurationError, OpsError
from ops.kernel.store import open_state
from ops.setup import variables, workspace
from ops.setup.checks.result import Machine, Result

_BAD = ("FATAL", "BACKOFF")


def free_ports(machine: Machine) -> Iterator[Result]:
    """The ports of this environment must be free or ours; those of others are worth a warning."""
    ours = {each.pid for each in orphans.find(machine.home)}
    listening = _listeners()
    for port, (owner, matters) in _ports(machine).items():
        name = f"port {port} ({owner})"
        holders = listening.get(port, set())
        if ports.is_free(port):
            yield Result(name, "ok", "free")
        elif holders & ours:
            yield Result(name, "ok", "in use by this application")
        else:
            who = (
                ", ".join(filter(None, (_title(pid) for pid in sorted(holders))))
                or "another program"
            )
            look = (
                f"ss -ltnp 'sport = :{port}'"
                if shutil.which("ss")
                else f"lsof -nP -iTCP:{port} -sTCP:LISTEN"
            )
            if matters:
                yield Result(name, "wrong", f"taken by {who}", look, exits.CONFIGURATION)
            else:
                yield Result(name, "warning", f"taken by {who}", look)


def secrets(machine: Machine) -> Iterator[Result]:
    """Every reference of the services and of the environment must resolve; no value is shown."""
    settings = machine.settings
    own = workspace.read_env_file(settings) if settings.name == workspace.DEVELOPMENT else {}
    references = {
        reference: f"services.{name}.secrets.{variable}"
        for name, service in settings.services.items()
        for variable, reference in service.secrets.items()
        if not own.get(variable)
    }
    if settings.environment.database_url:
        references[settings.environment.database_url] = f"environments.{settings.name}.database_url"
    wrong = 0
    for reference, key in references.items():
        try:
            machine.context.secrets.resolve(reference)
        except OpsError as error:
            wrong += 1
            found = f"{error} ({key})"
            if isinstance(error, ConfigurationError):
                yield Result("secret", "missing", found, error.hint, exits.CONFIGURATION)
            else:
                yield Result("secret", "wrong", found, error.hint, exits.CONFIGURATION)
    if references and not wrong:
        yield Result("secrets", "ok", f"{len(references)} resolved")


def state(machine: Machine) -> Iterator[Result]:
    """The database of journal and audit."""
    try:
        opened = open_state(machine.settings, create=False)
    except OpsError as error:
        yield Result("state", "wrong", str(error), error.hint, error.exit_code)
        return
    if opened is None:
        yield Result("state", "ok", "none yet, the first run makes it")
        return
    with opened:
        yield Result("state", "ok", opened.place)


def daemon(machine: Machine) -> Iterator[Result]:
    """The supervisor, its programs, and processes that nobody watches."""
    watcher = Daemon(machine.context, machine.home, machine.account)
    marked = {each.pid: each for each in orphans.find(machine.home)}
    if not watcher.running():
        if marked:
            found = f"not running, but {len(marked)} of its processes are ({_some(marked)})"
            yield Result("daemon", "warning", found, "inv stop")
        else:
            yield Result("daemon", "ok", "not running; start and deploy start it")
        return
    programs = watcher.programs()
    bad = [each.name for each in programs if each.state in _BAD]
    running = sum(each.state == "RUNNING" for each in programs)
    if bad:
        found = f"cannot keep up: {', '.join(bad)}"
        yield Result("daemon", "warning", found, f"inv logs {bad[0]}")
    else:
        yield Result("daemon", "ok", f"running, {running} of {len(programs)} programs are up")
    lost = _unwatched(marked, {each.pid for each in programs if each.pid})
    if lost:
        found = f"{len(lost)} processes that nobody watches ({_some(lost)})"
        yield Result("orphans", "warning", found, "inv stop")


def database(machine: Machine) -> Iterator[Result]:
    """The application's database answers, unless it is the embedded one and stopped."""
    settings = machine.settings
    if settings.database is None:
        return
    if _is_external(machine):
        yield _external(machine)
        return
    watcher = Daemon(machine.context, machine.home, machine.account)
    server = Server(machine.context, machine.home, watcher, machine.account)
    if not (machine.home.postgres / "data").is_dir():
        yield Result("database", "ok", "none yet; setup and deploy make it")
    elif server.running():
        yield Result("database", "ok", "the embedded server answers")
    elif any(
        each.name == "postgres" and each.state not in ("STOPPED", "EXITED")
        for each in watcher.programs()
    ):
        yield Result(
            "database",
            "wrong",
            "the embedded server does not answer",
            "inv logs postgres",
            exits.CONNECTION,
        )
    else:
        yield Result("database", "ok", "the embedded server is stopped; start and deploy start it")


def _is_external(machine: Machine) -> bool:
    settings = machine.settings
    if settings.name == workspace.DEVELOPMENT:
        return not variables.is_embedded(machine.context)
    return bool(settings.environment.database_url)


def _external(machine: Machine) -> Result:
    settings = machine.settings
    try:
        url = (
            machine.context.secrets.resolve(settings.environment.database_url)
            if settings.environment.database_url
            else None
        )
        if settings.name == workspace.DEVELOPMENT:
            url = variables.database_url(machine.context)
    except OpsError:
        return Result("database", "warning", "not asked: its URL is missing, see the secret")
    assert url is not None
    try:
        where = sql.describe(url)
        connect = mysql.connect if mysql_url.is_mysql(url) else sql.connect
        with connect(url, read_only=True):
            return Result("database", "ok", f"{where} answers")
    except OpsError as error:
        return Result("database", "wrong", str(error), error.hint, error.exit_code)


def _ports(machine: Machine) -> dict[int, tuple[str, bool]]:
    """Return each port with whose it is, and whether the chosen environment needs it."""
    settings = machine.settings
    developing = settings.name == workspace.DEVELOPMENT
    found: dict[int, tuple[str, bool]] = {}
    for name, service in settings.services.items():
        if service.port:
            found[service.port] = (name, developing)
    for name, environment in settings.environments.items():
        chosen = name == settings.name
        if name != workspace.DEVELOPMENT and (chosen or environment.port not in found):
            found[environment.port] = (f"proxy of {name}", chosen)
    return found


def _listeners() -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    # Only root sees everybody's, and macOS shows nothing to others.
    with contextlib.suppress(psutil.Error, OSError):
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.pid and each.laddr:
                found[each.laddr.port].add(each.pid)
    return found


def _title(pid: int) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})"
    except psutil.Error:
        return ""


def _unwatched(marked: dict[int, psutil.Process], watched: set[int]) -> dict[int, psutil.Process]:
    """Return marked processes that descend from no program of the daemon and are not the daemon."""
    lost = {}
    for pid, process in marked.items():
        with contextlib.suppress(psutil.Error):
            family = {pid, *(each.pid for each in process.parents())}
            supervises = any("supervisor" in word for word in process.cmdline()[:5])
            if not family & watched and not supervises:
                lost[pid] = process
    return lost


def _some(processes: dict[int, psutil.Process]) -> str:
    pids = [str(pid) for pid in sorted(processes)]
    return ", ".join(pids[:5]) + (", …" if len(pids) > 5 else "")
