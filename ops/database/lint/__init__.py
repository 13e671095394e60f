"""Unsafe SQL named by file and line before it runs: squawk, rules of our own, and locks seen on a scratch server."""

from __future__ import annotations

from collections.abc import Sequence

from ops.database.lint import access, agreement, allowed, rules, squawk, supabase, tracing
from ops.database.lint.model import Finding, LockedTable, Script, Trace
from ops.kernel.context import Context

__all__ = ["Finding", "LockedTable", "Script", "Trace", "agreed", "findings", "inspect", "trace"]

agreed = agreement.agreed


def findings(
    context: Context,
    scripts: Sequence[Script],
    *,
    server_major: int,
    applied: Sequence[Script] = (),
) -> list[Finding]:
    """Look at migrations without running them; what an `-- invops: allow` comment silences is left out.

    Args:
        context: Gives deadline and log.
        scripts: The migrations to look at, in order.
        server_major: Version of the server they will run on, 0 for any.
        applied: Those before them: whether the schema uses row level security.

    Raises:
        DependencyError: squawk is not installed.
    """
    return inspect(context, scripts, server_major=server_major, applied=applied)[0]


def inspect(
    context: Context,
    scripts: Sequence[Script],
    *,
    server_major: int,
    applied: Sequence[Script] = (),
) -> tuple[list[Finding], list[Finding]]:
    """Do the work of `findings`; return those that stay and those that a comment silences."""
    schemas = access.secured_schemas([*applied, *scripts])
    if supabase.is_layout(context):
        schemas |= {"public"}  # served to everybody over HTTP
    found = squawk.findings(context, scripts, server_major)
    return allowed.apart(scripts, [*found, *rules.findings(scripts, schemas)])


def trace(
    context: Context, applied: Sequence[Script], pending: Sequence[Script], *, server_major: int
) -> Trace:
    """Replay the applied migrations on a scratch server, then run the pending ones and look at each statement's locks.

    Args:
        context: Gives deadline and log.
        applied: Migrations that the database has, in order.
        pending: Migrations to look at, in order.
        server_major: Version of the real server, 0 for any.

    Raises:
        DependencyError: No PostgreSQL of that version or above is on this machine.
    """
    return tracing.trace(context, applied, pending, server_major)
