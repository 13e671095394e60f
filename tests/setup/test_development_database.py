"""Which database development uses, and what `inv setup` says at its end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ops.kernel import settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.redact import Redactor
from ops.kernel.report import Report
from ops.kernel.secrets import Secrets
from ops.setup import development, variables, workspace

OPS_TOML = """
[app]
name = "sample"
[services.page]
static = "dist"
development = "npm run dev"
[database]
engine = "postgres"
[environments.development]
target = "local"
"""
OWN = "postgresql://sample_development:word-of-old@/sample_development?host=/old/home/run"


def context(folder: Path, ops_toml: str = OPS_TOML, **environ: str) -> Context:
    (folder / "ops.toml").write_text(ops_toml)
    given = {"OPS_HOME": str(folder / "home"), **environ}
    loaded = settings.load("development", start=folder, environ=given)
    return Context(loaded, Secrets(folder, environ=given, redactor=Redactor()), Deadline(60))


@pytest.mark.parametrize(
    ("local_file", "addition", "environ", "embedded"),
    [
        ("", "", {}, True),
        ("DATABASE_URL=\n", "", {}, True),
        (f"DATABASE_URL='{OWN}'\n", "", {}, True),
        ("DATABASE_URL=postgresql://me:secret@db.lan/sample_development\n", "", {}, False),
        ("DATABASE_URL=postgresql://me:secret@/mine?host=/run/postgresql\n", "", {}, False),
        ("DATABASE_URL='postgresql://[broken'\n", "", {}, False),
        ("", "", {"DATABASE_URL": "postgresql://me:secret@db.lan/x"}, False),
        ("", 'database_url = "env:TEAM_URL"\n', {}, False),
    ],
)
def test_embedded_server_unless_another_is_named(
    tmp_path: Path, local_file: str, addition: str, environ: dict[str, str], embedded: bool
) -> None:
    (tmp_path / ".env.local").write_text(local_file)
    made = context(tmp_path, OPS_TOML + addition, **environ)
    assert variables.is_embedded(made) is embedded
    # The name is only ever written for the embedded server.
    assert ("DATABASE_URL" in variables.missing(made)) is (embedded and not local_file)


@pytest.mark.parametrize(
    ("local_file", "environ", "expected"),
    [
        ("", {}, "postgresql://me:of-the-team@db.lan/team"),
        (
            "DATABASE_URL=postgresql://me:mine@db.lan/local\n",
            {},
            "postgresql://me:mine@db.lan/local",
        ),
        (
            "DATABASE_URL=postgresql://me:mine@db.lan/local\n",
            {"DATABASE_URL": "postgresql://me:shell@db.lan/shell"},
            "postgresql://me:shell@db.lan/shell",
        ),
    ],
)
def test_shell_then_local_file_then_ops_toml(
    tmp_path: Path, local_file: str, environ: dict[str, str], expected: str
) -> None:
    (tmp_path / ".env.local").write_text(local_file)
    team = {"TEAM_URL": "postgresql://me:of-the-team@db.lan/team"}
    made = context(tmp_path, f'{OPS_TOML}database_url = "env:TEAM_URL"\n', **team, **environ)
    url = variables.required_url(made)
    assert url.get_secret_value() == expected
    assert made.secrets.redactor.text(expected) == "***"
    assert variables.of_application(made, url)["DATABASE_URL"] == expected


def test_application_without_a_database(tmp_path: Path) -> None:
    made = context(tmp_path, OPS_TOML.replace('[database]\nengine = "postgres"\n', ""))
    assert variables.database_url(made) is None
    assert not variables.is_embedded(made)


@pytest.mark.parametrize(("ignored", "hints"), [(".env.local\n", 2), ("", 3)])
def test_report_says_what_is_left_to_do(tmp_path: Path, ignored: str, hints: int) -> None:
    made = context(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text(ignored)
    (tmp_path / ".env.local").write_text("")
    (tmp_path / "package.json").write_text("{}")
    report = development.announce(Report("done", data={"run": "1"}), made)
    assert len(report.hints) == hints
    assert report.hints[0] == "inv start"
    assert any("keep it out of git" in each for each in report.hints) is not bool(ignored)
    assert "has no package-lock.json" in report.hints[-1]
    assert development.announce(Report("nothing to change", status="nothing"), made).hints == ()


def test_node_modules_are_those_of_the_lock_file(tmp_path: Path) -> None:
    made = context(tmp_path)
    (tmp_path / "package.json").write_text("{}")
    assert workspace.node_folders(made.settings) == []
    assert workspace.needs_node(made.settings)
    (tmp_path / "package-lock.json").write_text("one")
    assert workspace.node_folders(made.settings) == [tmp_path]
    assert not workspace.node_ready(tmp_path)
    stamp = tmp_path / "node_modules" / workspace.STAMP
    stamp.parent.mkdir()
    stamp.write_text(workspace.lock_digest(tmp_path))
    assert workspace.node_ready(tmp_path)
    (tmp_path / "package-lock.json").write_text("two")
    assert not workspace.node_ready(tmp_path)
