"""Signals in this process; what a whole run makes of them is in tests/faults."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ops.kernel.deadline import Deadline
from ops.kernel.errors import Interrupted
from ops.kernel.signals import HANDLED, Abandoned, Signals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [
        (signal.SIGINT, 130, "stopped by SIGINT"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, 143, "stopped by SIGTERM"),
    ],
)
def test_the_first_signal_is_told_when_asked(number: int, code: int, text: str) -> None:
    with Signals() as signals:
        signals.check()
        send(number)
        with pytest.raises(Interrupted) as caught:
            signals.check()
    assert (str(caught.value), caught.value.exit_code) == (text, code)


@pytest.mark.parametrize("number", HANDLED)
def test_the_second_signal_stops_at_once(number: int) -> None:
    with Signals(), pytest.raises(Abandoned) as caught:
        send(signal.SIGINT)
        send(number)
    assert caught.value.signal_number == number


def test_an_abandoned_run_is_an_interruption_for_whoever_knows_no_better() -> None:
    assert issubclass(Abandoned, KeyboardInterrupt)


def test_a_signal_ends_what_may_be_interrupted() -> None:
    free, atomic = Deadline(60), Deadline(60)
    with Signals() as signals:
        signals.interruptible(free)
        send(signal.SIGTERM)
        with pytest.raises(Interrupted):
            free.check("building")
        atomic.check("switching")


def test_a_signal_that_came_before_ends_it_too() -> None:
    late = Deadline(60)
    with Signals() as signals:
        send(signal.SIGTERM)
        signals.interruptible(late)
        with pytest.raises(Interrupted):
            late.check("building")


def test_what_has_ended_is_not_interrupted() -> None:
    done = Deadline(60)
    with Signals() as signals:
        signals.interruptible(done)
        signals.settle()
        send(signal.SIGTERM)
        done.check("building")


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    with Signals():
        assert [signal.getsignal(number) for number in HANDLED] != before
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_in_another_thread_nothing_is_caught() -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    seen = []

    def work() -> None:
        with Signals() as signals:
            signals.check()
            seen.append([signal.getsignal(number) for number in HANDLED])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
