"""Waiting for something that another process does."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_result, wait_fixed

from ops.kernel.deadline import Deadline


def wait_for(happened: Callable[[], bool], deadline: Deadline, *, every: float) -> bool:
    """Ask `happened` at least once, then every `every` seconds until it says yes.

    Args:
        happened: A quick look; its errors end the wait.
        deadline: When to give up.
        every: Seconds between two looks.

    Returns:
        Whether it happened in time.
    """

    def used_up(_: RetryCallState) -> bool:
        return deadline.remaining() <= 0

    retrying = Retrying(
        retry=retry_if_result(lambda yes: not yes),
        wait=wait_fixed(every),
        stop=used_up,
        retry_error_callback=lambda _: False,
    )
    return bool(retrying(happened))
