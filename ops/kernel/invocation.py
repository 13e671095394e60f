"""What the body of a task is given: its options, and everything else made on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TextIO

from ops.kernel.errors import ConfigurationError
from ops.kernel.guard import Mode
from ops.kernel.settings import environ
from ops.kernel.task import KIND_LIMITS, READ, Level, OpsTask

if TYPE_CHECKING:
    from ops.kernel.context import Context
    from ops.kernel.operate import LockOf
    from ops.kernel.plan import Plan
    from ops.kernel.report import Report
    from ops.kernel.settings.models import Settings
    from ops.kernel.store import State


@dataclass(frozen=True)
class Options:
    """The shared arguments of a task, read and checked once."""

    env: str = ""
    format: Literal["text", "json"] = "text"
    verbose: bool = False
    quiet: bool = False
    debug: bool = False
    dry_run: bool = False
    yes: bool = False
    confirm: str = ""
    wait: bool = False
    plan: str = ""
    hosts: tuple[str, ...] = ()

    @classmethod
    def for_errors(cls, arguments: Mapping[str, Any]) -> Options:
        """Read only how an error is shown; never fails."""
        form = arguments.get("format") or environ.get("OPS_FORMAT")
        return cls(format="json" if form == "json" else "text", debug=bool(arguments.get("debug")))

    @classmethod
    def of(cls, arguments: Mapping[str, Any], *, dry: bool, limited: bool = False) -> Options:
        """Read them from a task's arguments and from DRY_RUN and SAFE_MODE.

        Args:
            arguments: Of the task.
            dry: Whether Invoke's own `--dry` was given.
            limited: Whether the task has `--limit HOST`.

        Raises:
            ConfigurationError: A value that a person cannot have meant.
        """
        known = {name: arguments[name] for name in cls.__dataclass_fields__ if name in arguments}
        form = known.get("format") or environ.get("OPS_FORMAT") or "text"
        if form not in ("text", "json"):
            raise ConfigurationError(
                f"--format {form!r} is neither text nor json", hint="--format json"
            )
        dry_run = (
            bool(known.get("dry_run"))
            or dry
            or environ.flag("DRY_RUN")
            or environ.flag("SAFE_MODE")
        )
        hosts = tuple(arguments.get("limit") or ()) if limited else ()
        return cls(**{**known, "format": form, "dry_run": dry_run, "hosts": hosts})

    def mode(self, level: Level) -> Mode:
        """Return what may leave the process for a task of this level."""
        if level is READ:
            return Mode.READ
        return Mode.DRY_RUN if self.dry_run else Mode.CHANGE


class Invocation:
    """One call of a task.

    Args:
        name: The task's name on the command line, e.g. "runs.show".
        task: The task itself.
        options: Shared arguments.
        out: Where results go.
        words: What stands after `--` on the command line.
    """

    def __init__(
        self,
        name: str,
        task: OpsTask,
        options: Options,
        out: TextIO,
        words: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.task = task
        self.options = options
        self.out = out
        self.words = tuple(words)

    @property
    def format(self) -> str:
        """`text` or `json`."""
        return self.options.format

    @cached_property
    def settings(self) -> Settings:
        """The settings of the nearest ops.toml with the chosen environment and hosts."""
        from ops.kernel import settings
        from ops.kernel.settings import limit

        return limit.limited(settings.load(self.options.env), self.options.hosts)

    def state(self, create: bool = False) -> State | None:
        """Open the state database; None when nothing was ever recorded and `create` is false."""
        from ops.kernel import store

        return store.open_state(self.settings, create=create)

    def context(self) -> Context:
        """Return a context without a run, for tasks that only read."""
        from ops.kernel import actor
        from ops.kernel.context import Context
        from ops.kernel.deadline import Deadline
        from ops.kernel.secrets import Secrets

        limit = KIND_LIMITS.get(self.task.kind, 3600.0)
        return Context(
            self.settings, Secrets(self.settings.folder), Deadline(limit), actor=actor.current()
        )

    def operate(
        self, plan: Callable[..., Plan], lock: LockOf | None = None, **arguments: Any
    ) -> Report:
        """Run a changing operation: plan, show, confirm, lock, compare, journal, steps, report.

        Args:
            plan: Function `(context, **arguments) -> Plan`.
            lock: Function `(context) -> Lock`; None for an operation that needs none.
            arguments: Handed to `plan`.
        """
        from ops.kernel import operate

        return operate.operate(self, plan, lock, arguments)
