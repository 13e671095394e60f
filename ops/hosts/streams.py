"""The pipes of a running command: output line by line to a log, the end of it in memory, input to the command."""

from __future__ import annotations

import os
import select
import selectors
import time
from collections.abc import Callable
from typing import IO

KEPT = 8 * 1024 * 1024
"""Bytes of each output that stay in memory."""
_CHUNK = 64 * 1024


class _Output:
    """One output: whole lines go on, the last `KEPT` bytes stay."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._line = bytearray()
        self._kept = bytearray()
        self._total = 0

    def take(self, data: bytes) -> None:
        self._total += len(data)
        self._kept += data
        if len(self._kept) > 2 * KEPT:
            del self._kept[:-KEPT]
        self._line += data
        # A line without an end must not fill the memory.
        cut = self._line.rfind(b"\n") + 1 or (len(self._line) if len(self._line) > _CHUNK else 0)
        if cut:
            self._sink(bytes(self._line[:cut]))
            del self._line[:cut]

    def finish(self) -> None:
        if self._line:
            self._sink(bytes(self._line) + b"\n")
            self._line.clear()

    @property
    def text(self) -> str:
        return self._kept[-KEPT:].decode(errors="replace")

    @property
    def overflown(self) -> bool:
        return self._total > KEPT


class Streams:
    """All pipes of one command.

    Args:
        stdout: Its standard output, None when it goes to a file.
        stderr: Its standard error.
        stdin: Its standard input, None when it gets none.
        data: What standard input gets.
        sink: Takes output as whole lines.
    """

    def __init__(
        self,
        stdout: IO[bytes] | None,
        stderr: IO[bytes] | None,
        stdin: IO[bytes] | None,
        data: bytes,
        sink: Callable[[bytes], None],
    ) -> None:
        self._selector = selectors.DefaultSelector()
        self._pipes = [pipe for pipe in (stdout, stderr, stdin) if pipe is not None]
        self._stdout, self._stderr = _Output(sink), _Output(sink)
        self._data = memoryview(data)
        for pipe, output in ((stdout, self._stdout), (stderr, self._stderr)):
            if pipe is not None:
                self._selector.register(pipe, selectors.EVENT_READ, output)
        if stdin is not None:
            self._selector.register(stdin, selectors.EVENT_WRITE)

    @property
    def open(self) -> bool:
        """Whether any pipe is still open."""
        return bool(self._selector.get_map())

    @property
    def stdout(self) -> str:
        """The end of standard output."""
        return self._stdout.text

    @property
    def stderr(self) -> str:
        """The end of standard error."""
        return self._stderr.text

    @property
    def overflown(self) -> bool:
        """Whether the beginning of standard output was dropped."""
        return self._stdout.overflown

    def pump(self, seconds: float) -> None:
        """Wait up to `seconds` for data and pass on what there is."""
        for key, _ in self._selector.select(seconds):
            done = self._write(key.fd) if key.data is None else self._read(key.fd, key.data)
            if done:
                self._selector.unregister(key.fileobj)
                key.fileobj.close()  # type: ignore[union-attr]

    def drain(self, seconds: float) -> None:
        """Read what a process that has ended left in the pipes, at most for `seconds`."""
        end = time.monotonic() + seconds
        while self.open and time.monotonic() < end:
            self.pump(0.05)

    def close(self) -> None:
        """Pass on unfinished lines and close the pipes."""
        self._stdout.finish()
        self._stderr.finish()
        self._selector.close()
        for pipe in self._pipes:
            pipe.close()

    def _read(self, handle: int, output: _Output) -> bool:
        data = os.read(handle, _CHUNK)
        output.take(data)
        return not data

    def _write(self, handle: int) -> bool:
        try:
            # A pipe that is ready takes this much without blocking.
            written = os.write(handle, self._data[: select.PIPE_BUF])
        except BrokenPipeError:
            return True
        self._data = self._data[written:]
        return not self._data
