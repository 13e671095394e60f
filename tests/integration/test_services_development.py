"""Development servers with real processes: started once, back after kill -9 of anything, gone when stopped."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator

import psutil
import pytest

from ops.hosts import ports
from tests.support import forks
from tests.support.development import Sample, sample
from tests.support.local import eventually


@pytest.fixture
def app() -> Iterator[Sample]:
    with sample() as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Sample]:
    with sample() as made:
        yield made


@pytest.fixture
def running(shared: Sample) -> Sample:
    """Servers that run, in whatever state the test before left them."""
    if len(shared.pids()["api"]) != 2 or not shared.pids()["ticker"]:
        shared.done("start")
    return shared


@pytest.fixture
def started(app: Sample) -> Sample:
    app.done("start")
    return app


def test_start_waits_until_each_server_answers(app: Sample) -> None:
    result = app.done("start")
    assert app.get("GREETING") == "hello world"
    assert f"http://localhost:{app.port}" in result.out
    assert "inv logs --follow" in result.out


def test_second_start_changes_nothing(running: Sample) -> None:
    before = running.pids()
    result = running.done("start")
    assert "nothing to change: api and ticker run already" in result.out
    assert running.pids() == before


def test_server_gets_what_it_is_promised(running: Sample) -> None:
    assert running.get("TOKEN") == running.token
    assert running.get("ENVIRONMENT") == "development"
    assert running.get("APP_VERSION") == "development"
    assert running.get("PORT") == running.get("API_PORT") == str(running.port)
    assert running.get("OPS_HOME").isdigit()  # the shell's other variables stay there


def test_stop_leaves_nothing(started: Sample) -> None:
    result = started.done("stop")
    assert started.processes() == []
    assert ports.is_free(started.port)
    assert "Stop PostgreSQL and the supervisor" in result.out
    assert "nothing runs" in started.done("stop").out


def test_one_service_is_started_and_stopped_by_its_name(app: Sample) -> None:
    app.done("start", "--service", "ticker")
    assert {name for name, pids in app.pids().items() if pids} == {"ticker"}
    app.done("start", "--service", "api")
    app.done("stop", "--service", "ticker")
    assert {name for name, pids in app.pids().items() if pids} == {"api"}
    assert "ticker does not run" in app.done("stop", "--service", "ticker").out
    assert app.get()


KILLS: dict[str, Callable[[Sample], list[psutil.Process]]] = {
    "parent": lambda app: app.processes("api")[:1],
    "child": lambda app: app.processes("api")[1:],
    "worker": lambda app: app.processes("ticker"),
    "daemon": lambda app: [app.daemon()],
    "daemon and parent": lambda app: [app.daemon(), *app.processes("api")[:1]],
    "everything": lambda app: [app.daemon(), *app.processes("api"), *app.processes("ticker")],
}


@pytest.mark.parametrize("victims", KILLS.values(), ids=KILLS)
def test_kill_leaves_no_orphan(
    running: Sample, victims: Callable[[Sample], list[psutil.Process]]
) -> None:
    running.kill(*victims(running))
    running.done("start")
    assert running.get()
    pids = running.pids()
    assert (len(pids["api"]), len(pids["ticker"])) == (2, 1), "exactly one of each after a start"
    running.kill(*victims(running))
    running.done("stop")
    assert running.processes() == []
    assert ports.is_free(running.port)


def test_killed_server_comes_back_by_itself(started: Sample) -> None:
    before = started.pids()["api"]
    started.kill(*started.processes("api")[:1])

    def back() -> bool:
        now = started.pids()["api"]
        return len(now) == 2 and not set(now) & set(before)

    assert eventually(back)


def test_server_that_dies_is_shown_with_the_end_of_its_log(app: Sample) -> None:
    app.write(
        "ticker.py", "import os\nraise SystemExit('no luck with ' + os.environ['GREETING2'])\n"
    )
    app.write(".env.local", "GREETING2='the \"moon\"'\n")
    result = app.inv("start")
    assert result.code == 1
    assert "ticker does not stay up" in result.err
    assert 'no luck with the "moon"' in result.err
    assert "inv logs --service ticker" in result.err
    assert app.pids() == {"api": [], "ticker": []}


def test_changed_settings_restart_only_their_server(started: Sample) -> None:
    before = started.pids()
    text = (started.folder / "ops.toml").read_text()
    started.write("ops.toml", text.replace("hello world", "hello moon"))
    result = started.done("start")
    assert "Start api (its settings have changed)" in result.out
    assert started.get("GREETING") == "hello moon"
    assert started.pids()["ticker"] == before["ticker"]


def test_local_file_wins_and_its_secrets_are_taken(app: Sample) -> None:
    app.write(".env.local", "GREETING='hello sun'\nTOKEN=of-the-file\n")
    app.done("start")
    assert (app.get("GREETING"), app.get("TOKEN")) == ("hello sun", "of-the-file")


def test_server_that_ops_toml_has_no_more_is_stopped(started: Sample) -> None:
    text = (started.folder / "ops.toml").read_text()
    started.write("ops.toml", text.replace("services.ticker", "services.clock"))
    assert "not in ops.toml" in started.done("status").out
    started.done("stop", "--service", "ticker")
    assert started.processes("ticker") == []


def test_taken_port_is_refused_before_anything_starts(app: Sample) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", app.port))
        other.listen()
        result = app.inv("start")
    assert result.code == 3
    assert f"port {app.port} of api is taken by another program" in result.err
    assert str(app.port) in result.err.partition("see who: ")[2]
    assert app.pids() == {"api": [], "ticker": []}


@pytest.mark.parametrize("command", ["start", "stop", "status", "logs"])
def test_unknown_service_gets_a_proposal(shared: Sample, command: str) -> None:
    result = shared.inv(command, "--service", "tickr")
    assert result.code == 3
    assert "there is no service 'tickr' here, did you mean 'ticker'?" in result.err


def test_missing_secret_says_where_to_write_it(app: Sample) -> None:
    app.token = ""
    result = app.inv("start")
    assert result.code == 3
    assert "write TOKEN=... in" in result.err
    assert app.processes() == []


def test_dry_run_starts_nothing(app: Sample) -> None:
    result = app.inv("start", "--dry-run")
    assert result.code == 10
    assert "Start api" in result.out
    assert app.processes() == []


def test_status_tells_every_state(started: Sample) -> None:
    rows = {
        each["service"]: each
        for each in started.done("status", "--format", "json").json["services"]
    }
    assert rows["api"]["state"] == rows["ticker"]["state"] == "running"
    assert (rows["api"]["health"], rows["ticker"]["health"]) == ("ok", "")
    assert rows["api"]["pid"] == started.pids()["api"][0]
    started.kill(started.daemon())
    rows = {
        each["service"]: each
        for each in started.done("status", "--format", "json").json["services"]
    }
    assert rows["api"]["state"] == "left over"
    started.done("stop")
    result = started.done("status")
    assert "0 of 2 running" in result.out
    assert "inv start" in result.out


def test_status_of_one_service(running: Sample) -> None:
    rows = json.loads(running.done("status", "--service", "api", "--format", "json").out)[
        "services"
    ]
    assert [each["service"] for each in rows] == ["api"]


def begun(app: Sample, process: forks.Process) -> bool:
    return bool(app.processes("api")) or process.poll() is not None


def test_killed_start_is_finished_by_the_next_one(app: Sample) -> None:
    process = app.popen("start")
    assert eventually(lambda: begun(app, process), 30)
    process.kill()
    process.communicate()
    app.done("start")
    pids = app.pids()
    assert (len(pids["api"]), len(pids["ticker"])) == (2, 1)
    assert app.get()


def test_ctrl_c_while_a_server_comes_up_leaves_nothing(app: Sample) -> None:
    app.write("server.py", "import time\nprint('mute', flush=True)\ntime.sleep(600)\n")
    process = app.popen("start")
    assert eventually(lambda: begun(app, process), 30)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert app.pids() == {"api": [], "ticker": []}
