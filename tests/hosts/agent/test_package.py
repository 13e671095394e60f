"""The agent runs on hosts: standard library only, Python 3.9."""

from __future__ import annotations

import ast
import importlib.util
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ops.hosts import agent_file
from ops.hosts.agent import __main__ as command
from ops.hosts.agent.errors import Refused
from tests.architecture.sources import module

FILES = sorted(Path(command.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_module_is_one_for_python_3_9(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_module_does_not_use_newer_syntax_in_what_is_evaluated(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert path.name == "__init__.py" or "from __future__ import annotations" in source
    matched = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Match)]
    assert not matched


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_module_imports_only_the_standard_library_and_the_agent(path: Path) -> None:
    own = f"{agent_file.PACKAGE}."
    name = own + path.stem
    for imported, line in module(name, path, path.read_text(encoding="utf-8")).imports():
        known = imported.split(".")[0] in sys.stdlib_module_names
        assert known or f"{imported}.".startswith(own), f"line {line} imports {imported}"


def test_older_python_is_told_what_it_lacks() -> None:
    older = "import sys; sys.version_info = (3, 8, 0)\n"
    result = subprocess.run(
        [sys.executable, "-I", "-c", older + agent_file.START, "0"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Python 3.9 or newer is needed, this is 3.8\n"


def test_archive_has_every_module_and_nothing_of_the_packages_above() -> None:
    with zipfile.ZipFile(io.BytesIO(agent_file.content())) as archive:
        names = set(archive.namelist())
        above = [archive.read(f"{name}/__init__.py") for name in ("ops", "ops/hosts")]
    folder = agent_file.PACKAGE.replace(".", "/")
    modules = {f"{folder}/{path.name}" for path in FILES}
    compiled = {f"{name}c" for name in modules}
    assert names - compiled == {"__main__.py", "ops/__init__.py", "ops/hosts/__init__.py", *modules}
    assert names > compiled
    assert above == [b"", b""]


@pytest.mark.parametrize(
    ("magic", "compiled_by"), [(importlib.util.MAGIC_NUMBER, "us"), (b"else", "the host")]
)
def test_only_a_host_with_another_python_compiles_the_sources(
    magic: bytes, compiled_by: str, tmp_path: Path
) -> None:
    changed = tmp_path / "agent.zip"
    with (
        zipfile.ZipFile(io.BytesIO(agent_file.content())) as whole,
        zipfile.ZipFile(changed, "w") as archive,
    ):
        for name in whole.namelist():
            data = whole.read(name)
            archive.writestr(name, magic + data[4:] if name.endswith(".pyc") else data)
    program = (
        f"import sys; sys.path.insert(0, {str(changed)!r})\n"
        f"from {agent_file.PACKAGE} import errors; print(errors.Refused.answer.__code__.co_filename)"
    )
    told = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    by_host = told.stdout.startswith(str(changed))
    assert by_host == (compiled_by == "the host"), told.stdout


def test_archive_of_sources_is_the_same_each_time() -> None:
    first = agent_file.content(compiled=False)
    agent_file.content.cache_clear()
    assert agent_file.content(compiled=False) == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert not [name for name in archive.namelist() if name.endswith("c")]


@pytest.mark.parametrize("name", command.VERBS)
def test_verb_leads_to_a_function(name: str) -> None:
    found = command.find(name)
    assert found.__doc__
    assert found.__module__.startswith(agent_file.PACKAGE)


def test_verbs_are_in_order() -> None:
    assert list(command.VERBS) == sorted(command.VERBS)


def test_unknown_verb_is_refused() -> None:
    with pytest.raises(Refused, match="no verb 'nonsense'"):
        command.find("nonsense")
