"""Says what kind of process it is in, in place of tasks: `FAULT_TASKS=tests.support.probe`."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from typing import Any

from invoke.collection import Collection

from ops import tasks

LIMITS = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
STREAM = ("encoding", "errors", "line_buffering", "newlines", "write_through", "name", "mode")


def collection() -> Collection:
    """Print it, and wait when HOLD says so."""
    found = tasks.collection()
    print(json.dumps(seen()), flush=True)
    if "HOLD" in os.environ:
        time.sleep(300)
    return found


def seen() -> dict[str, Any]:
    """Return all that a command can see of its process, but for its number."""
    umask = os.umask(0o077)
    os.umask(umask)
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return {
        "folder": os.getcwd(),
        "words": sys.argv[1:],
        "program": os.path.basename(sys.argv[0]),
        "path": sys.path,
        "variables": dict(os.environ),
        "umask": umask,
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "signals": {each.name: str(_handler(each)) for each in signal.Signals},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "files": sorted(int(each) for each in os.listdir("/dev/fd") if _is_open(int(each))),
        "input": os.read(0, 1).decode(),
        "streams": [{name: str(getattr(each, name)) for name in STREAM} for each in streams],
        "terminal": [each.isatty() for each in streams],
        "seekable": [each.seekable() for each in streams],
        "flags": str(sys.flags),
        "bytecode": sys.dont_write_bytecode,
        "warnings": sys.warnoptions,
        "threads": threading.active_count(),
        "collected": (gc.isenabled(), gc.get_threshold()),
        "temporary": tempfile.gettempdir(),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "limits": [resource.getrlimit(getattr(resource, name)) for name in LIMITS],
        "traced": sys.gettrace() is not None,
    }


def _handler(number: signal.Signals) -> Any:
    handler = signal.getsignal(number)
    return getattr(handler, "__name__", handler)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:  # the one that listed them
        return False
    return True
