"""CPU of `inv --list` against a trivial tasks.py, in turn, in the same run."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmark.processes import measure

ROOT = Path(__file__).parents[2]
RUNS = 15
TRIVIAL = '''from invoke import task


@task
def hello(c):
    """Say hello."""
    print("hello")
'''


def ratio() -> tuple[float, float, float]:
    """Return the median of the ratios pair by pair, and both medians in seconds of CPU."""
    command = [str(Path(sys.executable).with_name("inv")), "--list"]
    with tempfile.TemporaryDirectory() as name:
        trivial = Path(name)
        (trivial / "tasks.py").write_text(TRIVIAL)
        for folder in (trivial, ROOT):
            measure(command, folder)
        pairs = [(measure(command, ROOT).cpu, measure(command, trivial).cpu) for _ in range(RUNS)]
    ours, theirs = zip(*pairs, strict=True)
    return median(a / b for a, b in pairs), median(ours), median(theirs)
