from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.kernel import guard
from ops.kernel.errors import (
    Busy,
    ConfigurationError,
    DependencyError,
    EffectRefused,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
    TakenOver,
    TimeLimitReached,
)
from tests.support.local import eventually
from tests.support.machines import World, world


@pytest.fixture
def made() -> Iterator[World]:
    """A project on this machine."""
    with world() as one:
        yield one


def test_verb_gets_its_arguments_and_the_environments_folder(made: World) -> None:
    told = made.local().call(made.context(), "trial.echo", {"text": "ü"}, reads=True)
    owner = {"application": "shop", "environment": "staging"}
    assert told == {"text": "ü", "base": str(made.base), "owner": owner}


def test_what_a_verb_prints_is_for_people_and_not_its_answer(made: World) -> None:
    told = made.local().call(made.context(), "trial.noisy", {"size": 300_000}, reads=True)
    assert told["size"] == len(told["text"]) == 300_000
    printed = b"".join(made.output).decode().splitlines()
    assert sorted(printed) == ["by a command", "to standard error", "to standard output"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("busy", Busy),
        ("taken", TakenOver),
        ("missing", DependencyError),
        ("failed", StepFailed),
        ("config", ConfigurationError),
        ("permission", NotPermitted),
    ],
)
def test_refusal_comes_as_the_error_of_its_kind(
    made: World, kind: str, expected: type[OpsError]
) -> None:
    with pytest.raises(expected) as caught:
        made.local().call(made.context(), "trial.refuse", {"kind": kind}, reads=True)
    assert type(caught.value) is expected
    assert str(caught.value) == "localhost: it is refused: because of a test"
    assert caught.value.hint == "do something else"


def test_what_nobody_expected_is_a_failure_and_its_traceback_goes_to_the_log(made: World) -> None:
    with pytest.raises(StepFailed, match=r"trial.crash failed: ValueError: oh"):
        made.local().call(made.context(), "trial.crash", {"words": "oh"}, reads=True)
    assert b"Traceback" in b"".join(made.output)


def test_unknown_verb_is_told(made: World) -> None:
    with pytest.raises(ConfigurationError, match="has no verb 'nonsense'"):
        made.local().call(made.context(), "nonsense", reads=True)


def test_agent_that_is_killed_gives_no_answer(made: World) -> None:
    with pytest.raises(StepFailed, match="gave no answer: last words"):
        made.local().call(made.context(), "trial.killed", reads=True)


def test_dry_run_reads_and_changes_nothing(made: World) -> None:
    machine, context = made.local(), made.context()
    with guard.scope(guard.Mode.DRY_RUN):
        assert machine.call(context, "trial.echo", {"a": 1}, reads=True)["a"] == 1
        with pytest.raises(EffectRefused, match=r"trial.echo on localhost"):
            machine.call(context, "trial.echo", reads=False)
        with pytest.raises(EffectRefused):
            machine.detached(context, "trial.echo")
        with pytest.raises(EffectRefused):
            machine.put(context, b"data", "file")
    assert machine.round_trips == 1
    assert not made.base.exists()


def test_time_limit_ends_a_call(made: World) -> None:
    made.base.mkdir()
    context = made.context(seconds=1)
    with pytest.raises(TimeLimitReached, match=r"waiting for trial.work"):
        made.local().call(context, "trial.work", {"folder": str(made.folder)}, reads=True)


def test_change_needs_the_lease(made: World) -> None:
    machine, context = made.local(), made.context()
    file = made.folder / "changed"
    with pytest.raises(ConfigurationError, match="needs a lease"):
        machine.call(context, "trial.change", {"file": str(file)}, reads=False)
    made.holding(context, machine)
    machine.call(context, "trial.change", {"file": str(file)}, reads=False)
    assert file.read_text() == "1"


def test_change_after_the_lease_was_taken_away_is_refused(made: World) -> None:
    machine, context = made.local(), made.context()
    made.holding(context, machine)
    machine.call(context, "lease.break", reads=False)
    with pytest.raises(TakenOver, match="was taken away"):
        machine.call(context, "trial.change", {"file": "never"}, reads=False)


def test_file_is_put_below_the_environments_folder(made: World) -> None:
    machine, context = made.local(), made.context()
    made.holding(context, machine)
    data = bytes(range(256)) * 3000
    source = made.folder / "source"
    source.write_bytes(data)
    machine.put(context, data, "files/deep/one", mode=0o640)
    machine.put(context, source, "two")
    assert (made.base / "files/deep/one").read_bytes() == data == (made.base / "two").read_bytes()
    assert (made.base / "files/deep/one").stat().st_mode & 0o777 == 0o640
    assert (made.base / "two").stat().st_mode & 0o777 == 0o600


