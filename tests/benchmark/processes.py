"""Run a command to its end and measure it from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """One finished command.

    Args:
        wall: Seconds.
        cpu: Seconds of user and system time, of the process and the children that it waited for.
        memory: Peak resident memory of the process, bytes.
        output: Standard output and error.
    """

    wall: float
    cpu: float
    memory: int
    output: str


def measure(
    argv: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None, expect: int = 0
) -> Measured:
    """Run a command; another exit code than `expect` is an error."""
    began = time.monotonic()
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode != expect:
        raise AssertionError(f"{' '.join(argv)} ended with {process.returncode}:\n{output}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)
