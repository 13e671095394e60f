"""Lines of the log, and the file of a run."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ops.kernel import log, redact
from ops.kernel.errors import OpsError
from ops.kernel.events import Event

LINE = re.compile(
    r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] \[(INFO|DEBUG|WARNING|ERROR)\] \[deploy\] .+"
)


@pytest.fixture
def run_log(tmp_path: Path) -> Iterator[log.RunLog]:
    with closing(log.RunLog(tmp_path / "logs" / "x.log", "deploy", "INFO")) as made:
        yield made


def test_a_line_has_the_form_of_the_contract() -> None:
    line = log.line("INFO", "deploy", "Message")
    assert LINE.fullmatch(line)
    assert line.endswith("] [INFO] [deploy] Message")


def test_a_line_can_be_json() -> None:
    line = json.loads(log.line("INFO", "deploy", 'a "b"\nc', "json"))
    assert (line["level"], line["task"], line["message"]) == ("INFO", "deploy", 'a "b"\nc')


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("step.started", message="Build"), "started: Build"),
        (Event("run.done", message="deploy local"), "done: deploy local"),
        (
            Event("step.skipped", message="Build", data={"note": "is there"}),
            "skipped: Build - is there",
        ),
        (
            Event("step.failed", message="Build", data={"error": "no space"}),
            "failed: Build - no space",
        ),
        (Event("note", message="3 files"), "3 files"),
        (Event("progress", message="3 of 7"), "3 of 7"),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_an_event_is_one_message(event: Event, text: str) -> None:
    assert log.describe(event) == text


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("setup", "INFO"),
        ("migration", "INFO"),
        ("benchmark", "INFO"),
        ("deploy", "INFO"),
        ("verification", "DEBUG"),
        ("security", "WARNING"),
    ],
)
def test_each_kind_of_task_has_its_level(kind: str, level: str) -> None:
    assert log.KIND_LEVELS.get(kind, "INFO") == level


def test_the_file_is_private_and_its_lines_have_the_form(run_log: log.RunLog) -> None:
    run_log.observe(Event("step.started", message="Build"))
    run_log.observe(Event("step.failed", message="Build", data={"error": "no space"}))
    assert run_log.path.stat().st_mode & 0o777 == 0o600
    assert run_log.path.parent.stat().st_mode & 0o777 == 0o700
    assert all(LINE.fullmatch(line) for line in run_log.path.read_text().splitlines())


@pytest.mark.parametrize(
    ("level", "lines"), [("DEBUG", 3), ("INFO", 2), ("WARNING", 1), ("ERROR", 1)]
)
def test_the_level_decides_what_is_written(tmp_path: Path, level: str, lines: int) -> None:
    with closing(log.RunLog(tmp_path / "x.log", "deploy", level)) as run_log:
        for kind in ("progress", "step.started", "step.failed"):
            run_log.observe(Event(kind, message="Build"))
    assert len(run_log.path.read_text().splitlines()) == lines


def test_output_of_commands_is_always_written_and_its_place_is_known(run_log: log.RunLog) -> None:
    run_log.output(b"first\n")
    offset = run_log.offset()
    run_log.output(b"second \xff\n")
    assert run_log.path.read_bytes()[offset:].decode() == "second \ufffd\n"
    assert run_log.offset() == run_log.path.stat().st_size


def test_a_second_process_adds_to_the_file(run_log: log.RunLog) -> None:
    run_log.output(b"first\n")
    with closing(log.RunLog(run_log.path, "deploy", "INFO")) as other:
        assert other.offset() == 6
        other.output(b"second\n")
    assert run_log.path.read_text() == "first\nsecond\n"


def test_lines_of_several_threads_stay_whole(run_log: log.RunLog) -> None:
    def work(name: str) -> None:
        for _ in range(200):
            run_log.output(name.encode() * 50 + b"\n")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {len(set(line)) for line in run_log.path.read_text().splitlines()} == {1}


def test_of_a_failure_the_console_shows_the_first_line(run_log: log.RunLog) -> None:
    event = Event("step.failed", message="Build", data={"error": "no space\nlast lines:\nfull"})
    text, form = io.StringIO(), io.StringIO()
    log.console(text, "deploy", "INFO", "text")(event)
    log.console(form, "deploy", "INFO", "json")(event)
    run_log.observe(event)
    assert text.getvalue().endswith("failed: Build - no space\n")
    assert json.loads(form.getvalue())["message"].endswith("\nfull")
    assert run_log.path.read_text().endswith("\nfull\n")


def test_secrets_are_hidden_in_the_file_and_on_the_console(
    run_log: log.RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redact, "CENTRAL", redact.Redactor())
    redact.CENTRAL.add("sw0rdfish")
    stream = io.StringIO()
    event = Event("step.failed", message="sw0rdfish", data={"error": "sw0rdfish"})
    run_log.output(b"password sw0rdfish\n")
    run_log.observe(event)
    log.console(stream, "deploy", "INFO", "text")(event)
    log.console(stream, "deploy", "INFO", "json")(event)
    assert "sw0rdfish" not in run_log.path.read_text() + stream.getvalue()
    assert stream.getvalue().count("***") == 4


def test_the_console_has_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    console = log.console(stream, "deploy", "INFO", "text")
    for kind in ("progress", "step.started", "step.undoing"):
        console(Event(kind, message="Build"))
    levels = [line.split("] [")[1] for line in stream.getvalue().splitlines()]
    assert levels == ["INFO", "WARNING"]


def test_a_line_of_the_console_is_written_at_once_with_its_end() -> None:
    class Written(io.StringIO):
        def write(self, text: str) -> int:
            parts.append(text)
            return super().write(text)

    parts: list[str] = []
    log.console(Written(), "deploy", "INFO", "text")(Event("step.started", message="Build"))
    assert [text for text in parts if text] == parts[:1] and parts[0].endswith("Build\n")


def test_a_full_disk_stops_nobody(run_log: log.RunLog, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb", buffering=0) as full, monkeypatch.context() as patch:
        patch.setattr(run_log, "_stream", full)
        run_log.output(b"lost\n")
        run_log.observe(Event("step.started", message="Build"))


def test_a_log_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.log").mkdir()
    with pytest.raises(OpsError, match=f"cannot write {tmp_path}/x.log: Is a directory"):
        log.RunLog(tmp_path / "x.log", "deploy", "INFO")
