"""The one executor: hands arguments to pre-tasks, sets the guard, and is the only place of exit codes.

Enabled by `tasks.executor_class` in invoke.yaml and by the `invops` program. Source of the traps it closes:
research of Invoke's own executor, issues pyinvoke/invoke #261, #536, #612 and #980.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import shlex
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

from invoke.exceptions import Exit
from invoke.executor import Executor as InvokeExecutor
from invoke.tasks import Call

from ops.kernel import exits, guard, redact, report
from ops.kernel.errors import ConfigurationError, Interrupted, OpsError
from ops.kernel.invocation import Invocation, Options
from ops.kernel.task import READ, OpsTask

TOKEN: Final = object()


@dataclass(frozen=True)
class Node:
    """A task with its arguments, and what runs before and after it."""

    task: OpsTask
    name: str
    arguments: dict[str, Any]
    pre: list[Node] = field(default_factory=list)
    post: list[Node] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, str]:
        """Equal for the same task with the same arguments (not Invoke's comparison by byte code)."""
        return id(self.task), repr(sorted(self.arguments.items()))


class Executor(InvokeExecutor):
    """Run tasks the way DESIGN.md 1 promises."""

    def execute(self, *tasks: Any) -> dict[Any, Any]:
        """Run the tasks in order and end the process with the first failure's code."""
        for stream in (sys.stdout, sys.stderr):
            # An argument that is not UTF-8, or a terminal that is not: shown with backslashes, never a traceback.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        finished: dict[tuple[int, str], int] = {}
        calls = self.normalize(tasks)
        options = Options.for_errors(calls[0].kwargs if calls else {})
        try:
            self._refuse_core_traps(calls)
            for node in [self._node(call, call.kwargs) for call in calls]:
                code = self._run(node, finished)
                if code != exits.OK:
                    raise Exit(code=code)
        except (OpsError, KeyboardInterrupt) as error:
            raise Exit(code=show_error(error, options, sys.stdout)) from error
        return {}

    def _refuse_core_traps(self, calls: Sequence[Call]) -> None:
        assert self.core is not None  # Program always gives what it parsed
        if self.core[0].args.echo.value:
            raise ConfigurationError(
                "-e is Invoke's echo flag", hint=f"inv {_name(calls[0])} --env NAME"
            )
        if self.core.remainder and not _takes_words(calls):
            # Whoever writes `deploy -- --dry-run` must not get a deploy.
            raise ConfigurationError(
                f"nothing is known after --: {self.core.remainder}", hint="leave the -- out"
            )

    def _words(self) -> list[str]:
        """Return what stands after `--`: Invoke joins it, which loses where a word ends."""
        if self.core is None or not self.core.remainder:
            return []
        words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
        joined: str = self.core.remainder
        return words if " ".join(words) == joined else shlex.split(joined)

    def _core_dry(self) -> bool:
        # Invoke's own --dry stops only `c.run`: everything else would run for real. It counts as --dry-run.
        return bool(self.config.run.dry)

    def _node(
        self, call: Call, given: dict[str, Any], inherited: dict[str, Any] | None = None
    ) -> Node:
        task = call.task
        if not isinstance(task, OpsTask):
            raise ConfigurationError(
                f"{task.name} is a plain Invoke task", hint="declare it with ops.kernel.task.task"
            )
        parameters = task.argspec(task.body).parameters
        bound = {
            name: each.default
            for name, each in parameters.items()
            if each.default is not each.empty
        }
        # Explicit `call(task, env="x")` wins over what comes down; what comes down accumulates along the chain.
        bound.update({name: value for name, value in (inherited or {}).items() if name in bound})
        bound.update(given)
        down = {**(inherited or {}), **bound}
        children = [[self._child(each, down) for each in group] for group in (task.pre, task.post)]
        return Node(task, _name(call), bound, *children)

    def _child(self, each: Any, down: dict[str, Any]) -> Node:
        call = each if isinstance(each, Call) else Call(each)
        return self._node(call, dict(call.kwargs), down)

    def _run(self, node: Node, finished: dict[tuple[int, str], int]) -> int:
        if node.key in finished:
            return finished[node.key]
        code = self._run_before(node.pre, finished)
        if code == exits.OK:
            code = perform(node, self._core_dry(), sys.stdout, self._words())
        finished[node.key] = code
        for after in node.post:
            after_code = self._run(after, finished)
            code = code or after_code
        return code

    def _run_before(self, nodes: Sequence[Node], finished: dict[tuple[int, str], int]) -> int:
        """Run pre-tasks: independent read-level ones at the same time, anything else in order."""
        waiting = list({node.key: node for node in nodes if node.key not in finished}.values())
        simple = len(waiting) > 1 and all(
            each.task.level is READ and not each.pre and not each.post for each in waiting
        )
        if not simple:
            return _first_failure(self._run(node, finished) for node in nodes)
        outputs = [io.StringIO() for _ in waiting]
        with guard.scope(guard.Mode.READ), ThreadPoolExecutor(len(waiting)) as pool:
            jobs = [
                pool.submit(perform, node, self._core_dry(), out)
                for node, out in zip(waiting, outputs, strict=True)
            ]
            codes = [job.result() for job in jobs]
        for node, code, out in zip(waiting, codes, outputs, strict=True):
            finished[node.key] = code
            sys.stdout.write(out.getvalue())
        return _first_failure(codes)


def perform(node: Node, core_dry: bool, out: TextIO, words: Sequence[str] = ()) -> int:
    """Run one task's body under its guard; return the exit code, never raise.

    Args:
        node: The task and its arguments.
        core_dry: Whether Invoke's own `--dry` was given.
        out: Where results go.
        words: What stands after `--`.
    """
    options = Options.for_errors(node.arguments)
    try:
        options = Options.of(node.arguments, dry=core_dry, limited=node.task.limited)
        with guard.scope(options.mode(node.task.level)):
            invocation = Invocation(node.name, node.task, options, out, words)
            own = {k: v for k, v in node.arguments.items() if k not in node.task.shared}
            answer = node.task.perform(TOKEN, invocation, **own)
            code = _answer_code(node, answer, options, out)
            out.flush()
            return code
    except Exit as error:
        if error.message:
            print(error.message, file=sys.stderr)
        return int(error.code)
    except BrokenPipeError:
        return _unread(out)
    except (Exception, KeyboardInterrupt) as error:
        return show_error(error, options, out)


def _name(call: Call) -> str:
    """Return what a person types for a task: its namespace alone when it is the default there."""
    name: str = call.called_as or call.task.name
    return name.rpartition(".")[0] if call.task.is_default and "." in name else name


def _takes_words(calls: Sequence[Call]) -> bool:
    return len(calls) == 1 and bool(getattr(calls[0].task, "takes_words", False))


def _unread(out: TextIO) -> int:
    """The reader of our output is gone (`inv logs | head`): say nothing, and keep Python from saying it at its exit."""
    with contextlib.suppress(OSError):
        out.close()
    return exits.GENERAL


def _answer_code(node: Node, answer: Any, options: Options, out: TextIO) -> int:
    if isinstance(answer, report.Report):
        report.render(
            answer, options.format, None if answer.status == "error" else out, options.quiet
        )
        return answer.exit_code
    if inspect.iscoroutine(answer):
        answer.close()
    if answer is not None:
        raise ConfigurationError(
            f"task {node.name} returned {type(answer).__name__}, not a report",
            why="Invoke would call that a success",
            hint="return a Report, raise an OpsError, and do not use async def",
        )
    return exits.OK


def show_error(error: BaseException, options: Options, out: TextIO) -> int:
    """Print any exception as one clear message and return its exit code."""
    if options.debug:
        print(redact.CENTRAL.text("".join(traceback.format_exception(error))), file=sys.stderr)
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("interrupted", signal_number=signal.SIGINT)
    elif not isinstance(error, OpsError):
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        error = OpsError(
            "unexpected error",
            why=f"{type(error).__name__}: {text}",
            hint="run it again with --debug and report it",
        )
    assert isinstance(error, OpsError)
    report.render(report.of_error(error), options.format, out if options.format == "json" else None)
    return error.exit_code


def _first_failure(codes: Iterable[int]) -> int:
    for code in codes:
        if code != exits.OK:
            return code
    return exits.OK
