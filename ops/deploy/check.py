"""`inv deploy.check`: everything that a deploy needs, looked at at once and by the code that refuses a deploy."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import PurePosixPath

from ops.deploy import ahead, finding, git, observe, preflight, proxy, releases
from ops.deploy.finding import HERE, Finding
from ops.hosts import envlock, home, ports, tools
from ops.kernel import exits
from ops.kernel.context import Context
from ops.kernel.errors import OpsError
from ops.kernel.report import Report, Table

_COLUMNS = ("where", "check", "state", "found")
Look = Callable[[Context], Iterator[Finding]]


def report(context: Context) -> Report:
    """Look at everything; the exit code is that of the worst finding that stops a deploy, 0 for none."""
    settings = context.settings
    if settings.environment.target == "compose":
        from ops.deploy.compose import check as compose

        looks = (*COMMON, compose.here, compose.registry, compose.hosts)
    else:
        looks = (*COMMON, *LOCAL)
    with ThreadPoolExecutor(len(looks)) as pool:
        every = [
            each for found in pool.map(lambda look: _found(context, look), looks) for each in found
        ]
    code = finding.worst(every)
    wrong = sum(each.state == "wrong" for each in every)
    summary = f"{wrong} finding{'s' if wrong > 1 else ''} would stop" if wrong else "nothing stops"
    return Report(
        f"{settings.name}: {summary} a deploy",
        status="difference" if code else "ok",
        tables=(Table(_COLUMNS, [(e.where, e.check, e.state, e.found) for e in every]),),
        hints=[
            f"{each.where}: {each.check}: {each.hint}"
            for each in every
            if each.hint and each.state != "ok"
        ],
        data={"environment": settings.name, "findings": [asdict(each) for each in every]},
        exit_code=code,
    )


def _found(context: Context, look: Look) -> list[Finding]:
    try:
        return list(look(context))
    except OpsError as error:
        return [finding.of_error(HERE, look.__name__.strip("_").replace("_", " "), error)]


def _git(context: Context) -> Iterator[Finding]:
    """The program, the repository, and whether it is clean."""
    if shutil.which("git") is None:
        yield Finding(HERE, "git", "wrong", "missing", "apt-get install git", exits.DEPENDENCY)
        return
    revision = git.resolve(context, "")
    words = f"{revision.release} ({revision.ref})"
    if revision.left_out:
        yield finding.warning(
            HERE,
            "git",
            f"{words}; uncommitted changes are left out",
            "commit them, or set working_tree = true for this environment",
        )
    elif revision.dirty:
        yield finding.warning(HERE, "git", f"{words}, with uncommitted changes")
    else:
        yield finding.ok(HERE, "git", f"{words}, clean")


def _secrets(context: Context) -> Iterator[Finding]:
    """Every reference of the services and of the environment, each told by its name."""
    settings, chosen = context.settings, context.settings.environment
    wanted = {f"{name}": each for name, each in chosen.secrets.items()}
    for service, each in settings.services.items():
        wanted |= {f"{key} of {service}": reference for key, reference in each.secrets.items()}
    for key in ("database_url", "migration_url", "ssh_key"):
        if reference := getattr(chosen, key):
            wanted[key] = reference
    missing = 0
    for name, reference in wanted.items():
        try:
            context.secrets.resolve(reference)
        except OpsError as error:
            missing += 1
            yield finding.of_error(HERE, f"secret {name}", error)
    if not missing:
        yield finding.ok(HERE, "secrets", f"{len(wanted)} resolve")


def _lock(context: Context) -> Iterator[Finding]:
    """Who works on the environment now."""
    holder = envlock.of(context).holder()
    if holder is None:
        yield finding.ok(HERE, "lock", "free")
    elif holder.alive:
        words = f"held by {holder.owner} ({holder.task}, process {holder.pid} on {holder.host})"
        yield Finding(HERE, "lock", "wrong", words, "wait with --wait")
    else:
        yield finding.ok(HERE, "lock", f"left by {holder.owner}, who is gone: it is taken over")


def _policy(context: Context) -> Iterator[Finding]:
    """What ops.deploy.policy says about a deploy from here and now; the one place where it is asked for a check."""
    if importlib.util.find_spec("ops.deploy.policy") is None:
        return
    policy = importlib.import_module("ops.deploy.policy")
    for rule, is_kept, words in policy.findings(context):
        if is_kept:
            yield finding.ok(HERE, f"policy: {rule}", words)
        else:
            hint = 'or, recorded for everybody: --override "reason"'
            yield Finding(HERE, f"policy: {rule}", "wrong", words, hint, exits.PERMISSION)


def _tools(context: Context) -> Iterator[Finding]:
    """The programs that an environment of processes needs."""
    for name in preflight.needed_tools(context.settings):
        path = tools.find(home.of(context.settings), name)
        words = str(path) if path else "is installed by the deploy"
        yield finding.ok(HERE, tools.KITS[name].title, words)


def _disk(context: Context) -> Iterator[Finding]:
    """Space for wheels, an environment and a release."""
    yield preflight.disk(context.settings)


def _port(context: Context) -> Iterator[Finding]:
    """Whether the port is ours."""
    settings, port = context.settings, context.settings.environment.port
    if ports.is_free(port) or proxy.listens(settings, port):
        yield finding.ok(HERE, "port", str(port))
    else:
        yield finding.of_error(HERE, "port", preflight.taken(settings, port))


def _serving(context: Context) -> Iterator[Finding]:
    """What serves now, and the migrations that come."""
    release = observe.observe(context).release
    yield finding.ok(HERE, "serves", release or "nothing yet")
    commit = releases.commit(context.settings, release) if release else ""
    yield from migrations(context, release, commit)


def migrations(context: Context, serving: str, commit: str) -> Iterator[Finding]:
    """Yield which migrations a deploy from here would apply: the files that the release that serves has not.

    Args:
        context: Surroundings.
        serving: The release that serves, empty for none.
        commit: Its commit, empty when it is not known.
    """
    if context.settings.migrations is None:
        return
    found = ahead.added(context, git.resolve(context, ""), commit)
    names = [PurePosixPath(path).name for path in found]
    words = (
        f"{len(names)} more than {serving or 'nothing'}: {', '.join(names)}" if names else "none"
    )
    yield finding.ok(HERE, "migrations", words)


COMMON: tuple[Look, ...] = (_git, _secrets, _policy)
LOCAL: tuple[Look, ...] = (_disk, _tools, _port, _lock, _serving)
