"""Declare a task: its level, its kind, its arguments and its pre-tasks.

`@task` adds the parameters that every task shares, so `--env` and `--dry-run` mean one thing everywhere.
The body is given an `Invocation` and returns a `Report` (or nothing). Light: `inv --list` imports it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, cast

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Call, Task

from ops.kernel import exits


class Level(IntEnum):
    """What a task may do; an environment can cap it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


READ, WRITE, ADMIN = Level.READ, Level.WRITE, Level.ADMIN

SHARED: Final[dict[str, tuple[object, str]]] = {
    "env": ("", "Environment, one of [environments.NAME] in ops.toml."),
    "format": ("", "Output: text or json (default: text)."),
    "verbose": (False, "Show log lines of every level."),
    "quiet": (False, "Show results and errors only."),
    "debug": (False, "Show the traceback of an unexpected error."),
}
CHANGING: Final[dict[str, tuple[object, str]]] = {
    "dry_run": (False, "Show the plan, change nothing, exit 10."),
    "yes": (False, "Do not ask; never enough for a protected environment."),
    "confirm": ("", "Name of the environment, in place of typing it."),
    "wait": (False, "Wait while another run holds the lock."),
    "plan": ("", "Run only if the plan has this digest (printed by the dry run)."),
}
LIMITED: Final[dict[str, tuple[object, str]]] = {
    "limit": (None, "Only this host; may be repeated (default: all)."),
}
"""Of tasks that are about the hosts of an environment."""
KIND_LIMITS: Final[dict[str, float]] = {
    # Seconds a task of this kind may take (seed 002, "Script Execution Times"; the others: DESIGN.md 7).
    "verification": 30,
    "migration": 300,
    "benchmark": 600,
    "security": 1800,
    "test": 3600,
}


def shared_parameters(level: Level) -> dict[str, tuple[object, str]]:
    """Return default and help of each parameter that tasks of this level share."""
    return SHARED if level is READ else {**SHARED, **CHANGING}


class OpsTask(Task[Callable[..., Any]]):
    """A task that runs under the executor of invops only.

    Attributes:
        level: What the task may do.
        kind: Decides log level and time limit.
        function: The function that was decorated.
        limited: Whether `--limit HOST` chooses hosts.
        takes_words: Whether what stands after `--` belongs to it.
    """

    level: Level
    kind: str
    limited: bool
    takes_words: bool
    function: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: only the executor's `perform` runs the body.

        Raises:
            Exit: Always, with the code for a wrong configuration.
        """
        raise Exit(
            f"{self.name} was not started by the executor of invops: invoke.yaml must say\n"
            "  tasks: {executor_class: ops.kernel.executor.Executor}\n"
            "and neither -f nor ~/.invoke.yaml may change it",
            code=exits.CONFIGURATION,
        )

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments; Invoke uses the texts of help up, here they stay for the next reader."""
        texts = dict(self.help)
        try:
            return super().get_arguments(ignore_unknown_help)
        finally:
            self.help = texts

    @property
    def shared(self) -> dict[str, tuple[object, str]]:
        """Default and help of each parameter that is not the function's own."""
        return {**shared_parameters(self.level), **(LIMITED if self.limited else {})}

    def perform(self, token: object, invocation: object, **arguments: Any) -> Any:
        """Run the body. `token` is the executor's proof of itself."""
        from ops.kernel import executor

        if token is not executor.TOKEN:
            self()
        return self.function(invocation, **arguments)


def task(
    *,
    level: Level,
    kind: str,
    name: str | None = None,
    pre: Sequence[OpsTask | Call] = (),
    post: Sequence[OpsTask | Call] = (),
    help: Mapping[str, str] | None = None,
    iterable: Sequence[str] = (),
    default: bool = False,
    limited: bool = False,
    takes_words: bool = False,
) -> Callable[[Callable[..., Any]], OpsTask]:
    """Make a task of a function `(invocation, *arguments) -> Report | None`.

    Args:
        level: READ, WRITE or ADMIN.
        kind: setup, deploy, migration, backup, verification, benchmark, security, test or aws.
        name: Name on the command line, when it is not the function's.
        pre: Read-level tasks that run before; they receive the shared arguments.
        post: Tasks that run after, also when the task failed.
        help: Text of each own parameter; those of shared parameters are added.
        iterable: Parameters that may be repeated.
        default: Whether it is the default task of its namespace.
        limited: Whether `--limit HOST` chooses among the hosts of its environment; the settings of its call say which.
        takes_words: Whether what stands after `--` belongs to it: `Invocation.words`.
    """

    def decorate(function: Callable[..., Any]) -> OpsTask:
        shared = {**shared_parameters(level), **(LIMITED if limited else {})}

        def body(context: Any, **arguments: Any) -> Any:
            raise AssertionError("the executor calls OpsTask.perform")

        body.__name__, body.__doc__, body.__module__ = (
            function.__name__,
            function.__doc__,
            function.__module__,
        )
        body.__signature__ = _signature(function, shared)  # type: ignore[attr-defined]
        texts = {**(help or {}), **{key: text for key, (_, text) in shared.items()}}
        made = OpsTask(
            body,
            name=name,
            pre=cast(
                "list[str]", list(pre)
            ),  # Invoke's own hint says str, its documentation says tasks
            post=cast("list[str]", list(post)),
            help=texts,
            iterable=[*iterable, *(LIMITED if limited else ())],
            default=default,
            auto_shortflags=False,
        )
        made.level, made.kind, made.function = level, kind, function
        made.limited, made.takes_words = limited, takes_words
        return made

    return decorate


def _signature(
    function: Callable[..., Any], shared: Mapping[str, tuple[object, str]]
) -> inspect.Signature:
    own = list(inspect.signature(function).parameters.values())
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    extra = [inspect.Parameter(key, kind, default=value) for key, (value, _) in shared.items()]
    return inspect.Signature(
        [*own, *(each for each in extra if each.name not in {p.name for p in own})]
    )
