from __future__ import annotations

import time

import pytest

from ops.hosts.polling import wait_for
from ops.kernel.deadline import Deadline


def test_asks_until_it_happens() -> None:
    answers = iter([False, False, True])
    assert wait_for(lambda: next(answers), Deadline(5), every=0.01)


def test_asks_at_least_once_and_gives_up_in_time() -> None:
    asked: list[float] = []

    def never() -> bool:
        asked.append(time.monotonic())
        return False

    begin = time.monotonic()
    assert not wait_for(never, Deadline(0.1), every=0.02)
    assert 3 <= len(asked) <= 7
    assert time.monotonic() - begin < 0.5
    assert wait_for(lambda: True, Deadline(0), every=1)


def test_error_ends_the_wait() -> None:
    def broken() -> bool:
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        wait_for(broken, Deadline(5), every=0.01)
