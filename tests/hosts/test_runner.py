from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ops.hosts import account, runner
from ops.hosts.streams import KEPT
from ops.kernel import guard, processes
from ops.kernel.errors import (
    ConfigurationError,
    DependencyError,
    EffectRefused,
    Interrupted,
    NotPermitted,
    OpsError,
    StepFailed,
    TimeLimitReached,
)
from tests.support.local import Project, is_root, lives

SH = ("sh", "-c")


def test_result_has_code_and_both_outputs(made: Project) -> None:
    result = runner.run(made.context, [*SH, "echo out; echo err >&2; exit 3"], check=False)
    assert result == runner.Result(3, "out\n", "err\n")


def test_output_goes_on_in_whole_lines_as_it_comes(made: Project) -> None:
    runner.run(made.context, [*SH, "printf a; sleep 0.3; printf 'b\\nc'; sleep 0.3; echo d"])
    assert made.output == [b"ab\n", b"cd\n"]


def test_unfinished_last_line_gets_its_end(made: Project) -> None:
    runner.run(made.context, ["printf", "end"])
    assert made.output == [b"end\n"]


def test_line_without_end_does_not_fill_the_memory(made: Project) -> None:
    result = runner.run(made.context, [*SH, f"head -c {3 * KEPT} /dev/zero"])
    assert len(made.output) > 10
    assert len(b"".join(made.output).rstrip(b"\n")) == 3 * KEPT
    assert len(result.stdout) == KEPT


def test_reading_command_that_prints_too_much_is_an_error(made: Project) -> None:
    with pytest.raises(OpsError, match="printed more than can be read"):
        runner.run(made.context, [*SH, f"head -c {KEPT + 1} /dev/zero"], reads=True)


def test_output_that_is_no_text_is_kept_readable(made: Project) -> None:
    assert runner.run(made.context, ["printf", r"\377x"]).stdout == "\ufffdx"


def test_child_has_only_the_base_and_what_it_was_given(
    made: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "inherited-secret")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("LANG", raising=False)
    result = runner.run(
        made.context, ["env"], environment={"GIVEN": "yes", "PATH": os.environ["PATH"]}
    )
    names = {line.partition("=")[0] for line in result.stdout.splitlines()}
    assert names - {"LC_CTYPE"} == {"PATH", "HOME", "TZ", "GIVEN"}


def test_input_reaches_the_command(made: Project) -> None:
    text = b"secret line\n" * 100_000
    assert runner.run(made.context, ["cat"], input=text).stdout.encode() == text


def test_command_may_leave_its_input_unread(made: Project) -> None:
    assert runner.run(made.context, ["true"], input=b"x" * 1_000_000).code == 0


def test_without_input_there_is_none(made: Project) -> None:
    assert runner.run(made.context, ["cat"]).stdout == ""


def test_standard_output_may_go_to_a_file(made: Project) -> None:
    with (made.folder / "dump").open("w+b") as stream:
        result = runner.run(
            made.context, [*SH, r"printf '\0\377'; echo note >&2"], stdout_to=stream
        )
        stream.seek(0)
        assert stream.read() == b"\0\377"
    assert (result.stdout, result.stderr) == ("", "note\n")
    assert made.output == [b"note\n"]


def test_working_folder(made: Project) -> None:
    assert runner.run(made.context, ["pwd"], cwd=made.folder).stdout.strip() == str(made.folder)


def test_failure_names_the_command_and_its_last_words(made: Project) -> None:
    with pytest.raises(StepFailed, match="exit code 7: sh -c") as caught:
        runner.run(made.context, [*SH, "seq 100; echo fatal: no such branch >&2; exit 7"])
    assert caught.value.why == "fatal: no such branch"


def test_end_by_a_signal_is_named(made: Project) -> None:
    with pytest.raises(StepFailed, match="ended by SIGKILL"):
        runner.run(made.context, [*SH, "kill -9 $$"])


def test_missing_program_is_a_missing_dependency(made: Project) -> None:
    with pytest.raises(DependencyError, match="no-such-program is not installed"):
        runner.run(made.context, ["no-such-program", "--help"])


def test_missing_folder_is_named(made: Project) -> None:
    with pytest.raises(ConfigurationError, match="no such folder: /no/such"):
        runner.run(made.context, ["true"], cwd=Path("/no/such"))


def test_program_without_permission_is_named(made: Project) -> None:
    with pytest.raises(NotPermitted, match="may not run"):
        runner.run(made.context, [str(made.folder / "ops.toml")])


def test_time_limit_ends_the_whole_group(made: Project) -> None:
    context = made.context.within(0.5)
    script = "sleep 600 & echo $!; sleep 600"
    begin = time.monotonic()
    with pytest.raises(TimeLimitReached, match="running sh -c"):
        runner.run(context, [*SH, script])
    assert time.monotonic() - begin < 3
    child = int(b"".join(made.output))
    assert not psutil.pid_exists(child) or not lives(psutil.Process(child))


def test_group_that_ignores_term_is_killed(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.5)
    script = "trap '' TERM; echo $$; while :; do sleep 0.1; done"
    with pytest.raises(TimeLimitReached):
        runner.run(made.context.within(0.5), [*SH, script])
    assert not psutil.pid_exists(int(b"".join(made.output)))


