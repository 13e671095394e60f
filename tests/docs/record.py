"""Make docs/deploy.svg from a real run: `python -m tests.docs.record COMMAND...`."""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import shlex
import sys
from pathlib import Path

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.text import Text

WIDTH, HEIGHT = 96, 60
OUT = Path(__file__).parents[2] / "docs" / "deploy.svg"


def run(argv: list[str]) -> bytes:
    """Run a command on a terminal of its own and return all that it wrote there."""
    written: list[bytes] = []

    def read(handle: int) -> bytes:
        data = os.read(handle, 65536)
        written.append(data)
        return data

    os.environ |= {"COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
    pty.spawn(argv, read)
    return b"".join(written)


def screen_lines(data: bytes) -> list[Text]:
    """Return what stands on the screen in the end, with its colours."""
    screen = pyte.Screen(WIDTH, HEIGHT)
    pyte.ByteStream(screen).feed(data.replace(b"\n", b"\r\n"))
    lines = []
    for row in range(HEIGHT):
        line = Text()
        cells = [screen.buffer[row][column] for column in range(WIDTH)]
        for (colour, bold), run_of in itertools.groupby(cells, lambda cell: (cell.fg, cell.bold)):
            named = None if colour == "default" else colour.replace("brown", "yellow")
            line.append("".join(cell.data for cell in run_of), Style(color=named, bold=bold))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def main() -> None:
    """Record the command given."""
    argv = sys.argv[1:]
    lines = [Text(f"$ {shlex.join(argv)}", style="bold"), *screen_lines(run(argv))]
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in lines:
        console.print(line, soft_wrap=True)
    # Without the web font of the template: the picture needs nothing from elsewhere.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
        "Fira Code, ", ""
    )
    console.save_svg(str(OUT), title="invops", code_format=template)


if __name__ == "__main__":
    main()
