"""Sizes and ages as a person reads them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ops.backup import measures
from tests.support.vault import NOON


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4_226_000, "4.2 MB"),
        (123e6, "123 MB"),
        (2e15, "2000 TB"),
    ],
)
def test_size(count: float, text: str) -> None:
    assert measures.size(count) == text


@pytest.mark.parametrize(
    ("passed", "text", "days"),
    [
        ({"seconds": -5}, "0 min", "-1 days old"),
        ({"minutes": 59}, "59 min", "0 days old"),
        ({"hours": 47}, "47 h", "1 day old"),
        ({"days": 12, "hours": 5}, "12 days", "12 days old"),
    ],
)
def test_age(passed: dict[str, float], text: str, days: str) -> None:
    at = NOON + timedelta(**passed)
    assert measures.age(NOON.isoformat(), at) == text
    assert measures.days(NOON.isoformat(), at) == days


def test_a_time_without_zone_is_utc() -> None:
    assert measures.moment("2026-11-21T12:00:00") == NOON


def test_rate_of_no_time_is_no_error() -> None:
    assert measures.rate(5e6, 0) == "5.0 GB/s"
