"""What a program on another machine prints: bytes as they come, passed on as whole lines."""

from __future__ import annotations

from collections.abc import Callable


class Lines:
    """Cuts bytes into lines.

    Args:
        sink: Takes whole lines, with their ends.
    """

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Pass on what is whole now."""
        whole, end, self._rest = (self._rest + data).rpartition(b"\n")
        if end:
            self._sink(whole + end)

    def finish(self) -> None:
        """Pass on a last line without an end."""
        if self._rest:
            self._sink(self._rest + b"\n")
            self._rest = b""
