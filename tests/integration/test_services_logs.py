"""`inv logs` with a real daemon: followed through rotations, ended by Ctrl-C, without secrets."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.support.development import OPS_TOML, Result, Sample, sample
from tests.support.local import eventually

# supervisor rotates a log at 10 MB.
FLOOD = 130_000
FLOODER = f"""
import os, pathlib, time
print("ready", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.05)
for number in range({FLOOD}):
    print(f"number {{number:09}} {{'x' * 80}}", flush=number % 1000 == 0)
print("the end", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def app() -> Iterator[Sample]:
    with sample(OPS_TOML) as made:
        made.write("ticker.py", FLOODER)
        made.done("start")
        made.get("first")
        yield made


class Followed:
    """A running `inv logs --follow` whose lines are collected."""

    def __init__(self, app: Sample, *words: str) -> None:
        self.lines: list[str] = []
        self._process = app.popen("logs", "--follow", *words)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def shows(self, text: str, seconds: float = 60) -> bool:
        return eventually(lambda: any(text in line for line in list(self.lines)), seconds)

    def end(self, number: int = signal.SIGINT) -> Result:
        self._process.send_signal(number)
        code = self._process.wait(20)
        self._reader.join(20)
        assert self._process.stdout is not None and self._process.stderr is not None
        error = self._process.stderr.read()
        self._process.stdout.close()
        self._process.stderr.close()
        return Result(code, "\n".join(self.lines), error)


def test_lines_have_their_service_in_front_and_no_secret(app: Sample) -> None:
    result = app.done("logs")
    assert "api    | asked for first, token ***\n" in result.out
    assert "ticker | ready\n" in result.out
    assert app.token not in result.out


def test_secret_is_hidden_for_a_shell_that_does_not_have_it(app: Sample) -> None:
    token, app.token = app.token, ""
    try:
        out = app.run("logs", "--service", "api").out
    finally:
        app.token = token
    assert "token ***" in out


def test_only_some_lines_of_one_service_as_json(app: Sample) -> None:
    for name in ("second", "third"):
        app.get(name)
    answer = app.done("logs", "--service", "api", "--lines", "1", "--format", "json").json
    assert answer["lines"] == [{"service": "api", "text": "asked for third, token ***"}]
    assert app.done("logs", "--lines", "0").out.startswith("development has no such lines")


def test_follow_ends_with_ctrl_c_and_success(app: Sample) -> None:
    followed = Followed(app, "--service", "api", "--lines", "1")
    assert followed.shows("asked for")
    app.get("while-it-is-followed")
    assert followed.shows("while-it-is-followed")
    result = followed.end()
    assert (result.code, result.err) == (0, "")


def test_follow_as_json_is_an_object_for_each_line(app: Sample) -> None:
    followed = Followed(app, "--service", "api", "--lines", "1", "--format", "json")
    assert followed.shows("asked for")
    app.get("json")
    assert followed.shows("json")
    assert [json.loads(line)["service"] for line in followed.end().out.splitlines()] == [
        "api"
    ] * len(followed.lines)


def test_pipe_that_is_closed_ends_it_quietly(app: Sample) -> None:
    process = app.popen("logs", "--follow", "--service", "api", "--lines", "1")
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith("api | asked for")
    process.stdout.close()

    def ended() -> bool:
        app.get("nobody-reads-this")
        return process.poll() is not None

    assert eventually(ended)
    assert process.stderr.read() == ""
    process.stderr.close()


def test_follow_loses_no_line_when_the_log_rotates(app: Sample) -> None:
    followed = Followed(app, "--service", "ticker", "--lines", "0")
    assert eventually(lambda: app.project.daemon().log_path("development.ticker").is_file())
    idle = Followed(app, "--service", "api", "--lines", "1")
    assert idle.shows("asked for")  # by now the first one reads as well
    idle.end()
    app.write("go", "")
    assert followed.shows("the end", 120)
    result = followed.end()
    numbers = [int(line.split()[3]) for line in result.out.splitlines() if "number " in line]
    assert app.project.daemon().log_path("development.ticker").with_suffix(".log.1").is_file()
    assert numbers == list(range(FLOOD))
