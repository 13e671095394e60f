"""Make docs/commands.md from the tasks themselves: `python -m tests.docs.commands > docs/commands.md`."""

from __future__ import annotations

import inspect

from ops.kernel.task import CHANGING, SHARED, OpsTask
from ops.tasks import collection

HEAD = """# Commands

<!-- Written by tests/docs/commands.py; a test says how when it is not current. -->

`./inv TASK`, in an activated environment `inv TASK`, in other repositories `invops TASK`. Names, flags and their help:
`inv --list`, `inv --help TASK`. Completion: `inv --print-completion-script bash` (also zsh, fish).

## Every task
"""


def text() -> str:
    """Return the page."""
    shared = "\n".join(f"- `{_flag(name, value)}` {help}" for name, (value, help) in SHARED.items())
    changing = "\n".join(
        f"- `{_flag(name, value)}` {help}" for name, (value, help) in CHANGING.items()
    )
    tasks = collection()
    names = sorted(tasks.task_names, key=lambda name: ("." in name, name))
    pages = "\n".join(_task(name, tasks[name]) for name in names)
    return (
        f"{HEAD}{shared}\n\nThose that change something also have:\n{changing}\n\n## Tasks\n{pages}"
    )


def _task(name: str, task: OpsTask) -> str:
    summary, _, rest = inspect.cleandoc(task.__doc__ or "").partition("\n")
    own = [
        each
        for each in task.argspec(task.body).parameters.values()
        if each.name not in {**SHARED, **CHANGING}
    ]
    lines = [
        f"### `{name}`",
        f"{summary} ({task.level.name.lower()})",
        *([rest.strip()] if rest.strip() else []),
    ]
    arguments = [f"- `{_argument(task, each)}` {task.help[each.name]}" for each in own]
    return "\n".join([*lines, *(["", *arguments] if arguments else []), ""])


def _argument(task: OpsTask, parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return parameter.name.upper()
    return _flag(parameter.name, parameter.default if parameter.name not in task.iterable else "")


def _flag(name: str, default: object) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if isinstance(default, bool) else f"{flag} {name.replace('_', '-').upper()}"


if __name__ == "__main__":
    print(text(), end="")
