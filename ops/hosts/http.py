"""The one HTTP client: it only reads, so it is allowed in a dry run.

Variables such as HTTP_PROXY and redirects are not followed: what is asked is what answers.
"""

from __future__ import annotations

import json
import ssl
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    import httpx

MAXIMUM_BYTES: Final = 1_000_000
TAIL: Final = 300
# Loading the certificates of all authorities takes 20 ms, for a health check every 100 ms.
_NO_AUTHORITIES: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Args:
        status: HTTP status.
        json: The body when it is JSON, else None.
        text_tail: The last 300 characters of the body.
        headers: Those of the answer, by name in lower case.
    """

    status: int
    json: Any
    text_tail: str
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


def get(
    url: str,
    *,
    unix_socket: Path | None = None,
    timeout: float = 5.0,
    deadline: Deadline | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask a server with GET.

    Args:
        url: With scheme and host, also for a Unix socket: `http://localhost/health`.
        unix_socket: Socket to connect to instead of the host.
        timeout: Seconds for the whole answer.
        deadline: Shortens `timeout` when less time is left.
        headers: Of the request, beside the client's own; no message shows them.

    Raises:
        ConnectionFailed: Nobody listens, or the answer does not come, or not in time, or is longer than 1 MB.
        ConfigurationError: The URL is wrong.
        TimeLimitReached: The deadline is used up before it starts.
    """
    import httpx  # takes as long as the rest of a short command, and most never ask

    if deadline is not None:
        deadline.check(f"asking {url}")
        timeout = min(timeout, deadline.remaining())
    limit = Deadline(timeout)
    where = f"{unix_socket} ({url})" if unix_socket else url
    verify = True if url.startswith("https:") else _NO_AUTHORITIES
    transport = httpx.HTTPTransport(uds=str(unix_socket) if unix_socket else None, verify=verify)
    try:
        with (
            httpx.Client(transport=transport, timeout=timeout, trust_env=False) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            return _read(response, limit, where)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ConfigurationError(
            f"wrong URL {url!r}", why=str(error), hint="http://host:port/path"
        ) from error
    except httpx.HTTPError as error:
        _close_forgotten_socket(error)
        late = isinstance(error, httpx.TimeoutException)
        why = f"nothing came within {timeout:g} s" if late else str(error) or type(error).__name__
        raise ConnectionFailed(f"no answer from {where}", why=why) from error


def _read(response: httpx.Response, limit: Deadline, where: str) -> Answer:
    body = b""
    for part in response.iter_bytes():
        body += part
        if limit.remaining() <= 0:
            raise ConnectionFailed(
                f"no answer from {where}", why=f"its body does not end within {limit.seconds:g} s"
            )
        if len(body) > MAXIMUM_BYTES:
            raise ConnectionFailed(
                f"no answer from {where}", why=f"its body is longer than {MAXIMUM_BYTES} bytes"
            )
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    tail = body.decode(errors="replace")[-TAIL:].strip()
    return Answer(response.status_code, content, tail, dict(response.headers))


def _close_forgotten_socket(error: BaseException | None) -> None:
    """Close what httpcore 1.0 leaves open when nobody listens on a Unix socket."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_name == "connect_unix_socket" and "sock" in frame.f_locals:
                frame.f_locals["sock"].close()
        error = error.__context__
