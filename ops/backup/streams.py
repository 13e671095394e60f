"""Bytes on their way: counted, hashed, and an exception inside a foreign library's callback is not lost."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Final

from ops.backup import measures
from ops.backup.storage import Reader, Writer
from ops.kernel.context import Context

PIECE: Final = 256 * 1024
_PAUSE: Final = 0.5


class Kept:
    """Keeps what was raised inside a callback: pyrage turns every exception into a text of its own."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Raise the exception of a callback in place of the one that the library made of it.

        Raises:
            BaseException: What the callback raised.
        """
        try:
            yield
        except BaseException as error:
            if self.error is not None and self.error is not error:
                raise self.error from None
            raise


class Source:
    """A reader that counts and hashes what is read, and ends when the time is used up.

    Args:
        reader: Where the bytes come from.
        kept: Remembers an exception.
        tick: Called with every piece: checks the deadline, tells the progress.
    """

    def __init__(self, reader: Reader, kept: Kept, tick: Callable[[int], None]) -> None:
        self._reader = reader
        self._kept = kept
        self._tick = tick
        self._hash = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, none at the end."""
        try:
            data = self._reader.read(size)
            self._hash.update(data)
            self.size += len(data)
            self._tick(self.size)
        except BaseException as error:
            self._kept.error = error
            raise
        return data

    def rest(self) -> None:
        """Read to the end."""
        while self.read(PIECE):
            pass

    @property
    def sha256(self) -> str:
        """Hash of what was read."""
        return self._hash.hexdigest()


class Sink:
    """A writer that counts and hashes what is written.

    Args:
        writer: Where the bytes go.
        kept: Remembers an exception.
    """

    def __init__(self, writer: Writer, kept: Kept) -> None:
        self._writer = writer
        self._kept = kept
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take all of `data`."""
        try:
            self._writer.write(data)
        except BaseException as error:
            self._kept.error = error
            raise
        self._hash.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the store flushes at its end."""

    @property
    def sha256(self) -> str:
        """Hash of what was written."""
        return self._hash.hexdigest()


class Progress:
    """Tells how far the work is, twice a second at most, and ends it when its time is used up.

    Args:
        context: Gives deadline and observers.
        doing: What is done, for a person: "dumping".
        expected: About how many bytes there will be, 0 when unknown.
    """

    def __init__(self, context: Context, doing: str, expected: int) -> None:
        self._context = context
        self._doing = doing
        self._expected = expected
        self._began = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """Tell that `done` bytes are through.

        Raises:
            TimeLimitReached: The context's time is used up.
            Interrupted: A signal came.
        """
        self._context.deadline.check(self._doing)
        now = time.monotonic()
        if now - self._last < _PAUSE:
            return
        self._last = now
        of = f" of about {measures.size(self._expected)}" if self._expected >= done else ""
        speed = measures.rate(done, now - self._began)
        total = max(done, self._expected)
        self._context.progress(f"{self._doing}: {measures.size(done)}{of}, {speed}", done, total)
