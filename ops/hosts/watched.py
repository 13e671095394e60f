"""A server of our own for a moment: gone with its folder when the block ends, and also when this process is killed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.hosts import pipes
from ops.kernel.context import Context

if TYPE_CHECKING:
    from ops.hosts.account import Account

# Reads until its pipe closes, which the system does for a process that is killed. A signal ends the reading as well,
# so that the server never outlives the shell.
_WATCH: Final = """folder=$1; number=$2; shift 2
"$@" </dev/null & server=$!
trap : TERM INT
while read -r _; do :; done
kill "-$number" "$server" 2>/dev/null; wait "$server"; rm -rf "$folder"; exit 0"""


@contextlib.contextmanager
def running(
    context: Context, folder: Path, argv: Sequence[str], *, signal: str, account: Account | None
) -> Iterator[None]:
    """Run a server for a block.

    Args:
        context: Gives deadline and log.
        folder: Its data and socket; removed afterwards.
        argv: The server, in the foreground.
        signal: What ends it without waiting for anything, e.g. "QUIT".
        account: User to run as, only possible as root.
    """
    watch = ["sh", "-c", _WATCH, "invops-scratch", str(folder), signal, *argv]
    with pipes.writing(context, watch, account=account, reads=True):
        yield
