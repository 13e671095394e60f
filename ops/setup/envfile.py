"""The step that writes `.env.local`: names are appended, nothing that is there changes."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from ops.deploy import build
from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.plan import Step
from ops.kernel.steps import Done, step
from ops.setup import dotenv, variables, workspace

MODE = 0o600


def steps(context: Context) -> list[Step]:
    """Return the step when a name is missing, or others may read the file."""
    path = workspace.env_file(context.settings)
    names = variables.missing(context)
    if not names and _is_private(path):
        return []
    content = _content(path)
    before = build.digest(content) if content is not None else ""
    shown = ", ".join(names) or "readable by you alone"
    return [write.step(names=names, shown=shown, length=len(content or b""), before=before)]


def _is_written(
    context: Context, names: list[str], shown: str, length: int, before: str
) -> Done | None:
    done = not variables.missing(context) and _is_private(workspace.env_file(context.settings))
    return Done("has every name") if done else None


def _restore(
    context: Context, result: object, names: list[str], shown: str, length: int, before: str
) -> None:
    path = workspace.env_file(context.settings)
    content = _content(path)
    if content is None or (before and build.digest(content[:length]) != before):
        return
    if before:
        _write(path, content[:length])
    else:
        files.remove(path)


@step(title="Write .env.local: {shown}", limit=30, check=_is_written, undo=_restore)
def write(context: Context, names: list[str], shown: str, length: int, before: str) -> None:
    """Append the missing names with their values.

    Args:
        context: Surroundings.
        names: What is missing.
        shown: The same for a person.
        length: Bytes of the file before; the undo cuts what was appended.
        before: Hash of these bytes, empty when there was no file.
    """
    path = workspace.env_file(context.settings)
    content = _content(path) or b""
    head = b"" if content else f"# {variables.HEADER}\n".encode()
    missing = [name for name in names if name in variables.missing(context)]
    _write(path, content + head + dotenv.appended(content, variables.lines(context, missing)))
    for each in missing:
        context.note(f"added {each}")


def _write(path: Path, content: bytes) -> None:
    owner = None
    if os.geteuid() == 0:
        # Root in somebody else's working tree: the file stays theirs.
        status = (path if path.exists() else path.parent).stat()
        owner = files.Owner(status.st_uid, status.st_gid)
    files.write(path, content, mode=MODE, owner=owner)


def _content(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def _is_private(path: Path) -> bool:
    """Say whether nobody else may read the file; one that does not exist tells nobody anything."""
    with contextlib.suppress(FileNotFoundError):
        return not stat.S_IMODE(path.stat().st_mode) & 0o077
    return True
