"""The disk of the home is full from every step of a deploy on."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ops.deploy import preflight
from tests.conftest import lacking
from tests.faults.conftest import acting
from tests.faults.lanes import Lane, Lanes, Moment, assert_clear, assert_serves
from tests.faults.prober import probing
from tests.support import project as projects

WRITING = ("check", "checkout", "backup", "migrate", "start", "switch", "record")
"""Steps that cannot do without room."""
SIZE = preflight.MINIMUM_FREE + 200_000_000


@contextmanager
def small_disk() -> Iterator[Path]:
    """Give a home on a small file system of its own."""
    with tempfile.TemporaryDirectory(prefix="invops-home-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", name]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            lacking("this user or container may not mount a small file system")
        try:
            yield Path(name)
            projects.end(Path(name))
        finally:
            projects.kill_all(Path(name))
            subprocess.run(["umount", "--lazy", name], check=True)


@pytest.fixture(scope="module")
def small_lanes(lanes: Lanes) -> Iterator[Lanes]:
    with closing(Lanes(small_disk, beside=2)) as made:
        yield made


def stopped(lane: Lane, moment: Moment) -> None:
    old, new = lane.observed().release, lane.change()
    with probing(lane.port) as answers:
        ran = lane.harmed(f"fill:step.started:{moment.step}", FAULT_FOLDER=str(lane.base))
        serves, state = lane.observed().release, lane.runs()[0].state
        os.unlink(lane.base / "ballast")
        if ran.code == 0:  # what was left to do writes nothing, or freed enough before
            assert (state, serves) == ("done", new)
        else:
            # pg_dump may end well without having written: space that is given back for a moment.
            assert_clear(ran, 1, "No space left|MB free|wrote no archive")
            # Without room the old release cannot be started again; then the new one serves on.
            assert (state, serves) in (("undone", old), ("undo_failed", new)), ran.text
        assert ran.code == 1 or moment.step not in WRITING
        again = lane.deploy()
        assert again.code == 0, again.text
    answers.assert_all_good()
    assert_serves(lane, new)


def test_a_full_disk_stops_a_deploy_and_what_serves_goes_on(
    small_lanes: Lanes, later: list[Moment]
) -> None:
    small_lanes.each(acting(later), stopped)
