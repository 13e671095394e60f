"""The disk of the home is full from every step of a deploy on."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ops.deploy import preflight
from tests.conftest import require
from tests.faults import forks
from tests.faults.conftest import acting
from tests.faults.lanes import Lane, Moment, application, assert_clear, assert_serves
from tests.faults.prober import probing
from tests.support import project as projects

SIZE = preflight.MINIMUM_FREE + 200_000_000


@contextmanager
def small_disk() -> Iterator[Path]:
    """Give a home on a small file system of its own."""
    with tempfile.TemporaryDirectory(prefix="invops-home-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "tmpfs", name]
        if subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("this user or container may not mount a small file system")
        try:
            yield Path(name)
            projects.end(Path(name))
        finally:
            projects.kill_all(Path(name))
            subprocess.run(["umount", "--lazy", name], check=True)


@pytest.fixture(scope="module")
def lane() -> Iterator[Lane]:
    require("haproxy", "haproxy", "/usr/sbin")
    with ExitStack() as stack:
        base = stack.enter_context(small_disk())
        server = stack.enter_context(forks.serving())
        made = stack.enter_context(application(base, server))
        assert (ran := made.deploy()).code == 0, ran.text
        yield made


def test_a_full_disk_stops_a_deploy_and_what_serves_goes_on(
    lane: Lane, later: list[Moment]
) -> None:
    failed = 0
    for moment in acting(later):
        old, new = lane.observed().release, lane.change()
        with probing(lane.port) as answers:
            ran = lane.harmed(f"fill:step.started:{moment.step}", FAULT_FOLDER=str(lane.base))
            serves = lane.observed().release
            os.unlink(lane.base / "ballast")
            print(
                moment.step,
                ran.code,
                lane.runs()[0].state,
                "old" if serves == old else "new",
                ran.text,
            )
            if ran.code == 0:
                assert serves == new
            else:
                failed += 1
                assert_clear(ran, 1, "No space left|free at|could not")
                state = lane.runs()[0].state
                assert (state, serves) in (("undone", old), ("undo_failed", new)), (state, serves)
            again = lane.deploy()
            assert again.code == 0, again.text
        answers.assert_all_good()
        assert_serves(lane, new)
    assert failed > 5
