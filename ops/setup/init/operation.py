"""`invops init`: the plan with its one step, and what the task says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ops.kernel import files
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Plan
from ops.kernel.report import Report, Table
from ops.kernel.settings import document
from ops.kernel.steps import Done, step
from ops.setup.init import proposal
from ops.setup.init.proposal import Proposal


def look(folder: Path) -> Proposal:
    """Look at a repository.

    Raises:
        ConfigurationError: It has an ops.toml, in this folder or above it in the same repository.
    """
    existing = _existing(folder)
    if existing is not None:
        raise ConfigurationError(
            f"{document.shown(existing)} is there already, nothing was changed",
            hint="look at it with config.check, or move it away",
        )
    return proposal.make(folder)


def plan(context: Context, made: Proposal) -> Plan:
    """Plan to write the proposal."""
    file = made.folder / document.FILE
    return Plan(
        operation="init",
        environment=context.settings.name,
        target=str(made.folder),
        steps=(write.step(file=str(file), content=made.content),),
        seen={"exists": file.exists()},
    )


def announce(report: Report, made: Proposal) -> Report:
    """Add what was found and what is left to decide to the report of the run."""
    tables = [
        Table(
            ("found", "where", "becomes"), [(e.found, e.where, e.becomes) for e in made.findings]
        ),
        Table(("could not be read", "why"), [(each.place, each.why) for each in made.unread]),
        Table(
            ("#", "left to decide"), [(str(at), each) for at, each in enumerate(made.decisions, 1)]
        ),
    ]
    dry = report.status == "dry-run"
    left = f"; {len(made.decisions)} left to decide" if made.decisions else ""
    services = ", ".join(made.services) or "no services"
    return dataclasses.replace(
        report,
        summary=report.summary if dry else f"wrote {document.FILE}: {services}{left}",
        tables=[each for each in tables if each.rows],
        body=made.content if dry else "",
        hints=report.hints if dry else _hints(made.folder),
        data={
            **report.data,
            "file": str(made.folder / document.FILE),
            "content": made.content,
            "found": [dataclasses.asdict(each) for each in made.findings],
            "unread": [dataclasses.asdict(each) for each in made.unread],
            "decide": list(made.decisions),
        },
    )


def _there(_: Context, file: str, content: str) -> Done | None:
    path = Path(file)
    return Done("written already") if path.is_file() and path.read_text() == content else None


def _take_away(_: Context, __: object, file: str, content: str) -> None:
    """Remove our own text only."""
    if _there(_, file, content):
        files.remove(Path(file))


@step(title="Write {file}", limit=30, check=_there, undo=_take_away)
def write(_: Context, file: str, content: str) -> None:
    """Write the file.

    Raises:
        ConfigurationError: Another one is there now.
    """
    if Path(file).exists():
        raise ConfigurationError(f"{file} is there now, it is not overwritten")
    files.write(Path(file), content, mode=0o644)


def _existing(folder: Path) -> Path | None:
    """Return the ops.toml of this folder, or of one above it up to the top of the git repository."""
    around = [folder, *folder.parents]
    top = next((at for at, each in enumerate(around) if (each / ".git").exists()), 0)
    found = (each / document.FILE for each in around[: top + 1])
    return next((each for each in found if each.exists() or each.is_symlink()), None)


def _hints(folder: Path) -> tuple[str, ...]:
    ignored = folder / ".gitignore"
    hints = [f"look through {document.FILE}, then: invops setup.check"]
    try:
        lines = ignored.read_text(errors="replace").split() if ignored.is_file() else []
    except OSError:
        lines = []
    if not {".ops", ".ops/", "/.ops", "/.ops/"} & set(lines):
        hints.append("keep state and logs out of git: echo .ops/ >> .gitignore")
    return tuple(hints)
