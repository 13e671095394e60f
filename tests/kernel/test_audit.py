"""The audit trail: a chain that grows one record at a time, whoever writes."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import pytest

from ops.kernel import guard
from ops.kernel.audit import BEGINNING, Audit, Head, Verdict
from ops.kernel.errors import ConfigurationError, EffectRefused
from ops.kernel.store import State
from ops.kernel.store.state import open_target
from tests.support.state import Place


def fill(audit: Audit, count: int) -> Head:
    head = Head()
    for number in range(count):
        head = audit.append("anna@laptop", "deploy", "local", "done", {"run": f"r{number}"})
    return head


def test_each_record_follows_the_one_before(state: State) -> None:
    audit = Audit(state)
    first = audit.append("anna", "deploy", "local", "started")
    second = audit.append("anna", "deploy", "local", "done", {"seconds": 1.5, "ok": True})
    newest, oldest = audit.rows(10)
    assert (first.sequence, second.sequence) == (1, 2)
    assert (oldest.previous, oldest.hash) == (BEGINNING, first.hash)
    assert (newest.previous, newest.hash) == (first.hash, second.hash)
    assert newest.details == {"seconds": 1.5, "ok": True}
    assert newest.at.endswith("+00:00")
    assert audit.head() == second


def test_a_sound_chain_is_verified(state: State) -> None:
    audit = Audit(state)
    heads = [fill(audit, 1) for _ in range(3)]
    assert audit.verify() == Verdict(True, 3, None, "", heads[-1])
    for head in [Head(), *heads]:
        assert audit.verify(head).ok


def test_an_empty_chain_is_sound(state: State) -> None:
    assert Audit(state).verify(Head()) == Verdict(True, 0, None, "", Head())
    assert Audit(state).head() == Head()


def test_a_chain_longer_than_a_batch_is_read_in_full(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.kernel.audit._BATCH", 3)
    audit = Audit(state)
    head = fill(audit, 10)
    assert audit.verify(head).rows == 10
    assert audit.export(io.StringIO()) == head


@pytest.mark.parametrize("text", ["", "\0", "\udcff", "é\n\u2028✓", "'; DROP TABLE audit_logs; --"])
def test_any_text_can_be_recorded(state: State, text: str) -> None:
    audit = Audit(state)
    audit.append(text, text, text, text, {text: text})
    assert audit.verify().ok


@pytest.mark.parametrize("details", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_what_is_no_json_is_refused_and_leaves_the_chain(state: State, details: Any) -> None:
    audit = Audit(state)
    head = fill(audit, 1)
    with pytest.raises((TypeError, ValueError)):
        audit.append("anna", "deploy", "local", "done", details)
    assert audit.verify(head) == Verdict(True, 1, None, "", head)


def test_an_export_can_be_verified_without_this_program(state: State) -> None:
    audit = Audit(state)
    head = fill(audit, 5)
    stream = io.StringIO()
    assert audit.export(stream) == head
    *lines, last = map(json.loads, stream.getvalue().splitlines())
    previous = "0" * 64
    for number, line in enumerate(lines, 1):
        digest = line.pop("hash")
        text = json.dumps(line, sort_keys=True, separators=(",", ":"))
        assert (line["sequence"], line["previous"]) == (number, previous)
        assert hashlib.sha256(text.encode()).hexdigest() == digest
        previous = digest
    assert last == {"head": {"sequence": 5, "hash": previous}}


def test_records_are_listed_newest_first_in_pages(state: State) -> None:
    audit = Audit(state)
    fill(audit, 5)
    assert [row.sequence for row in audit.rows(2)] == [5, 4]
    assert [row.sequence for row in audit.rows(9, before=4)] == [3, 2, 1]


def test_processes_that_write_at_once_make_one_chain(place: Place, state: State) -> None:
    workers = [place.worker("append", f"w{number}", 60) for number in range(3)]
    head = fill(Audit(state), 60)
    for worker in workers:
        worker.communicate()
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    verdict = Audit(state).verify(head)
    assert (verdict.ok, verdict.rows) == (True, 240)
    actors = [row.actor for row in Audit(state).rows(1000)]
    assert {actor: actors.count(actor) for actor in set(actors)} == dict.fromkeys(
        ("anna@laptop", "w0", "w1", "w2"), 60
    )


@pytest.mark.parametrize("mode", [guard.Mode.READ, guard.Mode.DRY_RUN])
def test_nothing_is_recorded_where_nothing_may_change(state: State, mode: guard.Mode) -> None:
    with guard.scope(mode), pytest.raises(EffectRefused):
        Audit(state).append("anna", "deploy", "local", "done")
    assert Audit(state).rows(1) == []


def test_a_read_task_can_verify(place: Place) -> None:
    with place.open() as state:
        head = fill(Audit(state), 2)
    with guard.scope(guard.Mode.READ):
        reading = open_target(place.target, create=False)
        assert reading is not None
        with reading:
            assert Audit(reading).verify(head).ok


def test_a_head_survives_being_written_down() -> None:
    head = Head(12, "ab" * 32)
    assert Head.parse(f" {head}\n") == head
    assert Head.parse(str(Head(12, "AB" * 32))) == head


@pytest.mark.parametrize(
    "text", ["", "12", "12:", ":ab", "x:" + "a" * 64, "-1:" + "a" * 64, "²:" + "a" * 64]
)
def test_another_form_of_head_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="NUMBER:HASH"):
        Head.parse(text)
