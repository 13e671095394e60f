"""A full disk under a run: it stops with one message, and a new run converges when there is room again."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.kernel import files
from ops.kernel.errors import OpsError
from tests.conftest import lacking
from tests.faults.run import fill
from tests.support.sample import Sample


@pytest.fixture
def small() -> Iterator[Path]:
    """A file system of its own that is soon full."""
    with tempfile.TemporaryDirectory(prefix="invops-small-") as name:
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", name]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            lacking("this user or container may not mount a small file system")
        try:
            yield Path(name)
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def test_a_write_on_a_full_disk_leaves_the_old_content(small: Path) -> None:
    path = small / "a"
    files.write(path, "old")
    fill(small)
    with pytest.raises(OpsError) as caught:
        files.write(path, "new" * 10_000)
    assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert caught.value.hint == "check free space: df -h"
    assert path.read_text() == "old"
    assert sorted(each.name for each in small.iterdir()) == ["a", "ballast"]


@pytest.mark.parametrize(
    "event",
    [
        "run.started:",
        "step.started:write:1",
        "step.acted:write:1",
        "step.started:write:2",
        "step.done:write:2",
    ],
)
def test_a_disk_that_fills_up_during_a_run(small: Path, event: str) -> None:
    sample = Sample(small)
    answer = sample.run("sample", fault=f"fill:{event}", FAULT_FOLDER=str(small))
    assert answer.code in (0, 1), answer.err
    assert "Traceback" not in answer.err
    if answer.code:
        assert answer.err.count("error: ") == 1, answer.err
    (small / "ballast").unlink()
    again = sample.run("sample")
    assert again.code == 0, again.err
    assert sample.files() == ["one", "two"]
    assert sample.last()[0].state != "running"
