"""Finds the calls by which a module could change something outside its process."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.sources import Module

# Importing one of these is the ability; what kind of adapter may have it.
MODULES = {
    name: kind
    for kind, names in {
        "commands": "subprocess pty multiprocessing",
        "sockets": "socket asyncio",
        "HTTP": "http urllib.request urllib3 httpx requests aiohttp",
        "RPC": "xmlrpc supervisor",
        "SQL": "psycopg asyncpg pymysql sqlite3 sqlalchemy alembic",
        "other services": "smtplib ftplib paramiko fabric boto3 botocore",
    }.items()
    for name in names.split()
}
CALLS = {
    f"{module}.{name}": kind
    for kind, module, names in (
        ("files", "os", "remove unlink rename renames replace rmdir removedirs mkdir makedirs"),
        (
            "files",
            "os",
            "symlink link chmod fchmod chown fchown lchown truncate mkfifo mknod utime",
        ),
        ("files", "shutil", "rmtree move chown copy copy2 copyfile copytree copymode copystat"),
        ("files", "shutil", "make_archive unpack_archive"),
        ("files", "tempfile", "mkstemp mkdtemp TemporaryDirectory TemporaryFile"),
        ("files", "tempfile", "NamedTemporaryFile SpooledTemporaryFile"),
        ("commands", "os", "system popen fork forkpty posix_spawn posix_spawnp"),
        ("commands", "os", "execl execle execlp execlpe execv execve execvp execvpe"),
        ("commands", "os", "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe"),
        ("signals", "os", "kill killpg"),
    )
    for name in names.split()
}
# Methods that only paths and archives have; `replace` and `rename` are those of texts as well.
_METHODS = "write_text write_bytes unlink rmdir mkdir touch symlink_to hardlink_to chmod extractall"
METHODS = set(_METHODS.split())
HARMLESS = ("psycopg.conninfo", "psycopg.sql")  # build texts, connect to nothing


def effects(module: Module) -> Iterator[tuple[str, str, int]]:
    """Yield kind, name and line of everything in a module by which it could change the outside."""
    for name, line in module.imports():
        for known, kind in MODULES.items():
            if f"{name}.".startswith(f"{known}.") and not name.startswith(HARMLESS):
                yield kind, name, line
        if name in CALLS:
            yield CALLS[name], name, line
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield from ((kind, name, node.lineno) for kind, name in _of_call(node))


def _of_call(node: ast.Call) -> Iterator[tuple[str, str]]:
    name = ast.unparse(node.func)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in CALLS:
        yield CALLS[name], name
    elif method in METHODS or _opens_to_write(node, name):
        yield "files", name


def _opens_to_write(node: ast.Call, name: str) -> bool:
    if name == "os.open":
        flags = ast.unparse(node)
        return any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"))
    if name in ("open", "io.open", "os.fdopen", "gzip.open", "tarfile.open"):
        return _writes(node, 1)
    return name.endswith(".open") and _writes(node, 0)


def _writes(node: ast.Call, position: int) -> bool:
    """Say whether the mode, wherever it is given, is not one for reading."""
    mode: ast.expr | None = node.args[position] if len(node.args) > position else None
    mode = next((each.value for each in node.keywords if each.arg == "mode"), mode)
    if mode is None:
        return False
    return not isinstance(mode, ast.Constant) or bool(set(str(mode.value)) & set("wax+"))
