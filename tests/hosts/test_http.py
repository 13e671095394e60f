"""The HTTP client against real servers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ops.hosts import http
from ops.hosts.http import get
from ops.kernel import guard
from ops.kernel.deadline import Deadline
from ops.kernel.errors import ConfigurationError, ConnectionFailed, TimeLimitReached
from tests.support.answers import Reply, serving


def test_reads_status_and_json_over_tcp_and_unix_socket(tmp_path: Path) -> None:
    reply = Reply(503, b'{"database": "down"}')
    with serving(lambda: reply) as address:
        assert get(f"http://{address}/x") == http.Answer(
            503, {"database": "down"}, '{"database": "down"}'
        )
    with serving(lambda: reply, tmp_path / "s") as _:
        assert get("http://localhost/x", unix_socket=tmp_path / "s").json == {"database": "down"}


def test_keeps_the_end_of_a_text() -> None:
    with serving(lambda: Reply(500, b"a" * 500 + b"the end\n")) as address:
        answer = get(f"http://{address}/")
    assert answer.json is None
    assert answer.text_tail == "a" * 292 + "the end"


def test_is_allowed_in_a_dry_run() -> None:
    with serving(Reply) as address, guard.scope(guard.Mode.DRY_RUN):
        assert get(f"http://{address}/").status == 200


def test_neither_redirects_nor_proxies_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with serving(lambda: Reply(302, b"", {"Location": "http://127.0.0.1:1/"})) as address:
        assert get(f"http://{address}/").status == 302


def test_missing_and_stale_socket_say_so(tmp_path: Path) -> None:
    with pytest.raises(
        ConnectionFailed, match=r"no answer from .*/none \(http://localhost/\): .*No such file"
    ):
        get("http://localhost/", unix_socket=tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
        with pytest.raises(ConnectionFailed, match="refused"):
            get("http://localhost/", unix_socket=tmp_path / "stale")


def test_server_that_hangs_up_says_so() -> None:
    with (
        serving(lambda: Reply(200, b"{}", {"Content-Length": "100"})) as address,
        pytest.raises(ConnectionFailed, match="closed connection"),
    ):
        get(f"http://{address}/", timeout=1)


def test_slow_server_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(ConnectionFailed, match=r"nothing came within 0\.2 s"):
            get("http://localhost/", unix_socket=tmp_path / "s", timeout=0.2)


def test_body_that_drips_is_given_up() -> None:
    with (
        serving(lambda: Reply(200, b"x" * 50, pause=0.05)) as address,
        pytest.raises(ConnectionFailed, match=r"does not end within 0\.2 s"),
    ):
        get(f"http://{address}/", timeout=0.2)


def test_endless_body_is_given_up() -> None:
    with (
        serving(lambda: Reply(200, b"x" * (http.MAXIMUM_BYTES + 1))) as address,
        pytest.raises(ConnectionFailed, match="longer than 1000000 bytes"),
    ):
        get(f"http://{address}/")


def test_deadline_shortens_the_timeout_and_is_checked_first(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(ConnectionFailed, match="nothing came within 0"):
            get("http://localhost/", unix_socket=tmp_path / "s", timeout=60, deadline=Deadline(0.2))
    with pytest.raises(TimeLimitReached, match="asking http://localhost/"):
        get("http://localhost/", deadline=Deadline(0))


@pytest.mark.parametrize("url", ["ftp://x/", "localhost", "http://[::1"])
def test_wrong_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="wrong URL"):
        get(url)
