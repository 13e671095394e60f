"""A cheap look at Python sources: application objects, routes, health, variables, workers."""

from __future__ import annotations

import ast
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
_MOST: Final = 3000


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
    trees: list[tuple[PurePosixPath, ast.Module]] = []
    for path in repository.named("*.py")[:_MOST]:
        if path.name.startswith("test_") or path.name in ("conftest.py", "setup.py"):
            continue
        if {"migrations", "versions"} & set(path.parts[:-1]):
            continue
        tree = _parse(repository, path)
        if tree is not None:
            trees.append((path, tree))
    factories = {name: kind for _, tree in trees for name, kind, _ in _factories(tree)}
    for path, tree in trees:
        code.applications += _applications(path, tree, factories)
        code.routes += reads.routes(path, tree)
        code.prefixes += reads.prefixes(path, tree)
        code.variables += reads.variables(path, tree)
        code.version_keys += reads.version_keys(path, tree)
        if reads.is_worker(path, tree):
            code.workers.append(path)
    return code


def _parse(repository: Repository, path: PurePosixPath) -> ast.Module | None:
    text = repository.text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        repository.note(path, error.lineno or 0, f"is not Python: {error.msg}")
    except (ValueError, RecursionError, MemoryError):
        repository.note(path, 0, "is not Python")
    return None


def _factories(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in FACTORIES:
            called = (reads.callee(each) for each in ast.walk(node) if isinstance(each, ast.Call))
            kind = next((name for name in called if name in FRAMEWORKS), "")
            if kind:
                yield node.name, kind, node.lineno


def _applications(
    path: PurePosixPath, tree: ast.Module, factories: dict[str, str]
) -> list[Application]:
    found = []
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        called = reads.callee(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) else ""
        framework = called if called in FRAMEWORKS else factories.get(called, "")
        if framework and targets and isinstance(targets[0], ast.Name):
            found.append(Application(path, node.lineno, targets[0].id, framework))
    if found:
        return found
    return [Application(path, line, name, kind, True) for name, kind, line in _factories(tree)]
