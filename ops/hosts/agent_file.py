"""The agent as one file: a zip archive that any Python runs.

It is never installed: who asks sends it along and the host runs it from memory. So every host has the deployer's own
version, a dry run leaves nothing behind, and nothing has to be cleaned up.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import zipfile
from functools import cache
from importlib import resources
from importlib.abc import InspectLoader
from typing import Final

PACKAGE: Final = "ops.hosts.agent"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_UNCHECKED: Final = b"\x01\x00\x00\x00" + bytes(8)
"""Says of compiled code that it fits its source, which lies beside it. Source: PEP 552."""
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
from ops.hosts.agent.serving import serve
serve()
"""
"""Program that takes the archive from standard input, then questions: `python3 -IS -c START SIZE`."""


def command(python: str) -> list[str]:
    """Return the command that runs the agent; its standard input is `content()` and then questions.

    Args:
        python: Interpreter on the host, 3.9 or newer.
    """
    return [python, "-IS", "-c", START, str(len(content()))]


@cache
def content(*, compiled: bool = True) -> bytes:
    """Return the archive.

    Args:
        compiled: With what the sources compile to here, for a host that has the same Python. Not for an archive that is
            compared with another: Python may write the same code in several ways.
    """
    files = {"__main__.py": _MAIN.encode()}
    # The packages above have nothing that a host needs.
    files |= {f"{name}/__init__.py": b"" for name in ("ops", "ops/hosts")}
    for source in resources.files(PACKAGE).iterdir():
        if source.name.endswith(".py"):
            path = f"{PACKAGE.replace('.', '/')}/{source.name}"
            files[path] = source.read_bytes()
            if compiled:
                files[f"{path}c"] = _compiled(source.name.removesuffix(".py"))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EARLIEST), files[name], zipfile.ZIP_DEFLATED)
    return written.getvalue()


def _compiled(module: str) -> bytes:
    """Return what Python would keep of a module; compiling them takes a host longer than most questions."""
    name = PACKAGE if module == "__init__" else f"{PACKAGE}.{module}"
    found = importlib.util.find_spec(name)
    assert found is not None and isinstance(found.loader, InspectLoader)  # it is a file of ours
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + marshal.dumps(found.loader.get_code(name))
