"""Becomes a service: the daemon starts this file with the path of the service's JSON file.

Standard library only, because it runs on the service's own Python as the service's user. Before it becomes the
service it ends what an earlier incarnation left running (the reloader's child after `kill -9` of its parent): these
processes carry the same INVOPS_SERVICE. Values of the environment are only in that 0600 file, not in the daemon's.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator

VARIABLE = "INVOPS_SERVICE"
GRACE = 5.0


def main(path: str) -> None:
    """Read the description, end left-overs, become the program."""
    with open(path, encoding="utf-8") as stream:
        service = json.load(stream)
    environment = service["environment"]
    end_leftovers(environment[VARIABLE], getattr(signal, "SIG" + service["stop_signal"]))
    program = service["argv"][0]
    try:
        os.chdir(service["cwd"])
        os.execvpe(program, service["argv"], environment)
    except OSError as error:
        # A folder of PATH that may not be entered would answer "permission denied".
        found = shutil.which(program, path=environment.get("PATH"))
        reason = error.strerror if found else "not found in PATH"
        sys.exit(f"cannot start {program} in {service['cwd']}: {reason}")


def end_leftovers(marker: str, number: int) -> None:
    """End processes that carry the marker: the stop signal, then KILL."""
    for each, patience in ((number, GRACE), (signal.SIGKILL, 1.0)):
        left = list(carriers(marker))
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, each)
        end = time.monotonic() + patience
        while left and time.monotonic() < end:
            time.sleep(0.02)
            left = [pid for pid in left if pid in set(carriers(marker))]
        if not left:
            return


def carriers(marker: str) -> Iterator[int]:
    """Yield processes with the marker in their environment; systems without /proc have none to show."""
    entry = f"{VARIABLE}={marker}".encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as stream:
                if entry in stream.read().split(b"\0"):
                    yield int(name)


if __name__ == "__main__":
    main(sys.argv[1])
