"""Exit codes, the same for every task (source: seed 002, "Exit Codes")."""

from __future__ import annotations

from typing import Final

OK: Final = 0
GENERAL: Final = 1
DEPENDENCY: Final = 2
CONFIGURATION: Final = 3
CONNECTION: Final = 4
PERMISSION: Final = 5
DRY_RUN: Final = 10
# A shell reports a process that a signal ended as 128 + the signal's number.
INTERRUPTED: Final = 130
TERMINATED: Final = 143

MEANINGS: Final = {
    OK: "success, or nothing to change",
    GENERAL: "a step failed, or a difference was found",
    DEPENDENCY: "a tool, service or package is missing",
    CONFIGURATION: "a setting or an argument is wrong",
    CONNECTION: "a service does not answer",
    PERMISSION: "not allowed",
    DRY_RUN: "dry run finished, nothing was changed",
    INTERRUPTED: "interrupted (Ctrl-C), undone",
    TERMINATED: "terminated (SIGTERM), undone",
}
