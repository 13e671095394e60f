from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.program import Program

from ops import configuration
from ops.kernel import exits, redact, report, settings
from ops.kernel.executor import Executor
from ops.tasks import config

TEXT = """\
[app]
name = "shop"
[services.web]
command = "serve {socket}"
route = ["/"]
secrets = { KEY = "env:KEY" }
[environments.development]
target = "local"
[environments.local]
target = "local"
"""


@pytest.fixture(autouse=True)
def _forget_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no secret of a test in the redactor of the process."""
    monkeypatch.setattr(redact.CENTRAL, "_forms", ())


def _project(folder: Path, text: str = TEXT) -> Path:
    (folder / "ops.toml").write_text(text)
    return folder


def _shown(answer: report.Report, form: str) -> str:
    out = io.StringIO()
    report.render(answer, form, out)
    return out.getvalue()


def _show(folder: Path, environ: Mapping[str, str]) -> report.Report:
    return configuration.show(settings.load(start=_project(folder), environ=environ))


def test_show_prints_each_value_with_its_source(tmp_path: Path) -> None:
    answer = _show(tmp_path, {})

    rows = [line.split() for line in _shown(answer, "text").splitlines()]
    assert ["key", "value", "source"] in rows
    assert ["app.name", "shop", f"{tmp_path}/ops.toml:2"] in rows
    assert ["services.web.route", '["/"]', f"{tmp_path}/ops.toml:5"] in rows
    assert ["services.web.secrets.KEY", "env:KEY", f"{tmp_path}/ops.toml:6"] in rows
    assert ["services.web.stop_timeout", "30", "default"] in rows
    assert ["services.web.static", "-", "default"] in rows
    assert ["environment", "development", "(default)"] in rows
    assert ["other", "environments", "local"] in rows


def test_show_masks_secrets_and_says_which_variables_do_not_apply(tmp_path: Path) -> None:
    environ = {
        "OPS_STATE_URL": "postgresql://ops:open-sesame@db/state",
        "DATABASE_URL": "postgresql://anna:other-secret@db/shop",
        "ENVIRONMENT": "local",
    }
    answer = configuration.show(
        settings.load("development", start=_project(tmp_path), environ=environ)
    )

    for form in ("text", "json"):
        shown = _shown(answer, form)
        assert "open-sesame" not in shown and "other-secret" not in shown
        assert "postgresql://ops:***@db/state" in shown
        assert "ENVIRONMENT is local, not development" in shown


def test_show_answers_json(tmp_path: Path) -> None:
    answer = json.loads(_shown(_show(tmp_path, {"DRY_RUN": "1"}), "json"))

    assert (answer["status"], answer["environment"]) == ("ok", "development")
    assert answer["folder"] == str(tmp_path.resolve())
    assert answer["values"]["services.web.route"]["value"] == ["/"]
    assert answer["values"]["options.dry_run"] == {
        "value": True,
        "source": {"kind": "variable", "where": "DRY_RUN"},
    }


def test_check_says_that_all_is_right(tmp_path: Path) -> None:
    answer = configuration.check("local", start=_project(tmp_path), environ={})

    assert (answer.status, answer.exit_code) == ("ok", exits.OK)
    assert _shown(answer, "text").splitlines() == [
        "settings are right, environment local (--env)",
        "  services      web",
        "  environments  development, local",
    ]


def test_check_lists_all_faults_and_ends_with_3(tmp_path: Path) -> None:
    text = TEXT.replace("name =", "nmae =").replace("env:KEY", "no reference")

    answer = configuration.check(start=_project(tmp_path, text), environ={"OPS_FORMT": ""})

    assert answer.exit_code == exits.CONFIGURATION
    shown = _shown(answer, "text").splitlines()
    assert shown == [
        "error: 4 settings are wrong",
        "  OPS_FORMT is not a known variable, did you mean 'OPS_FORMAT'?",
        f"  {tmp_path}/ops.toml:1: app.name is missing",
        f"  {tmp_path}/ops.toml:2: app.nmae is not a known key, did you mean 'name'?",
        f"  {tmp_path}/ops.toml:6: services.web.secrets.KEY must be a reference, not the secret "
        "itself: 'env:NAME' or 'file:PATH'",
    ]
    faults = json.loads(_shown(answer, "json"))["faults"]
    assert faults[1] == {
        "file": f"{tmp_path}/ops.toml",
        "line": 1,
        "key": "app.name",
        "what": "is missing",
    }


def test_schema_is_json_in_both_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = configuration.schema()

    text = json.loads(_shown(answer, "text"))
    assert text["properties"].keys() >= {"app", "services", "environments"}
    assert json.loads(_shown(answer, "json"))["schema"] == text
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["config.check"], exits.OK, "settings are right, environment development (default)"),
        (["config.check", "--env", "local"], exits.OK, "environment local (--env)"),
        (
            ["config.check", "--env", "prod"],
            exits.CONFIGURATION,
            "error: --env is 'prod', there is",
        ),
        (
            ["config.show", "--env", "prod"],
            exits.CONFIGURATION,
            "  try: correct it, then: inv conf",
        ),
        (["config.show"], exits.OK, "environment development (default)"),
        (["config.show", "--format", "json"], exits.OK, '"services.web.route": {'),
        (["config.schema"], exits.OK, '"title": "ops.toml"'),
    ],
)
def test_the_tasks_end_with_their_exit_codes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    expected: str,
) -> None:
    monkeypatch.chdir(_project(tmp_path))
    namespace = Collection()
    namespace.add_collection(Collection.from_module(config), "config")
    program = Program(namespace=namespace, executor_class=Executor)

    try:
        program.run(["invops", *arguments])
        ended = 0
    except SystemExit as error:
        ended = int(error.code or 0)

    shown = capsys.readouterr()
    assert (ended, expected in shown.out + shown.err) == (code, True)
