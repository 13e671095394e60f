"""The programs of MySQL and MariaDB on this machine: found, told apart, their versions compared."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.hosts import runner

_FOLDERS: Final = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/mysql/bin")
# "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB", "mysqldump  Ver 8.0.40 for Linux": the first number of the
# former is that of the program's own.
_MARIADB: Final = re.compile(r"(\d+(?:\.\d+)+)-MariaDB", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Version:
    """What a server or a program is.

    Args:
        vendor: "MariaDB" or "MySQL".
        number: E.g. (10, 11, 19).
    """

    vendor: str
    number: tuple[int, ...]

    @property
    def major(self) -> tuple[int, ...]:
        """What compatibility goes by: 10.11, 8.0."""
        return self.number[:2]

    @property
    def title(self) -> str:
        """Its name for a person: "MariaDB 10.11"."""
        return f"{self.vendor} {'.'.join(map(str, self.major))}"

    def serves(self, other: Version) -> bool:
        """Say whether this can read what `other` wrote: the same vendor, at least its major version."""
        return self.vendor == other.vendor and self.major >= other.major


@dataclass(frozen=True)
class Program:
    """A program on this machine.

    Args:
        path: Its place.
        version: What it says of itself.
    """

    path: Path
    version: Version


def version(text: str) -> Version:
    """Read a version from what a server or a program says; number () when there is none."""
    found = _MARIADB.search(text)
    number = found[1] if found else (_NUMBER.search(text) or [""])[0]
    parts = tuple(int(each) for each in number.split(".") if each)
    return Version("MariaDB" if found else "MySQL", parts)


def programs(names: Sequence[str]) -> Iterator[Program]:
    """Yield all programs of these names, by name, then PATH before the system's folders."""
    for name in names:
        found = shutil.which(name)
        places = [Path(found)] if found else []
        for path in dict.fromkeys([*places, *(Path(folder) / name for folder in _FOLDERS)]):
            # An answer, not a permission: a broken link or a wrapper without its program gives none.
            if path.is_file() and (said := runner.probe([str(path), "--no-defaults", "--version"])):
                yield Program(path, version(said))
