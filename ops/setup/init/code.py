"""A cheap look at Python sources: application objects, routes, health, variables, workers."""

from __future__ import annotations

import ast
import dataclasses
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from ops.setup.init import reads
from ops.setup.init.reads import Read
from ops.setup.init.repository import Repository

FRAMEWORKS: Final = {
    "FastAPI": "asgi",
    "Starlette": "asgi",
    "Litestar": "asgi",
    "Quart": "asgi",
    "Sanic": "asgi",
    "Flask": "wsgi",
    "Bottle": "wsgi",
    "get_asgi_application": "asgi",
    "get_wsgi_application": "wsgi",
}
FACTORIES: Final = frozenset(
    [
        "create_app",
        "make_app",
        "get_app",
        "build_app",
        "create_application",
        "get_application",
        "app_factory",
    ]
)
FACTORY: Final = re.compile(rf"\b(?:{'|'.join(FACTORIES)})\(")
_MOST: Final = 1000
_LONGEST: Final = 200_000


@dataclass(frozen=True)
class Application:
    """An application object, or the function that makes one."""

    path: PurePosixPath
    line: int
    name: str
    framework: str
    factory: bool = False

    @property
    def kind(self) -> str:
        """Protocol: asgi or wsgi."""
        return FRAMEWORKS[self.framework]

    @property
    def title(self) -> str:
        """What a person calls it."""
        return "Django" if self.framework.startswith("get_") else self.framework


@dataclass
class Code:
    """What the sources say.

    Args:
        applications: Application objects, those near the top first.
        routes: Literal routes of applications.
        prefixes: Literal prefixes of routers.
        variables: Variables of the environment that are read.
        version_keys: Keys of health answers that look like the release.
        workers: Modules that run as background processes.
    """

    applications: list[Application] = field(default_factory=list)
    routes: list[Read] = field(default_factory=list)
    prefixes: list[Read] = field(default_factory=list)
    variables: list[Read] = field(default_factory=list)
    version_keys: list[Read] = field(default_factory=list)
    workers: list[PurePosixPath] = field(default_factory=list)

    @property
    def health(self) -> list[Read]:
        """Routes that answer about health."""
        return [each for each in self.routes if reads.HEALTH.fullmatch(each.what)]

    def below(self, folder: PurePosixPath) -> Code:
        """Return what the sources below a folder say."""

        def inside(found: list[Read]) -> list[Read]:
            return [each for each in found if folder in each.path.parents]

        return Code(
            routes=inside(self.routes),
            prefixes=inside(self.prefixes),
            variables=inside(self.variables),
            version_keys=inside(self.version_keys),
        )


def scan(repository: Repository) -> Code:
    """Look at every Python file except tests and migrations."""
    code = Code()
    assigned: list[tuple[Application, str]] = []
    factories: list[Application] = []
    parsed = 0
    for path in repository.named("*.py"):
        if parsed == _MOST:
            repository.complete = False
            break
        if path.name.startswith("test_") or path.name in ("conftest.py", "setup.py"):
            continue
        if {"migrations", "versions"} & set(path.parts[:-1]):
            continue
        tree = _parse(repository, path)
        if tree is None:
            continue
        parsed += 1
        found = reads.read(path, tree)
        code.routes += found.routes
        code.prefixes += found.prefixes
        code.variables += found.variables
        code.version_keys += found.version_keys
        code.workers += [path] if found.worker else []
        assigned += _assigned(path, tree)
        factories += _factories(path, tree)
    code.applications = _resolved(assigned, factories)
    return code


def _resolved(
    assigned: list[tuple[Application, str]], factories: list[Application]
) -> list[Application]:
    """Return the objects made by a framework or by a factory, and factories whose module makes none."""
    kinds = {each.name: each.framework for each in factories}
    objects = [
        dataclasses.replace(each, framework=called if called in FRAMEWORKS else kinds[called])
        for each, called in assigned
        if called in FRAMEWORKS or called in kinds
    ]
    modules = {each.path for each in objects}
    return [*objects, *(each for each in factories if each.path not in modules)]


def _parse(repository: Repository, path: PurePosixPath) -> ast.Module | None:
    text = repository.text(path)
    if len(text) > _LONGEST:  # generated
        return None
    named = "health" in path.stem
    if not named and not reads.INTERESTING.search(text) and not FACTORY.search(text):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        repository.note(path, error.lineno or 0, f"is not Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError):
        repository.note(path, 0, "is not Python")
    return None


def _factories(path: PurePosixPath, tree: ast.Module) -> Iterator[Application]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in FACTORIES:
            called = (reads.callee(each) for each in ast.walk(node) if isinstance(each, ast.Call))
            framework = next((name for name in called if name in FRAMEWORKS), "")
            if framework:
                yield Application(path, node.lineno, node.name, framework, True)


def _assigned(path: PurePosixPath, tree: ast.Module) -> Iterator[tuple[Application, str]]:
    """Yield what a module assigns the result of a call to, with the name of what is called."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            called = reads.callee(node.value)
            if called and isinstance(target, ast.Name):
                yield Application(path, node.lineno, target.id, ""), called
