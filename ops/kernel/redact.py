"""Hide secrets by value, wherever text or output leaves: log, report, journal, audit, terminal.

A secret also shows as base64 (in three alignments, by what stands before it), URL-encoded and
JSON-escaped, so those forms are hidden as well.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "***"
SHORTEST: Final = 6
# "é" from a variable that is not UTF-8 arrives as a lone surrogate: hide its bytes and its text.
_ENCODINGS: Final = ("surrogateescape", "surrogatepass")

Span = tuple[int, int]


class Redactor:
    """Knows secret values and hides them. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: tuple[bytes, ...] = ()

    def add(self, value: str) -> None:
        """Hide `value` from now on; of a URL also its password.

        Raises:
            ValueError: It is shorter than 6 characters: hiding it would garble unrelated text.
        """
        if len(value) < SHORTEST:
            raise ValueError(f"a secret needs at least {SHORTEST} characters")
        forms = {form for each in _values(value) for form in _forms(each)}
        with self._lock:
            every = forms.union(self._forms)
            self._forms = tuple(sorted(every, key=lambda form: (-len(form), form)))

    def text(self, text: str) -> str:
        """Return `text` with every secret replaced."""
        if not self._forms or not text:
            return text
        data = text.encode("utf-8", "surrogatepass")
        hidden = self.data(data)
        return text if hidden is data else hidden.decode("utf-8", "surrogatepass")

    def data(self, data: bytes) -> bytes:
        """Return raw output with every secret replaced; for a part of a stream use `stream`."""
        return _hide(data, spans(data, self._forms))

    def stream(self) -> Stream:
        """Return a filter for output that arrives in pieces."""
        return Stream(self)

    @property
    def forms(self) -> tuple[bytes, ...]:
        """Everything that is hidden, longest first."""
        return self._forms


class Stream:
    """Hides secrets in output that arrives in pieces, also when one is split over two of them.

    It holds back only what may be the beginning of a secret, so other lines pass at once: at
    most the longest form minus one byte, beyond secrets that it has seen.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next piece and return what may be shown now."""
        forms = self._redactor.forms
        if not forms:
            data, self._held = self._held + data, b""
            return data
        data = self._held + data
        found = spans(data, forms)
        end = _open_end(data, forms)
        # A secret that reaches into the open end may overlap the next one: wait for it.
        while found and found[-1][1] > end:
            end = min(end, found.pop()[0])
        self._held = data[end:]
        return _hide(data[:end], found)

    def flush(self) -> bytes:
        """Return the rest: no more will come."""
        rest, self._held = self._held, b""
        return self._redactor.data(rest)


def spans(data: bytes, forms: tuple[bytes, ...]) -> list[Span]:
    """Return where secrets stand in `data`, in order; overlapping ones are one span."""
    merged: list[Span] = []
    for start, end in sorted(_occurrences(data, forms)):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _occurrences(data: bytes, forms: tuple[bytes, ...]) -> Iterator[Span]:
    for form in forms:
        at = data.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = data.find(form, at + 1)


def _hide(data: bytes, found: list[Span]) -> bytes:
    if not found:
        return data
    parts, at = [], 0
    for start, end in found:
        parts += [data[at:start], MASK.encode()]
        at = end
    return b"".join([*parts, data[at:]])


def _open_end(data: bytes, forms: tuple[bytes, ...]) -> int:
    """Return from where on `data` may be the beginning of a form."""
    starts = {form[0] for form in forms}
    for at in range(max(0, len(data) - len(forms[0]) + 1), len(data)):
        if data[at] in starts and any(form.startswith(data[at:]) for form in forms):
            return at
    return len(data)


def _values(value: str) -> Iterator[str]:
    yield value
    lines = value.splitlines()
    if len(lines) > 1:  # a log shows a key file line by line
        yield from (line for line in lines if len(line) >= SHORTEST)
    password = _password(value)
    if password:
        # A short one alone would garble unrelated text.
        yield from (
            each if len(each) >= SHORTEST else f":{each}@" for each in (password, unquote(password))
        )


def _password(value: str) -> str:
    try:
        return urlsplit(value).password or "" if "://" in value else ""
    except ValueError:
        return ""


def _forms(value: str) -> Iterator[bytes]:
    for errors in _ENCODINGS:
        try:
            raw = value.encode("utf-8", errors)
        except UnicodeEncodeError:
            continue
        yield raw
        for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
            yield encoded.encode()
            yield _lower_escapes(encoded).encode()
        yield from _base64(raw)
    for ascii_only in (True, False):
        yield json.dumps(value, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass")


def _lower_escapes(text: str) -> str:
    first, *others = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


def _base64(raw: bytes) -> Iterator[bytes]:
    """Encode it as after 0, 1 or 2 other bytes, without characters that neighbours share."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        shared_end = (before + len(raw)) % 3 != 0
        core = encoded[(0, 2, 3)[before] : len(encoded) - shared_end]
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def mask_url(url: str) -> str:
    """Return a URL that may be shown: user, host and path stay, password and query do not."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    if not parts.scheme or not (host or parts.path):
        return MASK
    user = f"{parts.username or ''}{':' + MASK if parts.password else ''}@"
    query = f"?{MASK}" if parts.query else ""
    return f"{parts.scheme}://{user if user != '@' else ''}{host}{port}{parts.path}{query}"


CENTRAL: Final = Redactor()
"""The one redactor of this process."""


def text(value: str) -> str:
    """Return `value` with every secret of this process replaced."""
    return CENTRAL.text(value)
