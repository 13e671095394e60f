"""Forks of one process that has everything imported, see `tests.support.forks`.

Each run has a keeper between it and the server, which waits for it:

    test ── control ── server ─── keeper ─── run
      └──────── link ───────────────┘

Coverage begins in the run itself, as it does in a new interpreter, so the server knows nothing of it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from typing import Any, Final

from tests.support.forks import HANDLES, PRELOADED, SIZE

LATE: Final = (
    *("alembic.command", "boto3", "encodings.idna", "httpx", "rich._emoji_codes", "rich.progress"),
    *("sqlalchemy.dialects.sqlite", "supervisor.xmlrpc"),
    *("ops.backup.engines.postgres", "ops.backup.storage.folder", "ops.database.schema"),
    *("ops.deploy.check", "ops.deploy.compose.pipeline", "ops.deploy.pipeline"),
    *("ops.hosts.ssh.link", "ops.kernel.executor", "ops.kernel.recovery"),
    *("ops.kernel.store.migrate", "ops.services.status", "ops.setup.check"),
)
"""What commands import only when they need it, and most of them do."""


def preload() -> None:
    """Import what commands need; nothing else may happen, because each of them would begin with it."""
    import coverage  # noqa: F401

    from ops import steps_catalog, tasks

    for name in (*PRELOADED, *LATE):
        importlib.import_module(name)
    tasks.collection()
    steps_catalog.load()


def serve(control: socket.socket) -> None:
    """Fork a keeper for each run until nobody can ask any more; return in the runs only."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are waited for by nobody
    while True:
        said, handles, _, _ = socket.recv_fds(control, 1, HANDLES)
        if not said:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _keep(*handles)
            return
        for each in handles:
            os.close(each)


def _keep(handle: int, outputs: int, errors: int) -> None:
    """Start a run and wait for its end; return in the run only."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    link = socket.socket(fileno=handle)
    with link.makefile("rb") as lines:
        asked = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        link.close()
        _become(asked, outputs, errors)
        return
    os.close(outputs)
    os.close(errors)
    with contextlib.suppress(OSError):  # the test is gone, the run goes on
        link.sendall(b"%*d" % (SIZE, pid))
    status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert status is not None
    code = status.si_status if status.si_code == os.CLD_EXITED else -status.si_status
    with contextlib.suppress(OSError):
        link.sendall(b"%*d" % (SIZE, code))
        link.recv(1)  # until the test knows, so that it never sends a signal to another process
    os.waitpid(pid, 0)
    os._exit(0)


def _become(asked: Any, outputs: int, errors: int) -> None:
    """Make this process what a new interpreter would be."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate((nothing, outputs, errors)):
        os.dup2(handle, number)
        os.close(handle)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    module = sys.modules[asked["module"]]
    sys.path[0] = os.getcwd()
    sys.argv[:] = [str(module.__file__), *asked["words"]]
    if os.environ.get("COVERAGE_PROCESS_CONFIG"):
        import coverage

        coverage.process_startup(slug="fork")
    module.main()
    sys.exit()


if __name__ == "__main__":
    preload()
    gc.collect()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
