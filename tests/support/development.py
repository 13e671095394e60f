"""A small application that runs from its working tree, and `invops` as a person runs it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ops import program, tasks
from ops.hosts import orphans, ports
from tests.support import forks
from tests.support.local import Project, at, eventually

ROOT = Path(__file__).resolve().parents[2]
OPS_TOML = """
[app]
name = "sample"
default_environment = "local"

[services.api]
command = "python3 -u server.py {{port}}"
port = {port}
environment = {{ GREETING = "hello world" }}
secrets = {{ TOKEN = "env:SAMPLE_TOKEN" }}

[services.ticker]
command = "python3 -u ticker.py"

[environments.development]
target = "local"

[environments.local]
target = "local"
"""
# As a reloader: the first process only watches, its child serves and holds the port.
SERVER = """
import http.server, os, subprocess, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.strip("/")
        print(f"asked for {name}, token {os.environ.get('TOKEN')}")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ.get(name, str(os.getpid())).encode())
    def log_message(self, *_):
        pass

if len(sys.argv) == 2:
    subprocess.Popen([sys.executable, "-u", __file__, sys.argv[1], "serve"])
    while True:
        time.sleep(60)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
TICKER = """
import time
while True:
    print("tick", flush=True)
    time.sleep(1)
"""


@dataclass
class Result:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer as JSON."""
        return json.loads(self.out)


@dataclass
class Sample:
    """The application in a folder of its own."""

    folder: Path
    port: int
    front: int
    token: str = "sentinel-4c1d9e"

    def environment(self) -> dict[str, str]:
        """Return the variables of the shell."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            "OPS_HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            "SAMPLE_TOKEN": self.token,
        }
        passed = {
            k: v
            for k, v in os.environ.items()
            if k.startswith(("COVERAGE", "PIP_", "npm_config", "SSL_", "NODE_"))
        }
        return {**kept, **passed, **own}

    def popen(self, *words: str) -> forks.Process:
        """Start a command without waiting for it."""
        argv = [sys.executable, "-m", "ops.program", *words]
        return forks.start(argv, self.folder, self.environment())

    def inv(self, *words: str) -> Result:
        """Run a command to its end, in this process: a new one would read all modules again."""
        out, err, code = io.StringIO(), io.StringIO(), 0
        with _shell(self.folder, self.environment()), redirect_stdout(out), redirect_stderr(err):
            try:
                program.make(tasks.collection(), "inv").run(["inv", *words])
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Result(code, out.getvalue(), err.getvalue())

    def run(self, *words: str) -> Result:
        """Run a command to its end in a process of its own, which knows nothing of the ones before."""
        process = self.popen(*words)
        out, err = process.communicate(timeout=240)
        return Result(process.wait(), out, err)

    def done(self, *words: str) -> Result:
        """Run a command that must succeed."""
        result = self.inv(*words)
        assert result.code == 0, result.out + result.err
        return result

    def write(self, name: str, text: str) -> Path:
        """Write a file of the application."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def get(self, path: str = "") -> str:
        """Ask the server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            return str(answer.read().decode())

    @property
    def project(self) -> Project:
        """The same project, seen from this process."""
        return at(self.folder)

    def processes(self, program: str = "") -> list[psutil.Process]:
        """Return living processes of a development server, of all programs without a name."""
        names = {f"development.{program}"} if program else None
        found = orphans.find(self.project.home, names)
        return sorted(found, key=lambda each: each.create_time())

    def pids(self) -> dict[str, list[int]]:
        """Return the processes of both servers."""
        return {name: [each.pid for each in self.processes(name)] for name in ("api", "ticker")}

    def daemon(self) -> psutil.Process:
        """Return the daemon's process."""
        (process,) = orphans.find(self.project.home, {"supervisord"})
        return process

    def kill(self, *processes: psutil.Process) -> None:
        """Kill processes and wait until they are gone."""
        for each in processes:
            each.send_signal(signal.SIGKILL)
        assert eventually(lambda: not any(map(_lives, processes)))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _shell(folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """Be in a folder with the variables of another shell."""
    before, here = dict(os.environ), Path.cwd()
    try:
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(folder)
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def sample(ops_toml: str = OPS_TOML) -> Iterator[Sample]:
    """Give the application; afterwards nothing of it runs and its folder is gone."""
    folder = Path(tempfile.mkdtemp(prefix="invops-test-"))
    folder.chmod(0o755)
    port = ports.free(set())
    front = ports.free({port})
    (folder / "ops.toml").write_text(ops_toml.format(port=port, front=front))
    (folder / "server.py").write_text(SERVER)
    (folder / "ticker.py").write_text(TICKER)
    try:
        made = Sample(folder, port, front)
        yield made
    finally:
        at(folder).daemon().shutdown()
        shutil.rmtree(folder)
