"""Whatever a repository holds, the proposal loads; whatever is there already stays."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ops.kernel import settings
from ops.kernel.errors import ConfigurationError
from ops.kernel.settings.bare import bare
from ops.kernel.settings.faults import WrongSettings
from ops.setup.init import operation, proposal, render
from ops.setup.init.draft import LONGEST_NAME, Draft, Section, clean
from ops.setup.init.repository import Repository
from tests.setup import layouts

HOSTILE = st.text(st.characters(codec="utf-8"), max_size=20)
WORDS = st.lists(HOSTILE, max_size=4)


@given(
    name=HOSTILE,
    command=st.one_of(HOSTILE, WORDS),
    port=st.one_of(st.integers(), HOSTILE),
    variables=st.dictionaries(HOSTILE, HOSTILE, max_size=3),
    health=HOSTILE,
    out=HOSTILE,
    route=HOSTILE,
)
@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_hostile_repository_gets_a_file_that_loads(
    tmp_path: Path,
    name: str,
    command: object,
    port: object,
    variables: dict[str, str],
    health: str,
    out: str,
    route: str,
) -> None:
    service = {
        "build": ".",
        "command": command,
        "ports": [port],
        "environment": variables,
        "healthcheck": {"test": f"curl http://x/{health}"},
    }
    files = {
        "compose.yaml": json.dumps(
            {"services": {name: service, "db": {"image": "postgres", "environment": variables}}}
        ),
        "Dockerfile": f"FROM x\nCMD {json.dumps(command)}\nEXPOSE {port}\n".replace("\r", ""),
        "main.py": layouts.FASTAPI + f"@app.get({route!r})\ndef f(): ...\n",
        "requirements.txt": f"{name}\n",
        "web/package.json": layouts.VITE,
        "web/vite.config.ts": f"proxy: {{ '{route}': 1 }}, outDir: '{out}'",
        "Procfile": f"web: {command}\nx: {name}\n",
    }
    layouts.make(tmp_path, files)
    made = proposal.make(tmp_path)
    (tmp_path / "ops.toml").write_text(made.content, encoding="utf-8")
    settings.load(start=tmp_path, environ={})


def test_a_section_with_a_fault_becomes_a_comment_and_says_why(tmp_path: Path) -> None:
    files = {"compose.yaml": "services: {web: {build: ., command: 'x | y', ports: ['8000']}}"}
    made = proposal.make(layouts.make(tmp_path, files))
    assert "# [services.web]" in made.content
    assert any("runs without a shell" in each for each in made.decisions)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My App", "my-app"),
        ("42shop", "shop"),
        ("___", ""),
        ("ünïcode", "n-code"),
        ("a" * 40, "a" * 31),
    ],
)
def test_names_are_made_of_anything(text: str, name: str) -> None:
    assert clean(text) == name


def test_two_services_never_share_a_name() -> None:
    draft = Draft()
    for _ in range(3):
        draft.sections.append(Section(f"services.{draft.service_name('a-very-long-name', 'web')}"))
    names = {each.header.partition(".")[2] for each in draft.sections}
    assert len(names) == 3
    assert all(len(each) <= LONGEST_NAME for each in names)


@given(
    st.dictionaries(
        HOSTILE.filter(bool), st.one_of(HOSTILE, st.integers(), st.booleans(), WORDS), max_size=4
    )
)
def test_values_survive_the_way_through_toml(
    values: dict[str, str | int | bool | list[str]],
) -> None:
    text = render.toml(
        [Section("services.x", {"environment": {k: str(v) for k, v in values.items()}})]
    )
    read = tomllib.loads(text)["services"]["x"]["environment"]
    assert read == {key: str(value) for key, value in values.items()}


def test_an_ops_toml_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ops.toml").write_text("mine")
    with pytest.raises(ConfigurationError, match="is there already, nothing was changed"):
        operation.look(tmp_path)
    assert (tmp_path / "ops.toml").read_text() == "mine"


@pytest.mark.parametrize(("git", "refused"), [(".git", True), ("sub/.git", False), (None, False)])
def test_an_ops_toml_above_counts_within_the_same_repository(
    tmp_path: Path, git: str | None, refused: bool
) -> None:
    (tmp_path / "ops.toml").write_text("mine")
    inner = tmp_path / "sub" / "inner"
    inner.mkdir(parents=True)
    if git:
        (tmp_path / git).mkdir()
    if refused:
        with pytest.raises(ConfigurationError):
            operation.look(inner)
    else:
        assert operation.look(inner).folder == inner


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.yaml", "a: [1", 1),
        ("a.yaml", "a: 1\nb: 'x\n", 3),
        ("a.yaml", "- 1\n", 1),
        ("a.yaml", "a: 2020-99-99\n", 1),
        ("a.json", "{\n,}", 2),
        ("a.json", "[" * 100_000, 0),
        ("a.toml", "a = 1\nb =\n", 2),
        ("a.toml", "a = '''", 1),
    ],
)
def test_a_broken_file_is_noted_with_its_line(
    tmp_path: Path, name: str, content: str, line: int
) -> None:
    repository = Repository(layouts.make(tmp_path, {name: content}))
    read = {"yaml": repository.yaml, "json": repository.json, "toml": repository.toml}[name[2:]]
    assert read(repository.files[0]) == {}
    assert [(each.file, each.line) for each in repository.unread] == [(name, line)]


def test_tags_of_compose_are_read_as_plain_values(tmp_path: Path) -> None:
    files = {"a.yaml": "a: !reset [1]\nb: !override {c: 2}\nd: !x y\n"}
    repository = Repository(layouts.make(tmp_path, files))
    assert repository.yaml(repository.files[0]) == {"a": [1], "b": {"c": 2}, "d": "y"}
    assert repository.unread == []


def test_a_file_that_is_no_text_or_too_long_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xff\xfe")
    (tmp_path / "b.py").write_text("#" * 1_000_001)
    (tmp_path / "c.py").symlink_to("nowhere")
    made = proposal.make(tmp_path)
    assert {each.file: each.why for each in made.unread} == {
        "a.py": "is not UTF-8",
        "b.py": "is longer than 1 MB",
        "c.py": "cannot be read: No such file or directory",
    }


@pytest.mark.parametrize(("folder", "name"), [("Shop 2", "shop-2"), ("1", "app")])
def test_bare_settings_need_no_file(tmp_path: Path, folder: str, name: str) -> None:
    made = bare(tmp_path / folder, {"LOG_LEVEL": "debug"})
    assert (made.app.name, made.name, made.folder.name) == (name, "development", folder)
    assert (made.environment.target, made.options.log_level) == ("local", "debug")


def test_bare_settings_refuse_a_wrong_variable(tmp_path: Path) -> None:
    with pytest.raises(WrongSettings, match="OPS_STATE_URL"):
        bare(tmp_path, {"OPS_STATE_URL": "mysql://x"})
