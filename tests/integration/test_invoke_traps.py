"""Plain `inv`, as others installed it, on a small project: what of Invoke could slip past our executor, and cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = "tasks: {executor_class: ops.kernel.executor.Executor}\n"
INVOKES = "tasks: {executor_class: invoke.executor.Executor}\n"
REFUSED = 3
TASKS = '''
import sys
from pathlib import Path
from invoke.collection import Collection
from ops.kernel.report import Report
from ops.kernel.task import READ, WRITE, task

def ran(name):
    print(f"{name} ran")

@task(level=READ, kind="verification")
def check(call):
    """Check."""
    ran("check")

@task(level=WRITE, kind="deploy", pre=[check])
def change(call):
    """Change."""
    ran("change for real" if not call.options.dry_run else "change dry")
    return Report("changed")

@task(level=WRITE, kind="deploy")
async def sleeping(call):
    """Never pass as success."""

@task(level=WRITE, kind="deploy")
def number(call):
    """Never pass as success."""
    return 3

ns = Collection(check, change, sleeping, number)
'''


class Project:
    """A project with `tasks.py`, and a home folder of its user."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder / "project", folder / "home"
        self.folder.mkdir()
        self.home.mkdir()
        (self.folder / "tasks.py").write_text(TASKS)
        (self.folder / "invoke.yaml").write_text(OURS)
        (self.folder / "other.yaml").write_text(INVOKES)

    def inv(
        self, *words: str, folder: str = ".", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(self.home), "PYTHONPATH": str(ROOT), **variables}
        return subprocess.run(
            [sys.executable, "-m", "invoke", *words],
            cwd=self.folder / folder, env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def refused(answer: subprocess.CompletedProcess[str]) -> bool:
    """Say whether nothing ran and the message says what to do."""
    assert "Traceback" not in answer.stderr
    said = "was not started by the executor of invops: invoke.yaml must say" in answer.stderr
    return (answer.returncode, answer.stdout, said) == (REFUSED, "", True)


def test_with_invoke_yaml_it_runs_from_any_folder_of_the_project(project: Project) -> None:
    (project.folder / "below").mkdir()
    answer = project.inv("change", folder="below")
    assert (answer.returncode, answer.stdout) == (0, "check ran\nchange for real ran\nchanged\n")


def test_without_invoke_yaml_it_refuses(project: Project) -> None:
    (project.folder / "invoke.yaml").unlink()
    assert refused(project.inv("change"))
    assert refused(project.inv("check"))


def test_another_file_by_f_cannot_replace_the_executor(project: Project) -> None:
    assert refused(project.inv("-f", "other.yaml", "change"))


def test_another_file_by_variable_cannot_replace_the_executor(project: Project) -> None:
    assert refused(project.inv("change", INVOKE_RUNTIME_CONFIG="other.yaml"))


def test_the_file_of_the_user_cannot_replace_the_executor(project: Project) -> None:
    (project.home / ".invoke.yaml").write_text(INVOKES)
    assert project.inv("change").stdout.startswith("check ran\nchange for real ran")
    (project.folder / "invoke.yaml").unlink()
    assert refused(project.inv("change"))


@pytest.mark.parametrize("executor", ["invoke.executor.Executor", "ops.kernel.executor.Executor"])
def test_a_variable_neither_replaces_nor_brings_the_executor(
    project: Project, executor: str
) -> None:
    variables = {"INVOKE_TASKS_EXECUTOR_CLASS": executor}
    assert project.inv("change", **variables).returncode == 0
    (project.folder / "invoke.yaml").unlink()
    assert refused(project.inv("change", **variables))


@pytest.mark.parametrize(
    "words", [["--dry", "change"], ["-R", "change"], ["change", "-R"], ["change", "--dry-run"]]
)
def test_invokes_own_dry_run_counts_as_ours(project: Project, words: list[str]) -> None:
    answer = project.inv(*words)
    assert (answer.returncode, answer.stdout) == (0, "check ran\nchange dry ran\nchanged\n")


@pytest.mark.parametrize("file", ["run: {dry: true}", "run: {dry: 'false'}"])
def test_a_dry_run_in_a_file_errs_on_the_safe_side(project: Project, file: str) -> None:
    (project.home / ".invoke.yaml").write_text(file)
    assert "change dry ran" in project.inv("change").stdout


def test_echo_in_a_file_is_no_mistake_of_the_command_line(project: Project) -> None:
    (project.home / ".invoke.yaml").write_text("run: {echo: true}")
    assert project.inv("change").returncode == 0
    answer = project.inv("-e", "change")
    assert (answer.returncode, answer.stdout) == (REFUSED, "")
    assert answer.stderr == "error: -e is Invoke's echo flag\n  try: inv change --env NAME\n"


@pytest.mark.parametrize(
    "words", [["--no-dedupe", "change"], ["-w", "change"], ["-T", "1", "change"], ["-p", "change"]]
)
def test_other_flags_of_invoke_change_nothing(project: Project, words: list[str]) -> None:
    assert project.inv(*words).stdout == "check ran\nchange for real ran\nchanged\n"


@pytest.mark.parametrize("words", [["change", "--", "--dry-run"], ["change", "--", "--env", "x"]])
def test_what_stands_behind_two_dashes_is_refused(project: Project, words: list[str]) -> None:
    answer = project.inv(*words)
    assert (answer.returncode, answer.stdout) == (REFUSED, "")
    assert (
        answer.stderr
        == f"error: nothing is known after --: {' '.join(words[2:])}\n  try: leave the -- out\n"
    )


@pytest.mark.parametrize("name", ["sleeping", "number"])
def test_what_invoke_takes_for_success_is_none(project: Project, name: str) -> None:
    answer = project.inv(name)
    assert answer.returncode == REFUSED
    assert f"error: task {name} returned" in answer.stderr


def test_a_task_called_from_python_refuses(project: Project) -> None:
    with (project.folder / "tasks.py").open("a") as tasks:
        tasks.write(
            "\nfrom invoke.context import Context\ntry:\n    change(Context())\nexcept BaseException as e:\n"
        )
        tasks.write("    print(type(e).__name__, e.code)\n")
    assert project.inv("check").stdout == "Exit 3\ncheck ran\n"


@pytest.mark.parametrize("words", [["chnge"], ["change", "--nope"], ["change", "-e", "production"]])
def test_words_that_invoke_cannot_read_are_its_own_to_refuse(
    project: Project, words: list[str]
) -> None:
    # Our executor is not reached: code and text are Invoke's. `./inv` and `invops` answer with 3.
    answer = project.inv(*words)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("No idea what")


@pytest.mark.parametrize("name", ["check", "change"])
def test_a_reader_that_leaves_is_no_traceback(project: Project, name: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "HOME": str(project.home), "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-m", "invoke", name],
        cwd=project.folder, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (1, "")
