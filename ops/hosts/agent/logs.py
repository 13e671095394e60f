"""What the containers of an environment write: the last lines in the order of time, and new ones as they come.

A line goes out as `CONTAINER SERVICE SLOT TIME TEXT`; who follows says with `seen` where to go on, so that a connection
that broke costs no line and doubles none.
"""

from __future__ import annotations

import heapq
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from ops.hosts.agent import base, containers
from ops.hosts.agent.containers import Container
from ops.hosts.agent.errors import Refused

TICK = 0.5
"""Seconds between two looks whether somebody still reads, and for containers that were started again."""
_SHORT = 12
_OUT = 2


def last(arguments: dict[str, Any]) -> dict[str, Any]:
    """Print the last lines of all containers, running or not, merged by time.

    Args:
        arguments: `project`; `services`: only these, none for all; `lines`: of each container.

    Returns:
        `now`: the moment of the question by this host's clock, as Docker writes it; `services` that there are.

    Raises:
        Refused: There is no such service, or nothing was deployed.
    """
    now = time.time()
    wanted, known = _wanted(arguments)
    argv = ["--tail", str(int(arguments["lines"]))]
    streams = [_Stream(each, argv) for each in wanted]
    try:
        for _, line in heapq.merge(*streams):
            _write(line)
    finally:
        for each in streams:
            each.close()
    return {"now": _moment(now), "services": known}


def follow(arguments: dict[str, Any]) -> dict[str, Any]:
    """Print what is written from now on, also by containers that come later, for some time or until nobody reads.

    Args:
        arguments: `project`; `services`; `seen`: by container the time of the last line that arrived, and how many
            lines with just this time; `begin`: moment from which on lines of other containers count; `seconds`.
    """
    _wanted(arguments)
    follower = _Follower(arguments)
    try:
        follower.run(time.monotonic() + float(arguments["seconds"]))
    finally:
        follower.close()
    return {}


class _Stream:
    """Lines of one container as pairs of time and what goes out.

    Args:
        container: Which.
        options: Of `docker logs`.
    """

    def __init__(self, container: Container, options: list[str]) -> None:
        argv = ["docker", "logs", "--timestamps", *options, container.id]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._prefix = f"{container.id[:_SHORT]} {_name(container)} {container.slot or '-'} "

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            moment = line.partition(b" ")[0]
            if moment[:2].isdigit():  # Docker's own complaints have none
                yield moment, self._prefix.encode() + line.rstrip(b"\r\n") + b"\n"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class _Follower:
    """Follows the containers of an environment, one thread each.

    Args:
        arguments: Of the verb.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._seen: dict[str, list[Any]] = {
            name: [str(moment).encode(), int(count)]
            for name, (moment, count) in arguments["seen"].items()
        }
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._streams: dict[str, _Stream] = {}
        label = f"label={containers.PROJECT}={arguments['project']}"
        argv = ["docker", "events", "--filter", "type=container", "--filter", "event=start"]
        # It listens before the first look: what starts in between is not missed.
        self._events = subprocess.Popen(
            [*argv, "--filter", label, "--format", "{{.ID}}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def run(self, until: float) -> None:
        """Follow until the time is over, nobody reads any more, or the engine ends."""
        due = True
        assert self._events.stdout is not None
        events = self._events.stdout.fileno()
        gone = select.poll()
        gone.register(_OUT, 0)
        while time.monotonic() < until and not self._gone.is_set() and not gone.poll(0):
            if due:
                due = self._begin()
            if select.select([events], [], [], TICK)[0]:
                if not os.read(events, 65536):
                    return
                due = True

    def close(self) -> None:
        """End everything that was started."""
        self._events.kill()
        self._events.wait()
        for stream in list(self._streams.values()):
            stream.close()

    def _begin(self) -> bool:
        """Follow every container that is not followed; say whether one must be looked at again."""
        again = False
        for each in _wanted(self._arguments)[0]:
            thread = self._threads.get(each.id)
            if thread is not None and thread.is_alive():
                # Started again, and what follows its last life has not ended yet.
                again = again or each.age < 5 * TICK
                continue
            if thread is not None and each.state != "running":
                continue
            self._threads[each.id] = threading.Thread(
                target=self._pass_on, args=(each,), daemon=True
            )
            self._threads[each.id].start()
        return again

    def _pass_on(self, container: Container) -> None:
        name = container.id[:_SHORT]
        moment, count = self._seen.get(name, [b"", 0])
        since = moment.decode() or self._arguments["begin"]
        stream = self._streams[container.id] = _Stream(container, ["--follow", "--since", since])
        left = count
        for when, line in stream:
            if when < moment:
                continue
            if when == moment and left:
                left -= 1
                continue
            known = self._seen.get(name, [b"", 0])
            self._seen[name] = [when, known[1] + 1 if known[0] == when else 1]
            with self._lock:
                try:
                    _write(line)
                except OSError:
                    self._gone.set()
                    return


def _wanted(arguments: dict[str, Any]) -> tuple[list[Container], list[str]]:
    """Return the containers of the services that were asked for, and the services that there are."""
    asked = set(arguments["services"])
    now = containers.project(arguments["project"])
    known = {_name(each) for each in now}
    if not known and not (base.of(arguments) / "model.json").exists():
        raise Refused("config", "nothing was deployed here", "", "inv deploy")
    for name in sorted(asked - known):
        raise Refused(
            "config", f"there is no service {name!r}", f"there is {', '.join(sorted(known))}"
        )
    return [each for each in now if not asked or _name(each) in asked], sorted(known)


def _name(container: Container) -> str:
    """Return the service as the user's Compose file has it."""
    if container.slot and container.service.endswith(f"-{container.slot}"):
        return container.service[: -len(container.slot) - 1]
    return container.service


def _moment(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1e9):09d}Z"


def _write(line: bytes) -> None:
    """Write a line whole; it waits while the reader does."""
    sys.stderr.flush()
    while line:
        line = line[os.write(_OUT, line) :]
