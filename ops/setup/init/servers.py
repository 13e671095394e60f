"""The commands that serve a Python application object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ops.setup.init.code import Application, Code
from ops.setup.init.dependencies import Dependencies
from ops.setup.init.draft import Draft
from ops.setup.init.places import Place
from ops.setup.init.repository import Repository

VERSIONS: Final = (
    *("APP_VERSION", "RELEASE", "APP_RELEASE", "RELEASE_VERSION", "BUILD_VERSION", "VERSION"),
    *("GIT_SHA", "GIT_COMMIT", "COMMIT_SHA", "SENTRY_RELEASE"),
)
# gunicorn 25.1 opens a control socket beside its own; two slots would fight for it.
_CONTROL_SOCKET: Final = (25, 1)


@dataclass(frozen=True)
class Commands:
    """How a release and a developer serve it."""

    command: str
    development: str


def commands(
    draft: Draft,
    repository: Repository,
    dependencies: Dependencies,
    application: Application,
    place: Place,
) -> Commands:
    """Return the commands for an application with the server that is among its dependencies."""
    target = f"{place.module}:{application.name}"
    if application.kind == "asgi":
        return _asgi(draft, dependencies, application, target)
    words = ["gunicorn --bind unix:{socket} --threads 8"]
    if dependencies.version("gunicorn") >= _CONTROL_SOCKET:
        words.append("--no-control-socket")
    words.append(f"'{target}()'" if application.factory else target)
    _require(draft, dependencies, "gunicorn", application)
    return Commands(" ".join(words), _wsgi_development(repository, application, place, target))


def version_variable(code: Code) -> str:
    """Return the variable that the application reads its release from, empty when there is none."""
    read = {each.what for each in code.variables}
    return next((name for name in VERSIONS if name in read), "")


def _asgi(
    draft: Draft, dependencies: Dependencies, application: Application, target: str
) -> Commands:
    if not dependencies.has("uvicorn") and dependencies.has("hypercorn"):
        return Commands(
            f"hypercorn --bind unix:{{socket}} {target}",
            f"hypercorn --reload --bind 127.0.0.1:{{port}} {target}",
        )
    if not dependencies.has("uvicorn") and dependencies.has("daphne"):
        return Commands(
            f"daphne -u {{socket}} {target}", f"daphne -b 127.0.0.1 -p {{port}} {target}"
        )
    _require(draft, dependencies, "uvicorn", application)
    flag = " --factory" if application.factory else ""
    return Commands(
        f"uvicorn {target}{flag} --uds {{socket}}",
        f"uvicorn {target}{flag} --reload --port {{port}}",
    )


def _wsgi_development(
    repository: Repository, application: Application, place: Place, target: str
) -> str:
    if application.framework == "Flask":
        # Flask finds `app` and `create_app` by itself.
        name = place.module if application.name in ("app", "application", "create_app") else target
        return f"flask --app {name} run --debug --port {{port}}"
    if application.title == "Django" and repository.has(place.directory / "manage.py"):
        return "python manage.py runserver 127.0.0.1:{port}"
    return f"gunicorn --reload --bind 127.0.0.1:{{port}} {target}"


def _require(
    draft: Draft, dependencies: Dependencies, server: str, application: Application
) -> None:
    if not dependencies.has(server):
        draft.decide(
            f"{application.title} needs a server: add {server} to the dependencies (none of them is one)"
        )