def test_time_limit_also_ends_a_reading_command_of_a_dry_run(made: Project) -> None:
    with guard.scope(guard.Mode.DRY_RUN), pytest.raises(TimeLimitReached):
        runner.run(made.context.within(0.3), ["sleep", "600"], reads=True)


def test_interrupted_deadline_ends_the_command_as_interrupted(made: Project) -> None:
    made.context.deadline.interrupt(Interrupted("stopped by SIGINT", signal_number=2))
    with pytest.raises(Interrupted):
        runner.run(made.context, ["sleep", "600"])


def test_expired_deadline_starts_nothing(made: Project) -> None:
    with pytest.raises(TimeLimitReached, match="starting touch"):
        runner.run(made.context.within(0), ["touch", str(made.folder / "new")])
    assert not (made.folder / "new").exists()


def test_command_in_the_background_does_not_hold_up_its_starter(made: Project) -> None:
    begin = time.monotonic()
    result = runner.run(made.context, [*SH, "sleep 5 & echo started"])
    assert result.stdout == "started\n"
    assert time.monotonic() - begin < 3
    group, started = made.children[-1]
    assert processes.end_group(group, started)


def test_changing_command_is_refused_in_a_dry_run(made: Project) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        with pytest.raises(EffectRefused, match="run touch"):
            runner.run(made.context, ["touch", str(made.folder / "new")])
        assert runner.run(made.context, ["echo", "hi"], reads=True).stdout == "hi\n"
        with pytest.raises(EffectRefused):
            runner.foreground(["true"])


def test_changing_command_is_recorded_for_the_journal(made: Project) -> None:
    runner.run(made.context, ["true"], reads=True)
    assert made.children == []
    runner.run(made.context, ["true"])
    ((group, started),) = made.children
    assert group > 0
    assert abs(started - time.time()) < 60


def test_what_a_killed_run_left_behind_is_ended(made: Project) -> None:
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    started = processes.started(left.pid)
    assert not processes.end_group(left.pid, started + 100)
    assert left.poll() is None
    assert processes.end_group(left.pid, started)
    assert left.wait() != 0


def test_error_of_the_journal_ends_the_command(made: Project) -> None:
    def refuse(_: int, __: float) -> None:
        raise OpsError("disk full")

    before = set(psutil.pids())
    with pytest.raises(OpsError, match="disk full"):
        runner.run(replace(made.context, child=refuse), ["sleep", "612"])
    sleeping = [psutil.Process(pid) for pid in set(psutil.pids()) - before]
    assert not [each for each in sleeping if "612" in each.cmdline()]


def test_probe_tells_an_answer_or_nothing(made: Project) -> None:
    assert runner.probe(["echo", "1.2"]) == "1.2"
    assert runner.probe(["no-such-program"]) == ""
    assert runner.probe(["false"]) == ""
    assert runner.probe(["sleep", "600"], seconds=0.2) == ""


@pytest.mark.parametrize(("script", "code"), [("exit 4", 4), ("kill -TERM $$", 143)])
def test_foreground_returns_the_exit_code(script: str, code: int) -> None:
    assert runner.foreground([*SH, script]) == code


def test_foreground_keeps_the_variables_and_the_terminal(
    made: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OF_THE_SHELL", "kept")
    runner.foreground(
        [*SH, 'echo "$OF_THE_SHELL $NEW"; pwd'], cwd=made.folder, environment={"NEW": "too"}
    )
    assert capfd.readouterr().out == f"kept too\n{made.folder}\n"


def test_foreground_waits_for_a_child_that_handles_ctrl_c() -> None:
    code = (
        "import signal\n"
        "from ops.hosts import runner\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored below a shell's &\n"
        "raise SystemExit(runner.foreground(['sh', '-c', 'trap \"sleep 0.5; exit 9\" INT; echo up; sleep 600 & wait']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    os.killpg(process.pid, 2)
    assert process.wait(10) == 9
    process.stdout.close()


def test_network_environment_has_mirrors_and_proxies_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        monkeypatch.delenv(name)
    wanted = {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "npm_config_registry": "https://mirror.example/npm",
        "https_proxy": "http://proxy.example:3128",
        "NO_PROXY": "localhost",
        "SSL_CERT_FILE": "/etc/ssl/ca.pem",
    }
    for name, value in {**wanted, "TOKEN": "secret", "PGPASSWORD": "secret"}.items():
        monkeypatch.setenv(name, value)
    assert runner.network_environment() == wanted


@pytest.mark.skipif(not is_root(), reason="only root runs commands as another user")
def test_as_root_a_command_runs_as_the_service_user(made: Project) -> None:
    user = account.ensure(made.context)
    assert user is not None
    result = runner.run(made.context, [*SH, "id -u; id -G; umask; echo $HOME"], account=user)
    assert result.stdout.split() == [str(user.uid), str(user.gid), "0022", str(user.folder)]
    # Root's own working folder may be closed to that user.
    assert runner.run(made.context, ["pwd"], account=user).stdout == "/\n"


def test_deadline_is_asked_while_pipes_are_closed(made: Project) -> None:
    with pytest.raises(TimeLimitReached):
        runner.run(made.context.within(0.5), [*SH, "exec >&- 2>&-; sleep 600"])
