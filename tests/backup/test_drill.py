"""The answer of `inv backup.verify`."""

from __future__ import annotations

import pytest

from ops.backup import drill
from ops.backup.manifest import Proof, Verdict
from ops.kernel.report import Report
from tests.backup.manifests import ID, manifest


def proof(verdict: Verdict, reason: str = "") -> Proof:
    return Proof("data", verdict, reason, "2026-11-21T09:31:00+00:00", 1.5, "1.0")


@pytest.mark.parametrize(
    ("verdict", "status"), [("FAILED", "error"), ("UNVERIFIABLE", "difference")]
)
def test_what_is_not_proved_is_exit_one_and_json_tells_why(verdict: Verdict, status: str) -> None:
    def run() -> Report:
        raise drill.NotProved(manifest(), proof(verdict, "rain"))

    report = drill.told(run)
    assert (report.exit_code, report.status) == (1, status)
    assert report.summary == f"backup {ID} is {verdict} at level data"
    assert report.facts == {"why": "rain"}
    assert (report.data["verdict"], report.data["reason"]) == (verdict, "rain")
    assert bool(report.hints) == (verdict == "FAILED")


def test_passed_is_told() -> None:
    result = {"id": ID, "verdict": "PASSED", "level": "full", "seconds": 2.0}
    report = drill.told(lambda: Report("done", data={"results": {"prove": result}}))
    assert (report.exit_code, report.summary) == (
        0,
        f"backup {ID} is PASSED at level full in 2.0 s",
    )
    assert report.data["verdict"] == "PASSED"


def test_dry_run_is_left_as_it_is() -> None:
    dry = Report("dry run", status="dry-run", exit_code=10)
    assert drill.told(lambda: dry) is dry
