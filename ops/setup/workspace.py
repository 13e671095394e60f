"""The application as it lies in the working tree: its folders, its dependencies, its local file of variables.

Everything here only looks.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from ops.deploy import build
from ops.hosts import home, runner, tools
from ops.kernel.errors import ConfigurationError, NotPermitted
from ops.kernel.settings.models import Service, Settings
from ops.setup import dotenv

DEVELOPMENT = "development"
"""Name of the environment that runs from the working tree."""
STAMP = ".invops-lock"
"""File in node_modules with the hash of the lock file that filled it; `npm ci` removes it with the folder."""
_NODE_COMMANDS = {"node", "npm", "npx"}


def services(settings: Settings) -> dict[str, Service]:
    """Return the services that have a development command."""
    return {name: each for name, each in settings.services.items() if each.development}


def env_file(settings: Settings) -> Path:
    """Return the local file of variables; a link is followed, so that it stays one."""
    return (settings.app_folder / ".env.local").resolve()


def read_env_file(settings: Settings) -> dict[str, str]:
    """Return the variables of `.env.local`, none when there is no such file.

    Raises:
        ConfigurationError: A line is wrong.
        NotPermitted: It cannot be read.
    """
    path = env_file(settings)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise NotPermitted(
            f"cannot read {path}", why=str(error.strerror), hint=f"ls -l {path}"
        ) from error
    return dotenv.parse(
        content,
        str(path.relative_to(settings.folder) if path.is_relative_to(settings.folder) else path),
    )


def python_folder(settings: Settings) -> Path | None:
    """Return the Python environment of the lock file as it is now, shared with releases; None without one.

    Raises:
        ConfigurationError: The lock file cannot be read.
    """
    if settings.python is None:
        return None
    lock = settings.app_folder / settings.python.requirements
    try:
        return home.of(settings).venvs / build.digest(lock.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"cannot read {lock}", why=str(error.strerror)) from error


def python_ready(settings: Settings) -> bool:
    """Say whether the Python environment is complete."""
    folder = python_folder(settings)
    return folder is None or (folder / build.COMPLETE).is_file()


def import_path(settings: Settings) -> str:
    """Return PYTHONPATH for the application's own packages: their sources, so that a change shows at once."""
    packages = settings.python.packages if settings.python else ()
    folders = [settings.app_folder / each for each in packages]
    return ":".join(str(each / "src" if (each / "src").is_dir() else each) for each in folders)


def node_folders(settings: Settings) -> list[Path]:
    """Return the folders of development services that `npm ci` can fill: those with a package-lock.json."""
    return [each for each in _package_folders(settings) if (each / "package-lock.json").is_file()]


def unlocked_node_folders(settings: Settings) -> list[Path]:
    """Return the folders whose dependencies another tool installs, or that have no lock file yet."""
    return [
        each for each in _package_folders(settings) if not (each / "package-lock.json").is_file()
    ]


def lock_digest(folder: Path) -> str:
    """Return the hash of a folder's package-lock.json."""
    return build.digest((folder / "package-lock.json").read_bytes())


def node_ready(folder: Path) -> bool:
    """Say whether node_modules was filled from the lock file as it is now."""
    try:
        return (folder / "node_modules" / STAMP).read_text() == lock_digest(folder)
    except OSError:
        return False


def needs_node(settings: Settings) -> bool:
    """Say whether a development service runs on Node."""
    commands = [shlex.split(each.development)[0] for each in services(settings).values()]
    return bool(_package_folders(settings)) or not _NODE_COMMANDS.isdisjoint(commands)


def search_path(settings: Settings) -> str:
    """Return PATH for development: the Python environment, Node where PATH lacks it, then the developer's own."""
    own = runner.base_environment().get("PATH", "")
    folders = []
    python = python_folder(settings)
    if python is not None:
        folders.append(str(python / "bin"))
    node = tools.find(home.of(settings), "node") if needs_node(settings) else None
    if node is not None and str(node.parent) not in own.split(":"):
        folders.append(str(node.parent))
    return ":".join([*folders, own])


def base_variables(settings: Settings) -> dict[str, str]:
    """Return what commands of the application get in development, beside its own variables."""
    python, path = python_folder(settings), import_path(settings)
    found: Mapping[str, str] = {
        **runner.base_environment(),
        "PATH": search_path(settings),
        "ENVIRONMENT": settings.name,
        settings.app.version_variable: DEVELOPMENT,
        "PYTHONUNBUFFERED": "1",
        "VIRTUAL_ENV": str(python or ""),
        "PYTHONPATH": path,
    }
    return {name: value for name, value in found.items() if value}


def _package_folders(settings: Settings) -> list[Path]:
    folders = dict.fromkeys(
        settings.app_folder / each.directory for each in services(settings).values()
    )
    return [each for each in folders if (each / "package.json").is_file()]
