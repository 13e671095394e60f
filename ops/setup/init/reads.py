"""What Python sources name: routes, prefixes of routers, variables, keys of health answers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

HEALTH: Final = re.compile(
    r"/(?:[\w.-]+/)*(?:health|healthz|healthcheck|ready|readyz|readiness|live|livez|liveness|alive|ping)"
    r"(?:/[\w-]+)?/?"
)
_ABOUT: Final = re.compile(r"health|ready|readiness")
VERSION_KEYS: Final = frozenset(
    ["version", "build", "release", "commit", "revision", "sha", "git_sha"]
)
INTERESTING: Final = re.compile(
    r"FastAPI|Starlette|Litestar|Quart|Sanic|Flask|Bottle|get_[aw]sgi_application|environ|getenv|Settings\b"
    r"|prefix=|__main__|\.\w+\(\s*['\"]/|Route\(|\bpath\(|\b(?:config|env)\(|health|ready"
)
"""A module without any of these has nothing to say; most have none, and parsing is slow."""
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


@dataclass
class Reads:
    """What one module names.

    Args:
        routes: Literal routes, with the prefix of a router of the same module.
        prefixes: Literal prefixes of routers.
        variables: Variables of the environment that are read.
        version_keys: Keys of health answers that look like the release.
        worker: Whether it runs as a background process.
    """

    routes: list[Read] = field(default_factory=list)
    prefixes: list[Read] = field(default_factory=list)
    variables: list[Read] = field(default_factory=list)
    version_keys: list[Read] = field(default_factory=list)
    worker: bool = False


def read(path: PurePosixPath, tree: ast.Module) -> Reads:
    """Look at every expression of a module once."""
    found = Reads(worker=_is_worker(path, tree))
    about: list[ast.AST] = []
    own = _own_prefixes(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found.routes += _route(path, node, own)
            found.prefixes += _prefix(path, node)
            found.variables += _variable(path, node)
        elif isinstance(node, ast.Subscript) and _dotted(node.value) in ("environ", "os.environ"):
            found.variables += _named(path, node.slice, required=True)
        elif isinstance(node, ast.ClassDef) and any("Settings" in _dotted(b) for b in node.bases):
            found.variables += _fields(path, node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _ABOUT.search(node.name):
            about.append(node)
    for each in [tree] if "health" in path.stem else about:
        found.version_keys += _version_keys(path, each)
    return found


def callee(node: ast.expr | None) -> str:
    """Return the last name of what is called: `FastAPI` for `fastapi.FastAPI(...)`."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` for names and attributes, nothing for other expressions."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


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
        router = _dotted(node.func).rpartition(".")[0]
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
    name = _dotted(node.func).removeprefix("os.")
    if name in _READERS and node.args:
        yield from _named(path, node.args[0], required=False)


def _named(path: PurePosixPath, node: ast.expr, *, required: bool) -> Iterator[Read]:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]+", value):
        yield Read(value, path, node.lineno, required)


def _fields(path: PurePosixPath, node: ast.ClassDef) -> Iterator[Read]:
    """Yield the variables of a class of pydantic-settings."""
    given = (
        each.value
        for each in ast.walk(node)
        if (isinstance(each, ast.keyword) and each.arg == "env_prefix")
        or (isinstance(each, ast.Assign) and _dotted(each.targets[0]) == "env_prefix")
    )
    prefix = next((str(each.value) for each in given if isinstance(each, ast.Constant)), "")
    for each in node.body:
        field = each.target if isinstance(each, ast.AnnAssign) else None
        if isinstance(field, ast.Name) and field.id != "model_config":
            required = isinstance(each, ast.AnnAssign) and each.value is None
            yield Read(f"{prefix}{field.id}".upper(), path, each.lineno, required)


def _version_keys(path: PurePosixPath, about: ast.AST) -> Iterator[Read]:
    """Yield keys such as "version" in answers of a function, or of a whole module, about health."""
    for each in ast.walk(about):
        keys = []
        if isinstance(each, ast.Dict):
            keys = [key.value for key in each.keys if isinstance(key, ast.Constant)]
        elif isinstance(each, ast.Call) and callee(each) in ("jsonify", "dict"):
            keys = [key.arg for key in each.keywords]
        for key in keys:
            if key in VERSION_KEYS and isinstance(key, str):
                yield Read(key, path, getattr(each, "lineno", 0))


def _is_worker(path: PurePosixPath, tree: ast.Module) -> bool:
    """Say whether a module is run as a background process, by its name and its main guard."""
    name = path.parent.name if path.stem == "__main__" else path.stem
    guards = (
        node for each in tree.body if isinstance(each, ast.If) for node in ast.walk(each.test)
    )
    guarded = any(isinstance(node, ast.Constant) and node.value == "__main__" for node in guards)
    return bool(WORKERS.fullmatch(name)) and guarded
