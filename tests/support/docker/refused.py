"""What a deploy that is refused leaves: one line of words, and nothing else."""

from __future__ import annotations

from tests.support.docker.deployed import PROJECT, Small
from tests.support.docker.engine import docker
from tests.support.project import Ran


def left(app: Small) -> list[str]:
    """Return what a deploy made on the engine, and whether it left a document."""
    label = f"--filter=label={PROJECT}={app.project}"
    found = [
        line
        for kind in (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        for line in docker(*kind, "--quiet", label).split()
    ]
    return found + [str(path) for path in (app.base / "containers").glob("model.json")]


def check(app: Small, ran: Ran, code: int, *words: str) -> None:
    """Check that it was refused in one line, with these words, and that nothing was made."""
    assert ran.code == code, ran.text
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.text
    assert "Traceback" not in ran.text
    for word in words:
        assert word in ran.err, ran.text
    assert left(app) == []
