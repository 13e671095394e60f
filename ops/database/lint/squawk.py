"""Findings of squawk (Apache-2.0 or MIT): the program in the wheel of this interpreter."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ops.database.lint.model import Finding, Script, Severity
from ops.hosts import runner
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import DependencyError, StepFailed

# Statements that block an application, fail on rows that are there, or cannot run at all.
_ERRORS: Final = {
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "adding-not-nullable-field",
    "adding-required-field",
    "adding-serial-primary-key-field",
    "ban-concurrent-index-creation-in-transaction",
    "ban-drop-database",
    "ban-uncommitted-transaction",
    "changing-column-type",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
    "require-concurrent-partition-detach",
    "require-concurrent-reindex",
    "syntax-error",
}
# The runner sets the timeouts and runs a file once; TRUNCATE, drops and renames are rules of our own.
_OURS: Final = {
    "ban-drop-column",
    "ban-drop-schema",
    "ban-drop-table",
    "ban-truncate-cascade",
    "prefer-robust-stmts",
    "renaming-column",
    "renaming-table",
    "require-lock-timeout",
    "require-statement-timeout",
    "require-timeout-settings",
}
_HINTS: Final = {
    "changing-column-type": "add a column, fill it in batches, switch in the next release, drop the old one later",
    "ban-drop-constraint": "make sure that no query relies on it",
    "syntax-error": "psql --file shows where; commands of psql such as \\copy are no SQL",
}


def findings(context: Context, scripts: Sequence[Script], server_major: int) -> list[Finding]:
    """Run squawk over the scripts; `-- squawk-ignore` and the project's .squawk.toml count.

    Raises:
        DependencyError: It is not installed.
        StepFailed: It answered something else than findings.
    """
    found: list[Finding] = []
    with files.scratch("invops-lint-") as folder:
        paths = {str(folder / f"{n}.sql"): script for n, script in enumerate(scripts)}
        for path, script in paths.items():
            files.write(Path(path), script.text)
        for wrapped in (True, False):
            chosen = [path for path, each in paths.items() if each.in_transaction is wrapped]
            if chosen:
                flags = [f"--pg-version={server_major}"] if server_major else []
                flags += ["--assume-in-transaction"] if wrapped else []
                rows = _run(context, [*flags, *chosen])
                found += [_finding(paths[row["file"]], row) for row in rows]
    return [each for each in found if each.rule not in _OURS]


def _run(context: Context, arguments: Sequence[str]) -> list[dict[str, Any]]:
    argv = [str(_program()), "--reporter=json", *arguments]
    ran = runner.run(context, argv, reads=True, cwd=context.settings.folder, check=False)
    try:
        return list(json.loads(ran.stdout))
    except ValueError as error:
        why = ran.stderr.partition("Stack backtrace")[0].strip() or runner.outcome(ran.code)
        raise StepFailed("squawk gave no answer", why=why) from error


def _program() -> Path:
    """Return the program beside this interpreter, where its wheel puts it, else that of PATH."""
    beside = Path(sys.executable).parent / "squawk"
    found = str(beside) if beside.is_file() else shutil.which("squawk")
    if not found:
        hint = f"{sys.executable} -m pip install squawk-cli"
        raise DependencyError("squawk is not installed", why="it looks for unsafe SQL", hint=hint)
    return Path(found)


def _finding(script: Script, row: dict[str, Any]) -> Finding:
    rule = str(row["rule_name"])
    severity: Severity = "error" if rule in _ERRORS else "warning"
    hint = row["help"] or _HINTS.get(rule, "")
    return Finding(script.path, row["line"] + 1, rule, severity, row["message"], hint)
