"""What a database says went wrong, as errors of the tree."""

from __future__ import annotations

import sqlalchemy as sa

from ops.kernel.errors import ConfigurationError, ConnectionFailed, NotPermitted, OpsError

# SQLite: names of the result codes (source: sqlite.org/rescode.html), by their beginning.
_SQLITE: list[tuple[tuple[str, ...], type[OpsError], str]] = [
    (
        ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM"),
        NotPermitted,
        "check the owner: ls -la {place}*",
    ),
    (("SQLITE_CONSTRAINT_TRIGGER",), NotPermitted, ""),
    (
        ("SQLITE_BUSY", "SQLITE_LOCKED"),
        ConnectionFailed,
        "another process writes for long; try again",
    ),
    (("SQLITE_FULL", "SQLITE_IOERR"), OpsError, "check free space: df -h {place}"),
    (
        ("SQLITE_NOTADB", "SQLITE_CORRUPT"),
        OpsError,
        "the file is damaged: move {place}* away and keep it",
    ),
]
# PostgreSQL: SQLSTATE, by its beginning (source: PostgreSQL manual, appendix A).
_POSTGRESQL: list[tuple[tuple[str, ...], type[OpsError], str]] = [
    (
        ("28", "42501"),
        NotPermitted,
        "check role and password in OPS_STATE_URL, or migrate with OPS_STATE_ADMIN_URL",
    ),
    (("3D000",), ConfigurationError, "create the database, or correct OPS_STATE_URL"),
    (("25006",), NotPermitted, "the server, or this task, only reads"),
    (("55P03", "57014"), ConnectionFailed, "another process writes for long; try again"),
    (("08", "57P", "53300"), ConnectionFailed, "check that the server runs and OPS_STATE_URL"),
    (("53",), OpsError, "check free space and memory of the database server"),
]
# libpq's own errors have no SQLSTATE; these are texts of a server that speaks English.
_REFUSED = (
    "authentication failed",
    "no pg_hba.conf entry",
    "permission denied",
    "role ",
    "no password supplied",
)


def of(error: sa.exc.SQLAlchemyError, place: str) -> OpsError:
    """Return the error to raise.

    Args:
        error: What SQLAlchemy raised.
        place: The database without credentials: a file, or host and name.
    """
    if not isinstance(error, sa.exc.DBAPIError) or error.orig is None:
        return OpsError(f"state database {place} failed", why=str(error).splitlines()[0])
    original = error.orig
    why = (str(original).strip().splitlines() or [type(original).__name__])[0]
    code = getattr(original, "sqlite_errorname", None)
    if code is not None:
        return _first(_SQLITE, code, place, why)
    code = getattr(original, "sqlstate", None)
    if code is not None:
        return _first(_POSTGRESQL, code, place, why)
    if error.connection_invalidated or isinstance(error, sa.exc.OperationalError):
        return _not_connected(place, why)
    return OpsError(f"state database {place} failed", why=why)


def _first(
    known: list[tuple[tuple[str, ...], type[OpsError], str]], code: str, place: str, why: str
) -> OpsError:
    for beginnings, kind, hint in known:
        if code.startswith(beginnings):
            return kind(_what(kind, place), why=why, hint=hint.format(place=place))
    return OpsError(f"state database {place} failed", why=f"{why} ({code})")


def _not_connected(place: str, why: str) -> OpsError:
    if "does not exist" in why and "database" in why:
        return _first(_POSTGRESQL, "3D000", place, why)
    code = "28000" if any(text in why for text in _REFUSED) else "08000"
    return _first(_POSTGRESQL, code, place, why)


def _what(kind: type[OpsError], place: str) -> str:
    if kind is NotPermitted:
        return f"state database {place} refuses"
    if kind is ConnectionFailed:
        return f"state database {place} does not answer"
    return f"state database {place} failed"
