"""The one tree of errors.

OpsError (1)
├── DependencyError (2)      a tool, service or package is missing
├── ConfigurationError (3)   a setting or an argument is wrong
├── ConnectionFailed (4)     a service does not answer
├── NotPermitted (5)         the level, the policy or the system forbids it
│   └── EffectRefused        a dry run, or a read task, was about to change something
├── StepFailed (1)           a step did not reach its result
│   ├── TimeLimitReached     its time limit was used up
│   └── Unsettled            an irreversible step stopped halfway: the evidence stays
├── Busy (1)                 somebody else holds the lock
│   └── TakenOver            another process took the lock or the run away from this one
└── Interrupted (130, 143)   a signal stopped the run

Each says what failed, why, and what to run next. It imports nothing of `ops` but the exit codes.
"""

from __future__ import annotations

from ops.kernel import exits


class OpsError(Exception):
    """Something failed in a way that a person can act on.

    Args:
        what: What failed and where, one line.
        why: The reason, when it is known.
        hint: What to run or change next, in a form that can be pasted.
    """

    exit_code: int = exits.GENERAL

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}: {self.why}" if self.why else self.what


class DependencyError(OpsError):
    """A tool, a service or a package is missing."""

    exit_code = exits.DEPENDENCY


class ConfigurationError(OpsError):
    """A setting or an argument is wrong."""

    exit_code = exits.CONFIGURATION


class ConnectionFailed(OpsError):
    """A service does not answer."""

    exit_code = exits.CONNECTION


class NotPermitted(OpsError):
    """The level of the environment, the policy or the system forbids it."""

    exit_code = exits.PERMISSION


class EffectRefused(NotPermitted):
    """A dry run or a read task was about to change something: a defect of the task."""


class StepFailed(OpsError):
    """A step did not reach its result."""


class TimeLimitReached(StepFailed):
    """The time limit of a step or of a task was used up."""


class Unsettled(StepFailed):
    """An irreversible step stopped halfway: nothing may be undone around it, the evidence stays."""


class Busy(OpsError):
    """Another run holds the environment's lock."""


class TakenOver(Busy):
    """Another process took the lock or the run away: from now on nothing of the target is ours to touch."""


class Interrupted(OpsError):
    """A signal stopped the run.

    Args:
        signal_number: Number of the signal; the exit code is 128 + this number.
    """

    def __init__(self, what: str, *, signal_number: int, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.exit_code = 128 + signal_number
