"""What changes something outside the process is in the adapters only, each behind `guard.effect`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.effects import effects
from tests.architecture.sources import Module, module, modules

# Kind of effect: the adapters that may have it, and what protects a dry run there.
ALLOWED = {
    "files": {
        "ops.kernel.files": "guard.effect before each write",
        "ops.kernel.lock": "a dry run takes no lock",
        "ops.kernel.log": "the run's own log: the one file that a dry run may write",
    },
    "commands": {
        "ops.hosts.runner": "guard.effect unless the command only reads",
        "ops.hosts.pipes": "guard.effect unless the command only reads",
        "ops.hosts.launch": "runs inside a service, becomes it",
        "ops.hosts.local_agent": "ops.hosts.machine asks the guard before each question that changes",
    },
    "signals": {
        "ops.hosts.runner": "ends its own children",
        "ops.hosts.pipes": "ends its own children",
        "ops.hosts.launch": "runs inside a service, ends its left-overs",
        "ops.kernel.processes": "guard.effect before the first signal",
    },
    "sockets": {
        "ops.hosts.haproxy": "guard.effect before commands that change",
        "ops.hosts.ports": "looks which ports are free",
        "ops.hosts.ssh": "guard.effect before a port is opened on a host; the rest asks in ops.hosts.machine",
    },
    "HTTP": {"ops.hosts.http": "asks only"},
    "RPC": {"ops.hosts.rpc": "guard.effect before calls that change"},
    "SQL": {
        "ops.database.sql": "a read-only transaction in a dry run",
        "ops.database.mysql": "a read-only session in a dry run",
        "ops.database.mysql_code": "the errors of PyMySQL, and its session of ops.database.mysql",
        "ops.database.alembic_probe": "runs on the application's Python, changes nothing",
        "ops.database.schema.models_probe": "runs on the application's Python, connects to nothing",
        "ops.kernel.store": "our own state: a dry run may record itself",
        "ops.kernel.tables": "our own state",
        "ops.kernel.state_migrations": "our own state",
    },
    "other services": {
        "ops.backup.storage.s3_client": "guard.effect before changes, and for all that is not known to read",
        "ops.backup.storage.s3_errors": "the errors of boto3, calls nothing",
        "ops.hosts.ssh": "asked through ops.hosts.machine only: guard.effect unless the verb only reads",
    },
}
UNGUARDED = {
    "ops.bootstrap",  # makes the environment that everything else runs in
    "ops.hosts.agent",  # runs on a host, where ops.hosts.machine asked for it after asking the guard
}


def allowed(kind: str, name: str) -> bool:
    return any(f"{name}.".startswith(f"{each}.") for each in {*ALLOWED[kind], *UNGUARDED})


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_only_adapters_change_the_outside(module: Module) -> None:
    found = {
        f"line {line}: {name} ({kind})"
        for kind, name, line in effects(module)
        if not allowed(kind, module.name)
    }
    assert not found, f"{module.name} leaves the process: {sorted(found)}; use the adapter for it"


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in ALLOWED.items() for name in names]
)
def test_adapter_still_has_the_effect(kind: str, name: str) -> None:
    found = {
        kind
        for each in modules()
        if f"{each.name}.".startswith(f"{name}.")
        for kind, _, _ in effects(each)
    }
    assert kind in found, f"{name} has no {kind} any more: take it out of ALLOWED"


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            name
            for names in ALLOWED.values()
            for name, why in names.items()
            if why.startswith("guard.effect")
        }
    ),
)
def test_adapter_that_changes_something_asks_the_guard(name: str) -> None:
    paths = [each.path for each in modules() if f"{each.name}.".startswith(f"{name}.")]
    assert any("guard.effect(" in path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("import subprocess", "commands"),
        ("def f():\n    from subprocess import run", "commands"),
        ("import os\nos.execv('a', [])", "commands"),
        ("import os\nos.kill(1, 9)", "signals"),
        ("from os import killpg", "signals"),
        ("import socket", "sockets"),
        ("import httpx", "HTTP"),
        ("from urllib.request import urlopen", "HTTP"),
        ("import http.client", "HTTP"),
        ("from xmlrpc import client", "RPC"),
        ("import psycopg.rows", "SQL"),
        ("from sqlalchemy import text", "SQL"),
        ("import boto3", "other services"),
        ("open('a', 'w')", "files"),
        ("open('a', mode='ab')", "files"),
        ("open('a', mode)", "files"),
        ("path.open('x')", "files"),
        ("path.open(mode='r+')", "files"),
        ("path.write_text('a')", "files"),
        ("(a / 'b').mkdir()", "files"),
        ("path.unlink(missing_ok=True)", "files"),
        ("import os\nos.open('a', os.O_RDWR | os.O_CREAT)", "files"),
        ("import os\nos.replace('a', 'b')", "files"),
        ("import shutil\nshutil.rmtree('a')", "files"),
        ("from shutil import rmtree", "files"),
        ("import tempfile\ntempfile.mkdtemp()", "files"),
    ],
)
def test_finder_finds(source: str, kind: str) -> None:
    assert kind in {
        found for found, _, _ in effects(module("ops.example", Path("example.py"), source))
    }


@pytest.mark.parametrize(
    "source",
    [
        "open('a')",
        "open('a', 'rb')",
        "path.open()",
        "path.open('r', encoding='utf-8')",
        "text.replace('a', 'b')",
        "import os\nos.open('a', os.O_RDONLY)",
        "import shutil\nshutil.which('git')",
        "from urllib.parse import urlsplit",
        "from psycopg import sql",
    ],
)
def test_finder_leaves_reading_alone(source: str) -> None:
    assert not list(effects(module("ops.example", Path("example.py"), source)))
