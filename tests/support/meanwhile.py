"""Something that happens while a test waits for something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.support.local import eventually


@contextmanager
def meanwhile(condition: Callable[[], object], work: Callable[[], object]) -> Iterator[None]:
    """Do some work beside the block, once a condition holds; the block's end waits for it."""

    def wait() -> None:
        assert eventually(lambda: bool(condition()), 30)
        work()

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(wait)
        yield
        job.result()
