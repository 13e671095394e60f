"""The tasks of invops with firewall rules that go back after seconds in place of a minute, for the test Program."""

from __future__ import annotations

from invoke.collection import Collection

from ops import tasks
from ops.setup.server import steps

CONFIRM = 8.0
"""Seconds; long enough for a run that comes in anew."""


def collection() -> Collection:
    """Return the tasks."""
    vars(steps)["CONFIRM"] = CONFIRM
    return tasks.collection()
