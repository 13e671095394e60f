"""Run tasks in this process as the command line does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from invoke.collection import Collection

from ops import program
from ops.kernel.task import OpsTask


@dataclass(frozen=True)
class Answer:
    """What a command answered.

    Args:
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


class Command:
    """A command line over some tasks.

    Args:
        capsys: Catches the output.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str, tasks: tuple[OpsTask, ...] | Collection) -> Answer:
        """Run one command line.

        Args:
            words: What stands behind `inv`.
            tasks: The tasks that there are.
        """
        namespace = tasks if isinstance(tasks, Collection) else Collection(*tasks)
        self._capsys.readouterr()
        code = 0
        try:
            program.make(namespace, "inv").run(["inv", *words])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = self._capsys.readouterr()
        return Answer(code, out, err)
