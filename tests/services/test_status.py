"""The table of what runs."""

from __future__ import annotations

import pytest

from ops.services import status
from ops.services.status import Row


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3661, "1 h 1 min"),
        (86400 * 3 + 7200, "3 d 2 h"),
        (86400, "1 d"),
    ],
)
def test_uptime(seconds: float, expected: str) -> None:
    assert status.uptime(seconds) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [("", ""), ("localhost:8000", "http://localhost:8000"), ("unix@/run/x.sock", "/run/x.sock")],
)
def test_address(address: str, expected: str) -> None:
    assert status.shown_address(address) == expected


def test_column_that_nobody_fills_is_left_out() -> None:
    rows = [
        Row("api", "running", pid=7, uptime=5, address="localhost:1", health="ok"),
        Row("worker", "stopped"),
    ]
    table = status.table(rows)
    assert list(table.columns) == ["service", "state", "pid", "uptime", "address", "health"]
    assert table.rows[1] == ["worker", "stopped", "-", "-", "-", "-"]
