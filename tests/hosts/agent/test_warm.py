"""The end of a slot that was kept warm: a job that only acts as long as it is the last one for its slot."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ops.hosts.agent import lease, warm
from tests.support.local import eventually

OWNER = {"application": "shop", "environment": "staging"}


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(warm, "POLL_SECONDS", 0.02)
    (tmp_path / "slots").mkdir()
    return tmp_path


def ending(base: Path, pool: ThreadPoolExecutor, seconds: float) -> Future[dict[str, Any]]:
    """Start the job and wait until it has said that it is the last one."""
    file = base / "slots" / "blue.warm.json"
    before = file.read_text() if file.exists() else ""
    given = {"base": str(base), "owner": OWNER, "project": "p", "slot": "blue", "seconds": seconds}
    job = pool.submit(warm.end, given)
    assert eventually(lambda: file.exists() and file.read_text() != before)
    return job


def test_next_end_of_the_same_slot_and_a_folder_that_is_gone_end_the_job(base: Path) -> None:
    with ThreadPoolExecutor() as pool:
        first = ending(base, pool, 600)
        second = ending(base, pool, 600)
        assert first.result(30) == {"stopped": False}
        assert not second.done()
        shutil.rmtree(base / "slots")
        assert second.result(30) == {"stopped": False}


def test_slot_whose_proxy_does_not_answer_is_not_stopped(base: Path) -> None:
    with ThreadPoolExecutor() as pool:
        job = ending(base, pool, 0)
        assert not eventually(job.done, 0.5)
        (base / "slots" / "blue.warm.json").unlink()
        assert job.result(30) == {"stopped": False}


def test_nobody_takes_the_lease_while_it_is_kept_from_everybody(base: Path) -> None:
    given = {"base": str(base), "owner": OWNER, "run": "a", "ttl": 60, "holder": {"owner": "anna"}}
    with ThreadPoolExecutor() as pool:
        with lease.nobodys(base) as free:
            assert free
            taking = pool.submit(lease.acquire, given)
            assert not eventually(taking.done, 0.3)
        assert taking.result(30) == {"fencing": 1}
    with lease.nobodys(base) as free:
        assert not free
    assert json.loads((base / "lease.json").read_text())["run"] == "a"
