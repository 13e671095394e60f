"""`invops`: the tasks for repositories that have no tasks.py, and what `./inv` hands over to."""

from __future__ import annotations

import sys
from typing import Any

from invoke.collection import Collection
from invoke.config import Config
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from ops import __version__, tasks
from ops.kernel import exits


class OpsConfig(Config):
    """Configuration that nobody's ~/.invoke.yaml and no INVOKE_ variable changes."""

    prefix = "invops"

    @staticmethod
    def global_defaults() -> dict[str, Any]:
        """Return Invoke's defaults with our executor."""
        defaults = Config.global_defaults()
        defaults["tasks"]["executor_class"] = "ops.kernel.executor.Executor"
        return defaults


class OpsProgram(Program):
    """Invoke's program with our collection and our exit codes for wrong arguments."""

    def parse_core(self, argv: list[str] | None) -> None:
        """Parse core arguments; a wrong one ends with exit 3."""
        self._translated(super().parse_core, argv)

    def parse_tasks(self) -> None:
        """Parse task arguments; a wrong one ends with exit 3."""
        self._translated(super().parse_tasks)

    def parse_cleanup(self) -> None:
        """Handle --help and --list; an unknown task ends with exit 3."""
        self._translated(super().parse_cleanup)

    def _translated(self, parse: Any, *arguments: Any) -> None:
        try:
            parse(*arguments)
        except ParseError as error:
            hint = f"see {self.binary} --list and {self.binary} --help TASK"
            if "-e" in self.argv[1:]:
                hint = "-e is Invoke's echo flag; the environment is --env NAME"
            raise Exit(f"error: {error}\n  try: {hint}", code=exits.CONFIGURATION) from error


def make(namespace: Collection, name: str) -> OpsProgram:
    """Return the program for a collection.

    Args:
        namespace: Its tasks.
        name: What messages call it.
    """
    return OpsProgram(version=__version__, namespace=namespace, config_class=OpsConfig, name=name, binary=name)


def main() -> None:
    """Entry point of the console script."""
    name = "inv" if sys.argv[0].endswith("program.py") else "invops"
    make(tasks.collection(), name).run([name, *sys.argv[1:]])


if __name__ == "__main__":
    main()
