"""`.env.local`: missing names are appended, nothing else changes, and the undo takes back what was added."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.kernel import guard, settings
from ops.kernel.context import Context
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, EffectRefused
from ops.kernel.plan import Step
from ops.kernel.redact import Redactor
from ops.kernel.secrets import Secrets
from ops.kernel.steps import find
from ops.setup import development, envfile, variables

OPS_TOML = """
[app]
name = "sample"
[services.api]
command = "serve {port}"
port = 8000
route = ["/api"]
environment = { GREETING = "hello world", LEVEL = "info" }
secrets = { TOKEN = "env:SAMPLE_TOKEN", KEY = "file:key.txt" }
[services.worker]
command = "work"
environment = { LEVEL = "debug" }
[services.files]
static = "dist"
environment = { BUILD = "yes" }
[environments.development]
target = "local"
environment = { PLACE = "here" }
[environments.local]
target = "local"
"""
FIRST = f"""# {variables.HEADER}
GREETING='hello world'
PLACE=here
# a secret: write its value here, or provide env:SAMPLE_TOKEN
TOKEN=
# a secret: write its value here, or provide file:key.txt
KEY=
"""


@dataclass
class Tree:
    folder: Path
    environ: dict[str, str]

    @property
    def context(self) -> Context:
        loaded = settings.load(
            "development", start=self.folder, environ={"OPS_HOME": str(self.folder / "home")}
        )
        return Context(
            loaded, Secrets(self.folder, environ=self.environ, redactor=Redactor()), Deadline(60)
        )

    @property
    def file(self) -> Path:
        return self.folder / ".env.local"

    def steps(self) -> list[Step]:
        return envfile.steps(self.context)

    def write(self) -> Step:
        (step,) = self.steps()
        find(step.action)(self.context, **step.arguments)
        return step

    def undo(self, step: Step) -> None:
        undo = find(step.action).undo
        assert undo is not None
        undo(self.context, None, **step.arguments)

    def variables(self, service: str = "api") -> dict[str, str]:
        return variables.of_service(self.context, service, None)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "ops.toml").write_text(OPS_TOML)
    return Tree(tmp_path, {})


def test_first_file_has_values_and_places_for_secrets(tree: Tree) -> None:
    tree.write()
    assert tree.file.read_text() == FIRST
    assert stat.S_IMODE(tree.file.stat().st_mode) == 0o600
    assert tree.steps() == []


def test_secret_that_is_provided_is_not_copied(tree: Tree) -> None:
    tree.environ["SAMPLE_TOKEN"] = "sentinel-token"
    tree.write()
    assert "TOKEN" not in tree.file.read_text()


@pytest.mark.parametrize(
    ("before", "added"),
    [
        ("PLACE=there\nGREETING=\nTOKEN=x\n# mine\nKEY=y\n", ""),
        ("KEY=y\n\nTOKEN=x # mine\nPLACE=there", "\nGREETING='hello world'\n"),
        ("# only mine\n", FIRST.partition("\n")[2]),
    ],
)
def test_what_a_person_wrote_stays(tree: Tree, before: str, added: str) -> None:
    tree.file.write_text(before)
    tree.file.chmod(0o600)
    if added:
        tree.write()
    assert tree.file.read_text() == before + added
    assert tree.steps() == []


def test_file_that_others_may_read_is_closed(tree: Tree) -> None:
    tree.write()
    tree.file.chmod(0o644)
    step = tree.write()
    assert step.title == "Write .env.local: readable by you alone"
    assert stat.S_IMODE(tree.file.stat().st_mode) == 0o600
    assert tree.file.read_text() == FIRST


@pytest.mark.parametrize("before", [None, "", "PLACE=there", "PLACE=there\n"])
def test_undo_brings_the_file_back(tree: Tree, before: str | None) -> None:
    if before is not None:
        tree.file.write_text(before)
    step = tree.write()
    tree.undo(step)
    assert (tree.file.read_text() if tree.file.exists() else None) == before
    tree.undo(step)  # again, as after a crash
    assert (tree.file.read_text() if tree.file.exists() else None) == before


def test_undo_leaves_alone_what_was_changed_since(tree: Tree) -> None:
    tree.file.write_text("PLACE=there\n")
    step = tree.write()
    tree.file.write_text("PLACE=elsewhere\n")
    tree.undo(step)
    assert tree.file.read_text() == "PLACE=elsewhere\n"


def test_link_stays_a_link(tree: Tree, tmp_path: Path) -> None:
    shared = tmp_path / "shared.env"
    shared.write_text("PLACE=there\n")
    tree.file.symlink_to(shared)
    tree.write()
    assert tree.file.is_symlink()
    assert shared.read_text().startswith("PLACE=there\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write for somebody else")
def test_root_leaves_the_file_to_its_owner(tree: Tree) -> None:
    tree.file.write_text("PLACE=there\n")
    os.chown(tree.file, 12345, 12345)
    tree.write()
    assert tree.file.stat().st_uid == 12345


def test_dry_run_writes_nothing(tree: Tree) -> None:
    with guard.scope(guard.Mode.DRY_RUN):
        steps = [each.title for each in development.plan(tree.context).steps]
        with pytest.raises(EffectRefused):
            tree.write()
    assert steps == ["Write .env.local: GREETING, PLACE, TOKEN, KEY"]
    assert not tree.file.exists()


def test_other_environments_are_refused(tree: Tree) -> None:
    context = tree.context
    local = Context(
        settings.load("local", start=tree.folder, environ={}), context.secrets, Deadline(60)
    )
    with pytest.raises(ConfigurationError) as caught:
        development.plan(local)
    assert "development only, not local" in caught.value.what
    assert "inv deploy --env local" in caught.value.hint


def test_who_wins(tree: Tree) -> None:
    (tree.folder / "key.txt").write_text("of-the-file\n")
    (tree.folder / "key.txt").chmod(0o600)
    tree.environ["SAMPLE_TOKEN"] = "of-the-shell"
    found = tree.variables()
    assert (found["GREETING"], found["PLACE"], found["LEVEL"]) == ("hello world", "here", "info")
    assert (found["TOKEN"], found["KEY"], found["PORT"]) == ("of-the-shell", "of-the-file", "8000")
    tree.file.write_text("GREETING=mine\nTOKEN=my-own-token\nKEY=\nPLACE=\n")
    found = tree.variables()
    # An empty secret is a place to fill in, any other empty value is meant.
    assert (found["GREETING"], found["TOKEN"], found["KEY"], found["PLACE"]) == (
        "mine",
        "my-own-token",
        "of-the-file",
        "",
    )
    assert tree.variables("worker")["LEVEL"] == "debug"
    assert tree.variables("worker")["API_PORT"] == "8000"


def test_short_secret_is_refused(tree: Tree) -> None:
    tree.file.write_text("TOKEN=abc\n")
    with pytest.raises(ConfigurationError) as caught:
        tree.variables()
    assert "fewer than 6 characters" in caught.value.what


def test_secret_of_the_file_is_hidden(tree: Tree) -> None:
    tree.file.write_text("TOKEN=my-own-token\nKEY=another-one\n")
    context = tree.context
    variables.of_service(context, "api", None)
    assert context.secrets.redactor.text("my-own-token another-one") == "*** ***"
