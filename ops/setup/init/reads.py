"""What Python sources name: routes, prefixes of routers, variables, keys of health answers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

HEALTH: Final = re.compile(
    r"/(?:[\w.-]+/)*(?:health|healthz|healthcheck|ready|readyz|readiness|live|livez|liveness|alive|ping)"
    r"(?:/[\w-]+)?/?"
)
VERSION_KEYS: Final = frozenset(
    ["version", "build", "release", "commit", "revision", "sha", "git_sha"]
)
WORKERS: Final = re.compile(r"(?:\w+_)?(?:worker|workers|consumer|scheduler|poller)")
_ROUTES: Final = frozenset(
    [
        "get",
        "post",
        "put",
        "patch",
        "delete",
        "head",
        "options",
        "route",
        "api_route",
        "add_route",
        "add_api_route",
        "add_url_rule",
        "websocket",
        "Route",
        "WebSocketRoute",
        "Mount",
    ]
)
_READERS: Final = frozenset(
    ["environ.get", "getenv", "environ", "env", "env.str", "env.url", "env.db", "config"]
)


@dataclass(frozen=True)
class Read:
    """Something read in a source: a route, a variable."""

    what: str
    path: PurePosixPath
    line: int
    required: bool = False

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.path}:{self.line}"


def routes(path: PurePosixPath, tree: ast.Module) -> Iterator[Read]:
    """Yield literal routes, with the prefix of a router of the same module."""
    own = _own_prefixes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _route(path, node, own)


def prefixes(path: PurePosixPath, tree: ast.Module) -> Iterator[Read]:
    """Yield the literal prefixes of routers."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _prefix(path, node)


def variables(path: PurePosixPath, tree: ast.Module) -> Iterator[Read]:
    """Yield the variables of the environment that are read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _variable(path, node)
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            yield from _named(path, node.slice, required=True)
        elif isinstance(node, ast.ClassDef) and any(
            "Settings" in ast.unparse(b) for b in node.bases
        ):
            yield from _fields(path, node)


def is_worker(path: PurePosixPath, tree: ast.Module) -> bool:
    """Say whether a module is run as a background process, by its name and its main guard."""
    name = path.parent.name if path.stem == "__main__" else path.stem
    guards = (ast.unparse(each.test) for each in tree.body if isinstance(each, ast.If))
    return bool(WORKERS.fullmatch(name)) and any("__main__" in each for each in guards)


def callee(node: ast.expr | None) -> str:
    """Return the last name of what is called: `FastAPI` for `fastapi.FastAPI(...)`."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _own_prefixes(tree: ast.Module) -> dict[str, str]:
    """Return the prefix of each router that the module makes."""
    made = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            found = [each.what for each in _prefix(PurePosixPath(), node.value)]
            for target in node.targets:
                if found and isinstance(target, ast.Name):
                    made[target.id] = found[0].rstrip("/")
    return made


def _route(path: PurePosixPath, node: ast.Call, own: dict[str, str]) -> Iterator[Read]:
    if callee(node) in _ROUTES and node.args:
        router = ast.unparse(node.func).rpartition(".")[0]
        first = node.args[0]
        route = first.value if isinstance(first, ast.Constant) else None
        if isinstance(route, str) and route.startswith("/"):
            yield Read(own.get(router, "") + route, path, node.lineno)
    elif callee(node) == "path" and node.args and isinstance(node.args[0], ast.Constant):
        value = node.args[0].value  # Django's
        if isinstance(value, str) and value and not value.startswith("/"):
            yield Read(f"/{value}", path, node.lineno)


def _prefix(path: PurePosixPath, node: ast.Call) -> Iterator[Read]:
    for each in node.keywords:
        named = each.arg in ("prefix", "url_prefix")
        value = each.value.value if named and isinstance(each.value, ast.Constant) else None
        if isinstance(value, str) and value.startswith("/"):
            yield Read(value, path, node.lineno)


def _variable(path: PurePosixPath, node: ast.Call) -> Iterator[Read]:
    name = ast.unparse(node.func).removeprefix("os.")
    if name in _READERS and node.args:
        yield from _named(path, node.args[0], required=False)


def _named(path: PurePosixPath, node: ast.expr, *, required: bool) -> Iterator[Read]:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]+", value):
        yield Read(value, path, node.lineno, required)


def _fields(path: PurePosixPath, node: ast.ClassDef) -> Iterator[Read]:
    """Yield the variables of a class of pydantic-settings."""
    found = re.search(r"env_prefix\s*=\s*'(\w*)'", ast.unparse(node))
    prefix = found[1] if found else ""
    for each in node.body:
        field = each.target if isinstance(each, ast.AnnAssign) else None
        if isinstance(field, ast.Name) and field.id != "model_config":
            required = isinstance(each, ast.AnnAssign) and each.value is None
            yield Read(f"{prefix}{field.id}".upper(), path, each.lineno, required)


def version_keys(path: PurePosixPath, tree: ast.Module) -> Iterator[Read]:
    """Yield keys such as "version" in answers of functions, or of a whole module, about health."""
    about = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and re.search(r"health|ready|readiness", node.name)
    ]
    for node in [tree] if "health" in path.stem else about:
        for each in ast.walk(node):
            keys = []
            if isinstance(each, ast.Dict):
                keys = [key.value for key in each.keys if isinstance(key, ast.Constant)]
            elif isinstance(each, ast.Call) and callee(each) in ("jsonify", "dict"):
                keys = [key.arg for key in each.keywords]
            for key in keys:
                if key in VERSION_KEYS and isinstance(key, str):
                    yield Read(key, path, getattr(each, "lineno", 0))