def test_many_files_are_put_in_one_round_trip(made: World) -> None:
    machine, context = made.local(), made.context()
    made.holding(context, machine)
    before = machine.round_trips
    some = [(str(number).encode() * number, f"files/{number}", 0o600) for number in range(30)]
    machine.put_all(context, some)
    machine.put_all(context, [])
    assert machine.round_trips == before + 1
    found = {path: (made.base / path).read_bytes() for _, path, _ in some}
    assert found == {path: content for content, path, _ in some}


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "a/../../outside"])
def test_file_is_not_put_anywhere_else(made: World, path: str) -> None:
    machine, context = made.local(), made.context()
    made.holding(context, machine)
    with pytest.raises(ConfigurationError, match="not a path inside"):
        machine.put_all(context, [(b"data", "inside", 0o600), (b"data", path, 0o600)])
    assert not (made.base / "inside").exists()


def test_detached_work_tells_its_lines_and_its_result(made: World) -> None:
    (made.folder / "go").touch()
    machine = made.local()
    told = machine.detached(made.context(), "trial.work", {"folder": str(made.folder)})
    assert told == {"worked": True}
    assert made.told("progress") == ["localhost: begun", "localhost: done"]
    assert machine.round_trips == 1


def test_detached_work_that_is_refused_says_why(made: World) -> None:
    with pytest.raises(DependencyError, match="it is refused"):
        made.local().detached(made.context(), "trial.refuse", {"kind": "missing"})


def test_detached_work_that_is_killed_is_lost(made: World) -> None:
    with pytest.raises(StepFailed, match="ended without an answer") as caught:
        made.local().detached(made.context(), "trial.killed")
    assert "last words" in caught.value.why


def test_detached_work_is_ended_with_its_children_when_the_time_is_used_up(made: World) -> None:
    context = made.context(seconds=1.5)
    with pytest.raises(TimeLimitReached, match=r"waiting for (trial.work|jobs)"):
        made.local().detached(context, "trial.work", {"folder": str(made.folder), "child": True})
    _all_gone(made.folder)


def test_signal_ends_detached_work(made: World) -> None:
    context = made.context()
    stop = Interrupted("stopped by SIGINT", signal_number=2)

    def interrupt(_: bytes) -> None:
        context.deadline.interrupt(stop)

    watched = dataclasses.replace(context, output=interrupt)
    with pytest.raises(Interrupted):
        made.local().detached(watched, "trial.work", {"folder": str(made.folder), "child": True})
    _all_gone(made.folder)


def test_work_of_no_run_outlives_the_next_holder_of_the_lease(made: World) -> None:
    machine, context = made.local(), made.context()
    made.holding(context, machine)
    inner = {**made.place.arguments(), "folder": str(made.folder)}
    job = {"id": "left", "verb": "trial.work", "arguments": inner, "limit": 60}
    machine.call(context, "jobs.start", job, reads=False)
    assert eventually((made.folder / "count").exists, 30)
    machine.call(context, "lease.break", reads=False)
    holder = {"run": "theirs", "ttl": 60, "holder": {}}  # ends the jobs of the one before
    machine.call(context, "lease.acquire", holder, reads=False)
    (made.folder / "go").touch()
    (place,) = (made.base / "jobs").iterdir()
    assert eventually((place / "result.json").exists, 30)
    assert json.loads((place / "result.json").read_text()) == {
        "ok": True,
        "result": {"worked": True},
    }


def test_arguments_of_detached_work_are_nowhere_on_disk(made: World) -> None:
    (made.folder / "go").touch()
    secret = "correct horse battery"
    machine = made.local()
    machine.detached(made.context(), "trial.work", {"folder": str(made.folder), "x": secret})
    written = [path.read_bytes() for path in made.base.rglob("*") if path.is_file()]
    assert written
    assert not [each for each in written if secret.encode() in each]
    job = json.loads(next(made.base.glob("jobs/*/job.json")).read_text())
    assert job["verb"] == "trial.work"


def test_addresses_of_this_machine_are_its_own(made: World) -> None:
    machine = made.local()
    with machine.tunnel("10.0.0.1", 5432) as address, machine.expose(5000) as port:
        assert (address, port) == (("10.0.0.1", 5432), 5000)


def _all_gone(folder: Path) -> None:
    pids = [int(each) for each in (folder / "count").read_text().split()]
    child = folder / "child"
    pids += [int(child.read_text())] if child.exists() else []
    assert pids
    assert eventually(lambda: not any(map(_lives, pids))), "the job still runs"


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
