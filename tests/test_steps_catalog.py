"""A process that resumes the run of another one finds every step in the registry."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from ops import steps_catalog
from tests.architecture.sources import ROOT, Module, modules


def steps_of(module: Module) -> list[str]:
    """Return the names of a module's steps, as they stand in the source."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef):
            names = [
                ast.unparse(each.func if isinstance(each, ast.Call) else each)
                for each in node.decorator_list
            ]
            found += (
                [f"{module.name}.{node.name}".removeprefix("ops.")]
                if {"step", "steps.step"} & set(names)
                else []
            )
    return found


EVERY = {module.name: steps_of(module) for module in modules() if steps_of(module)}


def test_every_step_is_registered_once_the_catalog_is_loaded() -> None:
    code = (
        "import json\nfrom ops import steps_catalog\nfrom ops.kernel import steps\n"
        "steps_catalog.load()\nprint(json.dumps(sorted(steps._registry)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == sorted(name for names in EVERY.values() for name in names)


def test_the_catalog_names_each_module_with_steps_and_no_other() -> None:
    assert list(steps_catalog.MODULES) == sorted(EVERY)


@pytest.mark.parametrize("module", sorted(EVERY))
def test_a_step_stands_at_the_top_of_its_module(module: str) -> None:
    tree = next(each.tree for each in modules() if each.name == module)
    at_top = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert {name.rpartition(".")[2] for name in EVERY[module]} <= at_top
