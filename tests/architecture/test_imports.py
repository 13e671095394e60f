"""Imports point down, and what `inv --list` needs is light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT, Module, modules

# Highest first. An import may point to a lower layer, or to a neighbour if no circle comes of it.
LAYERS = (
    {"program"},
    {"tasks"},
    {"steps_catalog"},
    {"configuration", "deploy", "services", "setup", "testing"},
    {"backup"},
    {"database"},
    {"hosts"},
    {"kernel"},
    {"bootstrap"},
)
HEIGHT = {name: -number for number, layer in enumerate(LAYERS) for name in layer}
HEAVY = {
    *(
        "alembic",
        "boto3",
        "fabric",
        "httpx",
        "paramiko",
        "psutil",
        "psycopg",
        "pydantic",
        "rich",
        "sqlalchemy",
        "supervisor",
    ),
    "tenacity",
}


def domain(name: str) -> str:
    """Return the part of the product that a module belongs to."""
    return [*name.split("."), ""][1]


def domains_imported(module: Module) -> list[tuple[str, int]]:
    found = [(domain(name), line) for name, line in module.imports() if name.split(".")[0] == "ops"]
    return [(name, line) for name, line in found if name in HEIGHT and name != domain(module.name)]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_imports_point_down(module: Module) -> None:
    if module.name == "ops":
        assert not list(domains_imported(module)), "the package itself imports nothing"
        return
    assert domain(module.name) in HEIGHT, f"{module.name} has no layer: give it one in LAYERS"
    own = HEIGHT[domain(module.name)]
    up = [f"{name} in line {line}" for name, line in domains_imported(module) if HEIGHT[name] > own]
    assert not up, f"{module.name} imports a higher layer: {', '.join(up)}"


def test_neighbours_do_not_import_each_other_in_a_circle() -> None:
    edges = {(domain(each.name), name) for each in modules() for name, _ in domains_imported(each)}
    circles = sorted((a, b) for a, b in edges if (b, a) in edges and a < b)
    assert not circles


def test_launch_path_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "import ops.program\n"
        "from ops import tasks\n"
        "tasks.collection()\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
