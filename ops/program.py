"""`invops`: the tasks for repositories that have no tasks.py, and what `./inv` hands over to."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import Any, NoReturn

from invoke.collection import Collection
from invoke.config import Config
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from ops import __version__, tasks
from ops.kernel import exits


class OpsConfig(Config):
    """Configuration of Invoke that no file and no INVOKE_ variable changes: ops.toml is ours."""

    prefix = "invops"

    @staticmethod
    def global_defaults() -> dict[str, Any]:
        """Return Invoke's defaults with our executor."""
        defaults = Config.global_defaults()
        defaults["tasks"]["executor_class"] = "ops.kernel.executor.Executor"
        return defaults

    def _load_file(self, prefix: str, absolute: bool = False, merge: bool = True) -> None:
        """Read none of Invoke's files: one of them could replace the executor, a broken one is a traceback."""


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
        form = self.args["list-format"].value
        if form not in ("flat", "nested", "json"):
            self._refuse(
                f"-F {form} is none of flat, nested and json", f"{self.binary} --list -F json"
            )
        self._translated(super().parse_cleanup)

    def update_config(self, merge: bool = True) -> None:
        """Apply core arguments; -f names a file that would be ignored, so it is refused."""
        if self.args.config.value:
            self._refuse(
                "-f names a configuration file of Invoke, which is not read",
                f"{self.binary} config.show",
            )
        super().update_config(merge)

    def _translated(self, parse: Any, *arguments: Any) -> None:
        try:
            parse(*arguments)
        except (
            ParseError,
            ValueError,
        ) as error:  # ValueError: a number of Invoke's own that is none
            hint = f"{self.binary} --list, {self.binary} --help TASK"
            if "-e" in self.argv[1:]:
                hint = "-e is Invoke's echo flag; the environment is --env NAME"
            self._refuse(str(error), hint)

    def _refuse(self, what: str, hint: str) -> NoReturn:
        from ops.kernel import executor
        from ops.kernel.errors import ConfigurationError
        from ops.kernel.invocation import Options

        words = " ".join(self.argv[1:]).replace("=", " ")  # they could not be parsed
        options = Options.for_errors({"format": "json" if "--format json" in words else ""})
        raise Exit(
            code=executor.show_error(ConfigurationError(what, hint=hint), options, sys.stdout)
        )


def make(namespace: Collection, name: str) -> OpsProgram:
    """Return the program for a collection.

    Args:
        namespace: Its tasks.
        name: What messages call it.
    """
    return OpsProgram(
        version=__version__, namespace=namespace, config_class=OpsConfig, name=name, binary=name
    )


def main() -> NoReturn:
    """Entry point of the console script."""
    # Loading makes many objects that all stay: looking through them again and again takes a tenth of a short command.
    gc.set_threshold(50_000)
    leave(run())


def run() -> int:
    """Run what the command line says; return the exit code."""
    name = "inv" if sys.argv[0].endswith("program.py") else "invops"
    try:
        make(tasks.collection(), name).run([name, *sys.argv[1:]])
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return exits.GENERAL
        return int(end.code or exits.OK)
    except BrokenPipeError:
        return exits.GENERAL
    return exits.OK


def leave(code: int) -> NoReturn:
    """End the process without taking its modules apart: that takes as long as many a command itself.

    What was registered for the end is done. Source: `mypy.util.hard_exit`, which is there for the same reason.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # whoever read it is gone
            code = code or exits.GENERAL
    os._exit(code)


if __name__ == "__main__":
    main()
