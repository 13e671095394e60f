"""The agent as one file: a zip archive that any Python runs, the same bytes each time.

It is never installed: a call sends it along and the host runs it from memory. So every host has the deployer's own
version, a dry run leaves nothing behind, and nothing has to be cleaned up.
"""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib import resources
from typing import Final

PACKAGE: Final = "ops.hosts.agent"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_MAIN: Final = f"import sys\nfrom {PACKAGE}.__main__ import main\nmain(sys.argv[1])\n"

START: Final = """\
import os, sys
if sys.version_info < (3, 9):
    sys.exit("Python 3.9 or newer is needed, this is %d.%d" % sys.version_info[:2])
left, file = int(sys.argv[1]), os.memfd_create("agent", 0)
while left:
    data = os.read(0, min(left, 65536))
    left -= len(data) or sys.exit("the agent did not arrive whole")
    os.write(file, data)
sys.path.insert(0, "/proc/self/fd/%d" % file)
from ops.hosts.agent.__main__ import main
main(sys.argv[2])
"""
"""Program that takes the archive from standard input, then the verb's arguments: `python3 -I -c START SIZE VERB`."""


def command(python: str, verb: str) -> list[str]:
    """Return the command that runs a verb; its standard input is `content()` and what the verb reads.

    Args:
        python: Interpreter on the host, 3.9 or newer.
        verb: Name of the verb.
    """
    return [python, "-I", "-c", START, str(len(content())), verb]


@cache
def content() -> bytes:
    """Return the archive."""
    files = {"__main__.py": _MAIN.encode()}
    # The packages above have nothing that a host needs.
    files |= {f"{name}/__init__.py": b"" for name in ("ops", "ops/hosts")}
    for source in resources.files(PACKAGE).iterdir():
        if source.name.endswith(".py"):
            files[f"{PACKAGE.replace('.', '/')}/{source.name}"] = source.read_bytes()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), files[name], zipfile.ZIP_DEFLATED)
    return written.getvalue()
