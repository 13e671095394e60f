"""The audit trail as a person and a program read it."""

from __future__ import annotations

import io
import json

import pytest

from ops.kernel import audit_report
from ops.kernel.audit import Audit, Head
from ops.kernel.errors import ConfigurationError
from ops.kernel.store import State
from tests.support.state import Place


@pytest.fixture
def head(state: State) -> Head:
    for result in ("started", "failed", "undone"):
        last = Audit(state).append("anna", "deploy", "local", result)
    return last


def test_records_are_listed_page_by_page(state: State, head: Head) -> None:
    report = audit_report.recent(state, "2", "")
    assert [row[0] for row in report.tables[0].rows] == ["3", "2"]
    assert report.hints == ("inv audit.list --before 2",)
    last = audit_report.recent(state, "1", "2")
    assert [record["result"] for record in last.data["records"]] == ["started"]
    assert last.hints == ()


def test_a_sound_trail_tells_its_head(state: State, head: Head) -> None:
    report = audit_report.verify(state, "")
    assert (report.status, report.exit_code, report.facts["head"]) == ("ok", 0, str(head))
    assert "--head" in report.hints[0]
    assert audit_report.verify(state, str(head)).hints == ()


def test_a_broken_trail_fails_and_says_where(place: Place, state: State, head: Head) -> None:
    trigger = "DROP TRIGGER audit_logs_no_delete"
    if place.server:
        trigger = "ALTER TABLE audit_logs DISABLE TRIGGER ALL"
    place.as_owner(trigger, "DELETE FROM audit_logs WHERE sequence = 3")
    report = audit_report.verify(state, str(head))
    assert (report.status, report.exit_code) == ("error", 1)
    assert report.summary == "the audit trail is broken at record 3"
    assert "rows are missing" in report.facts["why"]
    assert "trigger" in report.facts["why"]
    assert report.data["broken_at"] == 3


def test_a_missing_database_is_found_against_a_head(head: Head) -> None:
    assert audit_report.verify(None, str(head)).exit_code == 1
    assert audit_report.verify(None, "").exit_code == 0
    assert audit_report.verify(None, str(Head())).exit_code == 0


def test_an_export_ends_with_the_head(state: State, head: Head) -> None:
    for source, expected in ((state, head), (None, Head())):
        stream = io.StringIO()
        audit_report.export(source, stream)
        last = json.loads(stream.getvalue().splitlines()[-1])["head"]
        assert Head(**last) == expected


@pytest.mark.parametrize(("limit", "before"), [("x", ""), ("0", ""), ("5", "-1"), ("5", "9" * 30)])
def test_wrong_numbers_are_refused(limit: str, before: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--{'before' if before else 'limit'}"):
        audit_report.recent(None, limit, before)
